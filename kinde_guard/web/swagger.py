"""What FastAPI's docs pages say: locks, the answers to refused requests, and, with ``KindeGuard(app,
swagger_client_id="…")``, signing in from Swagger UI.

``access_token`` stays the bearer scheme that it is. Beside it the app's OpenAPI document offers another way to the same
token: authorization code with PKCE (RFC 7636) at Kinde, for the audience that the guard demands. (Client credentials
are not offered: Swagger UI cannot add the audience to that request, and Kinde would answer with a token for nobody.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette

from ..adapters import Gate, openapi
from ..errors import ConfigurationError
from ..settings import Settings
from .starlette_app import AppGuard
from .starlette_routes import Part, parts_of, places_of

Schema = openapi.Schema
SCOPES = {
    "openid": "who you are",
    "profile": "your name and picture",
    "email": "your e-mail address",
    "offline": "a refresh token",
}
_PRESET = "openid profile email"


def docs_paths(app: FastAPI) -> tuple[str, ...]:
    """The paths of the docs pages of *app*, for ``public=docs_paths(app)``: ``/openapi.json``, ``/docs``,
    ``/docs/oauth2-redirect``, ``/redoc``, or what you have set them to. Whoever opens them sees every route there is,
    and no data."""
    if not app.openapi_url:
        return ()
    redirect = app.swagger_ui_oauth2_redirect_url if app.docs_url else None
    return tuple(path for path in (app.openapi_url, app.docs_url, redirect, app.redoc_url) if path)


class Swagger:
    """The OpenAPI documents and docs pages of a guarded app, and of the apps that are mounted in it.

    With a *client_id*, that of a front-end app in Kinde, Swagger UI can sign in. *schemes_of* names the security
    schemes of ours that the routes of an app use.
    """

    def __init__(
        self, guarded: AppGuard, client_id: str | None, schemes_of: Callable[[FastAPI], Iterable[str]]
    ) -> None:
        self._guarded = guarded
        self._client_id = None if client_id is None else _client_id(client_id)
        self._schemes_of = schemes_of

    def check(self, app: Starlette) -> None:
        """Raise :class:`ConfigurationError` if nobody could sign in from *app*."""
        if self._client_id is not None:
            _check_app(app)

    def extend(self, app: Starlette) -> None:
        """Have the documents of *app*, and of the apps mounted in it, tell of the guard; once."""
        for part in parts_of(app):
            if isinstance(part.app, FastAPI) and (app, part.prefix) not in self._extended_as(part.app):
                made = part.app.openapi
                part.app.openapi = functools.partial(  # type: ignore[method-assign]
                    self._openapi, app, part.prefix, made
                )

    def start(self, app: Starlette) -> None:
        """Extend *app* once more, which may have been given another ``openapi``; and set up Swagger UI, as the settings
        are known by now."""
        self.extend(app)
        if self._client_id is not None and isinstance(app, FastAPI) and (settings := self._known()) is not None:
            app.swagger_ui_init_oauth = _init_oauth(self._client_id, settings, app.swagger_ui_init_oauth or {})

    def _extended_as(self, app: FastAPI) -> Iterator[tuple[Any, ...]]:
        """The places at which the document of *app* tells of this guard already: in which outer app, and mounted at
        which prefix."""
        made: Any = app.openapi
        while isinstance(made, functools.partial) and isinstance(getattr(made.func, "__self__", None), Swagger):
            if made.func == self._openapi:
                yield made.args[:2]
            made = made.args[2]

    def _openapi(self, app: Starlette, prefix: str, make: Callable[[], Schema]) -> Schema:
        """The document of what is at *prefix* in *app*, which *make* may keep and hand out again, with what is ours."""
        document = make()
        for part in parts_of(app):
            if part.prefix == prefix and isinstance(part.app, FastAPI):
                self._described(part).put_into(document)
        if self._client_id is not None and not prefix:
            self._offer_sign_in(document)
        return document

    def _described(self, part: Part) -> openapi.Described:
        public = self._guarded.public
        own = () if public is None else (Gate("", public),)
        around = (Gate(prefix, gate.public, gate.requires) for prefix, gate in part.gates)
        demanding = [route for route in part.routes() if list(self._guarded.requirements_of(route))]
        return openapi.Described(
            part.prefix,
            (*own, *around),
            frozenset((openapi.BEARER, openapi.SIGN_IN, *self._schemes_of(part.app))),
            frozenset(place for route in demanding for place in places_of(route)),
            frozenset(map(str, self._guarded.handlers.restyled_by(part.app))),
        )

    def _offer_sign_in(self, document: Schema) -> None:
        settings, schemes = self._known(), document.get("components", {}).get("securitySchemes", {})
        if settings is not None and openapi.BEARER in schemes:
            schemes[openapi.SIGN_IN] = _scheme(next(iter(settings.issuers)))
            for described in _with_security(document):
                described["security"] = list(_with_alternatives(described["security"]))

    def _known(self) -> Settings | None:
        """Those of the guard. Without any a document can still be made, in CI, say; and the guard of a test may have
        none. (An app with wrong ones does not start.)"""
        try:
            return getattr(self._guarded.ready(), "settings", None)
        except ConfigurationError:
            return None


def _client_id(text: str) -> str:
    if not isinstance(text, str):
        raise ConfigurationError(f"swagger_client_id must be the client id of a front-end app in Kinde, not {text!r}")
    if not text:
        raise ConfigurationError(
            "swagger_client_id is empty: leave it out, or give the client id of a front-end app (Kinde: Applications)"
        )
    if not text.isascii() or not text.isprintable() or any(character in " <>{}$" for character in text):
        raise ConfigurationError(f"swagger_client_id is no client id, but {text!r}: copy it from Kinde (Applications)")
    return text


def _check_app(app: Starlette) -> None:
    if not isinstance(app, FastAPI):
        raise ConfigurationError("swagger_client_id is for FastAPI apps: no other has a Swagger UI")
    if app.openapi_url and app.docs_url and not app.swagger_ui_oauth2_redirect_url:
        raise ConfigurationError(
            "swagger_client_id needs the page that Kinde sends the browser back to: "
            "do not set FastAPI's swagger_ui_oauth2_redirect_url to None"
        )


def _init_oauth(client_id: str, settings: Settings, given: Schema) -> Schema:
    """What Swagger UI is told. What the user has set stays, but for what makes it this app and this flow."""
    audiences = settings.audiences
    if given.get("clientSecret"):
        raise ConfigurationError(
            "swagger_ui_init_oauth has a clientSecret, which the docs page would show to whoever opens it: "
            "swagger_client_id is that of a front-end app, which has none"
        )
    if not audiences and client_id not in settings.clients:
        raise ConfigurationError(
            f"tokens of swagger_client_id {client_id!r} would all be refused: with audience=None it must be in clients="
        )
    # Any of several will do; to ask for a certain one, set it in swagger_ui_init_oauth.
    query = {"audience": min(audiences)} if audiences else {}
    return {
        "scopes": _PRESET,
        **given,
        "clientId": client_id,
        "usePkceWithAuthorizationCodeGrant": True,
        "additionalQueryStringParams": {**query, **(given.get("additionalQueryStringParams") or {})},
    }


def _scheme(issuer: str) -> Schema:
    """OpenAPI 3.1 §4.8.28."""
    flow = {
        "authorizationUrl": f"{issuer}/oauth2/auth",
        "tokenUrl": f"{issuer}/oauth2/token",
        "scopes": dict(SCOPES),
    }
    # Swagger UI asks for a secret all the same.
    description = "Sign in at Kinde. Leave client_secret empty."
    return {"type": "oauth2", "description": description, "flows": {"authorizationCode": flow}}


def _with_security(schema: Schema) -> Iterator[Schema]:
    """The document itself and its operations, where they demand something."""
    operations = (each for item in schema.get("paths", {}).values() for each in item.values())
    for described in (schema, *operations):
        if isinstance(described, dict) and described.get("security"):
            yield described


def _with_alternatives(security: list[Schema]) -> Iterator[Schema]:
    """The ways to call, with signing in beside each bearer token (a list is alternatives). Its scopes are OIDC's and
    open no route: what a route demands stands with the bearer token."""
    for requirement in security:
        yield requirement
        if openapi.BEARER in requirement:
            other = {
                openapi.SIGN_IN if name == openapi.BEARER else name: scopes for name, scopes in requirement.items()
            }
            other[openapi.SIGN_IN] = []
            if other not in security:
                yield other
