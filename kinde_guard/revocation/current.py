"""What a route demands that must not be served by an old copy of the revocations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import RevocationsUnavailable
from ..requirements import Requirement
from ..tokens.access_token import AccessToken


class Current(Requirement):
    """That all revocations are known, as of three seconds ago at most. It is asked of the copy, and not of the
    token."""

    __slots__ = ("_is_fresh", "_is_waived")

    def __init__(self, is_fresh: Callable[[], bool]) -> None:
        self._is_fresh = is_fresh
        self._is_waived = False

    def refusal(self, token: AccessToken) -> RevocationsUnavailable | None:
        return None if self._is_waived or self._is_fresh() else RevocationsUnavailable(1)

    @contextmanager
    def waived(self) -> Iterator[None]:
        """It is met by everybody meanwhile: for tests of apps whose revocations nobody follows there."""
        before, self._is_waived = self._is_waived, True
        try:
            yield
        finally:
            self._is_waived = before

    def __str__(self) -> str:
        return "current revocations"
