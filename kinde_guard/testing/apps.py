"""Another guard in an app that is already built, for as long as a test lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ..authenticator import Authenticator
from ..errors import ConfigurationError
from ..guard import Guard
from ..issuer import LocalIssuer
from ..revocation import Revocations
from ..routes.layers import is_a
from ..tokens.access_token import AccessToken
from .mcp import server_place
from .revoking import current_waived, in_force, in_memory_as
from .stand_in import StandInGuard
from .tokens import caller_token, guard_for


class Guarded(Protocol):
    """Whatever holds the guard of an app."""

    guard: Any
    """A guard, ``None`` for one that has yet to be made, or for a while an :class:`Authenticator` in its place."""


@contextmanager
def trust(app: Any, issuer: LocalIssuer, **settings: Any) -> Iterator[Guard]:
    """*app* trusts *issuer* and nobody else: a real guard, real tokens, no network::

        with trust(app, issuer := local_issuer()):
            reply = TestClient(app).get("/users", headers=headers(mint(issuer, scope="read:users")))

    *app* is as in :func:`caller`, and *settings* are those of :class:`Guard`. Enter it before the app is started. If
    the app has revocations, it has them in memory here: see :func:`revoke`. If it takes Kinde's API keys, it asks
    *issuer* about them: see :func:`mint_api_key`.
    """
    place = _place_in(app)
    own = {"permissions_as_scopes": _permissions_as_scopes(place), "revocations": _revocations(place)}
    own["api_keys"] = _api_keys(place, issuer)
    guard = guard_for(issuer, **{**own, **settings})
    with _guarded_by(guard, place), in_force(guard):
        yield guard


@contextmanager
def caller(app: Any, **options: Any) -> Iterator[AccessToken]:
    """Every request to *app* is this caller, without a token. What routes demand is judged, so a 403 is a real one::

        with caller(app, scope="read:users"):
            assert TestClient(app).get("/users").status_code == 200

    *app* is what ``KindeGuard(app)`` was called on, or a GuardMiddleware. (If apps are mounted in one another and have
    guards of their own, do this for each.) For Django it is a test client, or the wsgi or asgi application. For an MCP
    server it is the app or the server, which then also takes calls without HTTP as this caller's.

    The *options* are those of :mod:`kinde_guard.testing.tokens`. Enter it before the app is started, which then needs
    no settings. (A Flask app reads its settings when ``KindeGuard`` is attached: put any into its config.)
    """
    place = _place_in(app)
    token = caller_token(**{"permissions_as_scopes": _permissions_as_scopes(place), **options})
    with _guarded_by(StandInGuard(token), place):
        yield token


@contextmanager
def _guarded_by(guard: Authenticator, place: Guarded) -> Iterator[None]:
    before = place.guard
    with current_waived(before, getattr(place, "settings", {})):
        place.guard = guard
        try:
            yield
        finally:
            place.guard = before


def _place_in(app: Any) -> Guarded:
    places: tuple[Any, ...] = (
        getattr(getattr(app, "state", None), "kinde_guard", None),  # Starlette, FastAPI
        getattr(app, "extensions", {}).get("kinde_guard"),  # Flask
        _of_django(app),
        app,  # a middleware
    )
    if (server := server_place(app)) is not None:
        return server
    for place in places:
        if hasattr(place, "guard"):
            return place  # type: ignore[no-any-return]
    raise ConfigurationError(
        f"{app!r} has no guard: call KindeGuard(app) first, and give the app itself, not what is wrapped around it"
    )


def _of_django(app: Any) -> Guarded | None:
    """What guards the project, whichever of its two applications or test clients *app* is."""
    kinds = (("django.core.handlers.base", "BaseHandler"), ("django.test.client", "RequestFactory"))
    if not any(is_a(app, *kind) for kind in kinds):
        return None
    from ..web.django_guard import guard_of_project

    return guard_of_project()


def _revocations(place: Guarded) -> Revocations | None:
    return in_memory_as(place.guard, getattr(place, "settings", {}))


def _api_keys(place: Guarded, issuer: LocalIssuer) -> Any:
    settings, guard = getattr(place, "settings", {}), place.guard
    if settings.get("api_keys") is None and getattr(guard, "api_keys", None) is None:
        return None  # most apps take none, and ApiKeys needs httpx
    from .api_keys import local_api_keys

    return local_api_keys(issuer, guard, settings)


def _permissions_as_scopes(place: Guarded) -> bool:
    """The setting as the app has it, or a test would see another verdict than production."""
    if place.guard is None:  # it has yet to be made of these
        return bool(getattr(place, "settings", {}).get("permissions_as_scopes", False))
    return bool(getattr(place.guard, "permissions_as_scopes", False))
