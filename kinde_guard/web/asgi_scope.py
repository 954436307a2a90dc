"""What an ASGI adapter does with a scope: find the guard in it, verify its token, once for each request and guard, and
answer.

No framework is imported here: :mod:`kinde_guard.asgi` and the Starlette and FastAPI adapters stand on it alike.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from ..errors import AuthError, ConfigurationError, Unavailable
from ..guard import Guard
from ..net import forks
from ..requirements import Requirement
from ..tokens.access_token import AccessToken
from . import bearer, caching
from .cors import Preflights
from .given_settings import check_given
from .paths import METHOD_OVERRIDES, PublicPaths, is_preflight
from .webhook_endpoint import MOST_READ, WebhookEndpoint
from .well_known import WellKnownPages

if TYPE_CHECKING:
    from ..authenticator import Authenticator
    from ..webhooks import WebhookAnswer
    from .well_known import WellKnownPage

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_VERIFIED = "kinde_guard.verified"
IN_FORCE = "kinde_guard"
_MEND = (
    "put CORS middleware around the guard, CORSMiddleware(GuardMiddleware(app), …), or add it to the app after the "
    "guard; pass_preflights=True is for an app inside that answers every preflight itself, as Django does with "
    "django-cors-headers"
)
_making = forks.Lock()  # or each of many threads at a cold start would make a guard, and fetch keys, of its own


class Attached:
    """The guard that stands in front of one app, with what goes with it: the settings that it may have to be made of,
    the pages that are answered here, and what becomes of preflights. Each request finds the nearest one in its
    scope."""

    pages: WellKnownPages | None = None
    """What is answered here, before any token is asked for."""
    webhooks: WebhookEndpoint | None = None
    """What takes webhooks here, before anything else is done."""
    close_expired = False
    """Whether WebSockets and streams end when their token does."""

    def __init__(
        self, guard: Guard | None, settings: Mapping[str, Any], pass_preflights: bool = False, mend: str = _MEND
    ) -> None:
        check_given(guard, settings, type(self))
        self.preflights = Preflights(pass_preflights, mend)
        self.guard = guard
        """May be set, also while the app runs; ``None`` until the app starts if it comes from the environment."""
        self.settings = settings

    def ready(self) -> Guard:
        """The guard, made of settings and environment if it has yet to be; raises :class:`ConfigurationError`."""
        if self.guard is None:
            with _making.now:
                if self.guard is None:
                    self.guard = Guard(**self.settings)
        return self.guard

    def begin(self) -> None:
        """When the app starts: make the guard, and have its keys fetched; and see whether webhooks, if any come, would
        have anything done. Waits for nothing: the app starts while Kinde is down, too, and a fetch that fails is a
        notice in the log. Raises :class:`ConfigurationError`."""
        guard = self.ready()
        if self.webhooks is not None:
            self.webhooks.check(guard)
        guard.load_behind()


def attach(scope: Scope, attached: Attached) -> None:
    """Make *attached* the nearest from here on."""
    scope[IN_FORCE] = attached


def nearest(scope: Scope) -> Attached | None:
    """What guards this request; apps that are mounted in one another may have one each."""
    attached: Attached | None = scope.get(IN_FORCE)
    return attached


def guard_in_force(scope: Scope) -> Authenticator:
    """The guard of this request; :class:`ConfigurationError` if there is none, so that nothing is open by mistake."""
    attached: Attached | None = scope.get(IN_FORCE)
    if attached is None:
        raise ConfigurationError(
            f"no guard is attached to the app that serves {_route(scope)!r}: "
            "call KindeGuard(app) on it, or on the app it is mounted in, before it starts"
        )
    return attached.guard or attached.ready()


def recognise(scope: Scope, guard: Authenticator) -> AccessToken | None:
    """The token of a request, if nothing has to be waited for: most requests need no more, and no coroutine. Raises
    what :func:`authenticate` does."""
    values = []
    for name, value in scope["headers"]:  # quicker than authorization(scope)
        if name == b"authorization":
            values.append(value)
    before = scope.get(_VERIFIED)
    if before is not None and (seen := _seen(scope, guard, values)) is not None:
        return seen if isinstance(seen, AccessToken) else None
    if len(values) != 1:
        return None
    try:
        # Not of a subclass: what that has in place of authenticate has to be asked.
        at_once = guard.authenticate_at_once if type(guard) is Guard else guard.recognise
        token = at_once(values[0])
    except (AuthError, Unavailable) as refusal:
        _remember(scope, guard, values, refusal.anew())
        raise
    if token is not None:
        scope[_VERIFIED] = guard, hash(values[0]), token, before
        scope["kinde_guard.token"] = token
    return token


def authenticate(scope: Scope, guard: Authenticator) -> AccessToken:
    """The token of a request. Each guard that is asked judges it once, and says the same for the rest of the request;
    what another guard said counts for nothing.

    Asked after :func:`recognise`, which knows most. Raises :class:`AuthError` or :class:`Unavailable`.
    """
    values = authorization(scope)
    seen = _seen(scope, guard, values)
    if seen is not None:
        return _said_again(seen)
    try:
        token = guard.authenticate(_text(values))
    except (AuthError, Unavailable) as refusal:
        _remember(scope, guard, values, refusal.anew())
        raise
    _remember(scope, guard, values, token)
    return token


async def aauthenticate(scope: Scope, guard: Authenticator) -> AccessToken:
    """:func:`authenticate` for event loops."""
    values = authorization(scope)
    seen = _seen(scope, guard, values)
    if seen is not None:
        return _said_again(seen)
    try:
        token = await guard.aauthenticate(_text(values))
    except (AuthError, Unavailable) as refusal:
        _remember(scope, guard, values, refusal.anew())
        raise
    _remember(scope, guard, values, token)
    return token


def authorization(scope: Scope) -> list[bytes]:
    """Every Authorization value: two of them are no request to guess about."""
    return [value for name, value in scope["headers"] if name == b"authorization"]


def is_open(scope: Scope, public: PublicPaths, preflights: Preflights) -> bool:
    """Whether the request needs no token: its path is public, or it is a CORS preflight and those are to pass."""
    if public.patterns and public.cover(path_of(scope)):
        return True
    return preflights.passes and is_cors_preflight(scope)


def is_cors_preflight(scope: Scope) -> bool:
    """Whether the request calls itself a CORS preflight."""
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    names = {name.decode("latin-1") for name, _ in scope["headers"]}
    # With underscores an override comes to a WSGI app that is mounted within. With underscores a preflight is none to
    # CORS middleware, which would hand it on to a handler.
    names |= METHOD_OVERRIDES & {name.replace("_", "-") for name in names}
    return is_preflight(scope["method"], names.__contains__)


def note_refusal(scope: Scope, attached: Attached | None) -> None:
    """Tell the owner of *attached* of the first preflight that it refuses."""
    if attached is not None and is_cors_preflight(scope):
        attached.preflights.refused()


def path_of(scope: Scope) -> str:
    """The path as the app sees it: decoded, and without what it is mounted under (``root_path``)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def can_answer(scope: Scope) -> bool:
    """Whether a refusal can be answered: a WebSocket needs a server with the extension for it."""
    return scope["type"] == "http" or "websocket.http.response" in (scope.get("extensions") or ())


