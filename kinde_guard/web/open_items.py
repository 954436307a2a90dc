"""Streams that an app makes item by item, which are cut at their next item when their token has expired or been
revoked: those of WSGI apps, and of frameworks that make them of ``async`` iterators."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..tokens.access_token import AccessToken
from .open_token import OpenToken

if TYPE_CHECKING:
    from ..guard import Guard


def until_over(guard: Guard, carrier: Mapping[str, Any], items: Iterable[bytes]) -> Iterable[bytes]:
    """*items*, as long as the token holds that was verified for the request, whose WSGI environ or ASGI scope *carrier*
    is. Whole answers, which are lists, go as they are."""
    return items if isinstance(items, list | tuple) else _Items(guard, carrier, items)


def until_over_async(
    guard: Guard, carrier: Mapping[str, Any], items: AsyncIterable[bytes], gone: type[BaseException]
) -> AsyncIterable[bytes]:
    """:func:`until_over` for ``async for``. They are cut with *gone*: what the framework takes for a client that has
    gone away, for whom it closes all that is open, and says nothing."""
    return _AsyncItems(guard, carrier, items, gone)


class _Watched:
    """What an app answers with, item by item."""

    def __init__(self, guard: Guard, carrier: Mapping[str, Any], items: Any) -> None:
        self._guard, self._carrier, self._items = guard, carrier, items
        self._open: OpenToken | None = None

    def close(self) -> None:
        """PEP 3333: the server calls it, whatever has happened."""
        if self._open is not None:
            self._open.close()
        close = getattr(self._items, "close", None)
        if close is not None:
            close()

    def _is_over(self) -> bool:
        """Whether the token is, which was good for the first item."""
        if self._open is None:
            token = self._carrier.get("kinde_guard.token")
            self._open = OpenToken(self._guard, token) if isinstance(token, AccessToken) else None
        elif self._open.is_over:
            self._open.log_end()
            self._open.close()
            return True
        return False


class _Items(_Watched):
    """Cut is it with the error of a connection that is gone: servers close theirs then, and say that at most in
    passing."""

    def __iter__(self) -> Iterator[bytes]:
        for item in self._items:
            if self._is_over():
                raise BrokenPipeError(errno.EPIPE, "the token of this stream has expired or been revoked")
            yield item


class _AsyncItems(_Watched):
    def __init__(self, guard: Guard, carrier: Mapping[str, Any], items: Any, gone: type[BaseException]) -> None:
        super().__init__(guard, carrier, items)
        self._gone = gone

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for item in self._items:
            if self._is_over():
                raise self._gone
            yield item
