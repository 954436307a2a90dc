"""What the fixtures give, for tests whose parameters have types: ``def test_reader(kinde_caller: KindeCaller)``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .. import AccessToken, Guard


class KindeCaller(Protocol):
    """The fixture ``kinde_caller``: a function that makes every request to an app come from one caller."""

    def __call__(
        self,
        app: Any,
        *,
        scope: str | Iterable[str] = ...,
        permissions: str | Iterable[str] = ...,
        roles: str | Iterable[str] = ...,
        org_code: str = ...,
        feature_flags: Mapping[str, object] = ...,
        subject: str = ...,
        client_id: str = ...,
        m2m: bool = ...,
        **claims: Any,
    ) -> AccessToken:
        """Until the end of the test every request to *app* is this caller. Returns the caller's token.

        Nothing is granted that is not named: *scope* is text such as ``"read:users write:flags"``. Any other claim goes
        by its own name. See :func:`kinde_guard.testing.caller`.
        """
        ...


class KindeToken(Protocol):
    """The fixture ``kinde_token``: a function that makes access tokens of ``kinde_issuer``."""

    def __call__(
        self,
        *,
        preset: str = ...,
        scope: str | Iterable[str] = ...,
        permissions: str | Iterable[str] = ...,
        roles: str | Iterable[str] = ...,
        org_code: str = ...,
        feature_flags: Mapping[str, object] = ...,
        subject: str = ...,
        client_id: str = ...,
        audience: str | Iterable[str] = ...,
        lifetime: float = ...,
        m2m: bool = ...,
        **claims: Any,
    ) -> str:
        """The text of a token. *lifetime* is in seconds; *preset* names a wrong one, such as ``"expired"``. See
        :func:`kinde_guard.testing.mint`."""
        ...


class KindeApiKey(Protocol):
    """The fixture ``kinde_api_key``: a function that makes API keys of ``kinde_issuer``."""

    def __call__(
        self,
        *,
        scope: str | Iterable[str] = ...,
        subject: str = ...,
        org_code: str = ...,
        audience: str = ...,
        lifetime: float = ...,
    ) -> str:
        """The text of an API key. *lifetime* is in seconds. See :func:`kinde_guard.testing.mint_api_key`."""
        ...


class KindeTrust(Protocol):
    """The fixture ``kinde_trust``: a function that makes an app trust ``kinde_issuer``, and nobody else."""

    def __call__(self, app: Any, **settings: Any) -> Guard:
        """Until the end of the test. *settings* are those of :class:`kinde_guard.Guard`. Returns the guard. See
        :func:`kinde_guard.testing.trust`."""
        ...