async def answered(attached: Attached, demands: Callable[[], Iterable[Requirement]], scope: Scope, send: Send) -> bool:
    """Whether the request was for one of the pages of *attached*, and so has its answer."""
    if attached.pages is None or scope["type"] != "http":
        return False
    page = attached.pages.answer(scope["method"], path_of(scope), attached.ready, demands)
    if page is None:
        return False
    await _send_whole(page, send)
    return True


async def received(attached: Attached, scope: Scope, receive: Receive, send: Send) -> bool:
    """Whether the request was for the path that webhooks come to, and so has its answer. The body is read here, raw."""
    endpoint = attached.webhooks
    if endpoint is None or scope["type"] != "http" or path_of(scope) != endpoint.path:
        return False
    body = await _body(receive) if scope["method"] == "POST" else b""
    if body is not None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        answer = await endpoint.areceive(attached.ready(), scope["method"], headers, body)
        await _send_whole(answer, send)
    return True


def metadata_url(scope: Scope) -> str:
    """That of the app that serves the request, for challenges (RFC 9728 §5.1); empty if it has none."""
    attached = nearest(scope)
    return "" if attached is None or attached.pages is None else attached.pages.metadata_url


async def refuse(refusal: AuthError | Unavailable, scope: Scope, send: Send) -> None:
    """Answer with the refusal; close a WebSocket (1008, policy violation) that cannot be answered."""
    if not can_answer(scope):
        return await send({"type": "websocket.close", "code": 1008, "reason": ""})
    answer = bearer.answer(refusal, metadata_url(scope))
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.all_headers]
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    await send({"type": f"{kind}.start", "status": answer.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": answer.body})
    return None


def serve(attached: Attached, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """Have *app* answer. Where *attached* says so, what stays open ends when its token expires or is revoked. No
    coroutine of its own, as most apps have no use for one."""
    if not attached.close_expired:
        return app(scope, receive, send)
    from . import open_asgi  # only here: it loads anyio

    return open_asgi.run(attached.ready(), app, scope, receive, send)


def until_over(
    guard: Guard, scope: Mapping[str, Any], items: AsyncIterable[bytes], gone: type[BaseException]
) -> AsyncIterable[bytes]:
    """*items*, which are cut with *gone* when the token that was verified for the request expires or is revoked: for
    frameworks that make an answer of them, where :func:`serve` is not to be had."""
    from . import open_items  # only here: for who wants it

    return open_items.until_over_async(guard, scope, items, gone)


def private_to_caller(send: Send) -> Send:
    """*send*, which tells caches whose the answer is. No coroutine of its own: it is called for each part of a body."""

    def sending(message: Message) -> Awaitable[None]:
        if "body" not in message and message["type"] == "http.response.start":
            # A copy: the app may send the message that it has here on a public path, too.
            message = {**message, "headers": caching.for_asgi(message.get("headers", ()))}
        return send(message)

    return sending


async def run_lifespan(app: ASGIApp, start: Callable[[], object], scope: Scope, receive: Receive, send: Send) -> None:
    """Pass lifespan on once *start* has succeeded. If it has not, the server is told, prints the sentence and stops:
    an exception alone would be taken for an app without lifespan, and every request would be answered with 500."""
    try:
        start()
    except Exception as error:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        raise
    await app(scope, receive, send)


async def _send_whole(answer: WellKnownPage | WebhookAnswer, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _body(receive: Receive) -> bytes | None:
    """The body, or as much of it as need be read; ``None`` if the client went away."""
    body, more = b"", True
    while more and len(body) < MOST_READ:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


_Verdict = AccessToken | AuthError | Unavailable
_Seen = tuple["Authenticator", int, _Verdict, Any]
"""What a guard said of a request with Authorization values of this hash, and what another one had said before it. Error
reporters print the whole scope: the values themselves have no place here."""


def _seen(scope: Scope, guard: Authenticator, values: list[bytes]) -> _Verdict | None:
    """What *guard* has said of these values, if it was asked for this request already."""
    seen: _Seen | None = scope.get(_VERIFIED)
    while seen is not None:
        judge, judged, verdict, seen = seen
        if judge is guard:
            if judged != _hash(values):  # an app has copied the scope for a request of its own to itself
                return None
            if isinstance(verdict, AccessToken):
                scope["kinde_guard.token"] = verdict
            return verdict
    return None


def _remember(scope: Scope, guard: Authenticator, values: list[bytes], verdict: _Verdict) -> None:
    scope[_VERIFIED] = guard, _hash(values), verdict, scope.get(_VERIFIED)
    if isinstance(verdict, AccessToken):
        scope["kinde_guard.token"] = verdict
    else:
        scope.pop("kinde_guard.token", None)


def _hash(values: list[bytes]) -> int:
    """Python keeps that of bytes: it is worked out once a request, for a third of what SHA-256 costs."""
    return hash(values[0]) if len(values) == 1 else hash(tuple(values))


def _said_again(verdict: _Verdict) -> AccessToken:
    if isinstance(verdict, AccessToken):
        return verdict
    raise verdict.anew()


def _text(values: list[bytes]) -> list[str]:
    return [value.decode("latin-1") for value in values]


def _route(scope: Scope) -> str:
    route = scope.get("route")
    return str(getattr(route, "path", scope.get("path", "")))
