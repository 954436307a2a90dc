"""Streams of WSGI apps, which are cut at their next item when their token has expired or been revoked."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..tokens.access_token import AccessToken
from .open_token import OpenToken

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from ..guard import Guard


def until_over(guard: Guard, environ: WSGIEnvironment, items: Iterable[bytes]) -> Iterable[bytes]:
    """*items*, as long as the token that was verified for the request holds. Whole answers, which are lists, go as they
    are."""
    return items if isinstance(items, list | tuple) else _Items(guard, environ, items)


class _Items:
    """What an app answers with, item by item. Cut is it with the error of a connection that is gone: servers close
    theirs then, and say that at most in passing."""

    def __init__(self, guard: Guard, environ: WSGIEnvironment, items: Iterable[bytes]) -> None:
        self._guard, self._environ, self._items = guard, environ, items
        self._open: OpenToken | None = None

    def __iter__(self) -> Iterator[bytes]:
        for item in self._items:
            if self._open is None:
                token = self._environ.get("kinde_guard.token")
                self._open = OpenToken(self._guard, token) if isinstance(token, AccessToken) else None
            elif self._open.is_over:
                self._open.log_end()
                raise BrokenPipeError(errno.EPIPE, "the token of this stream has expired or been revoked")
            yield item

    def close(self) -> None:
        """PEP 3333: the server calls it, whatever has happened."""
        if self._open is not None:
            self._open.close()
        close = getattr(self._items, "close", None)
        if close is not None:
            close()
