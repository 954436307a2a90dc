"""Forward auth: a reverse proxy asks here, for each request, whether its caller may go on.

    app = ForwardAuth()          # uvicorn --factory …, or: kinde-guard forward-auth

What is required stands in the proxy's own configuration, in the *path* of the URL that it calls, where no caller can
write: ``/verify/scope=read:users/permission=view:report``. All parts are required. A valid token and nothing more has
to be said, too: ``/verify/authenticated``. The query is ignored whole, as some proxies hand on the caller's own, and so
is whatever else the request says of itself; the original path, where the proxy gives it, can only make it stricter.

200 lets the request go on; 400, 401, 403 and 503 are the answers of an API behind a guard. A path that cannot be read
as a requirement is 500, as a proxy must not go on by mistake; any other path is 404. ``kinde-guard forward-auth --print
nginx`` writes the proxy's part. No framework is imported here.
"""

from __future__ import annotations

import functools
import json
import logging
import operator
import re
from collections.abc import Mapping
from typing import Literal, Unpack
from urllib.parse import quote, unquote_to_bytes

from .adapters import AccessToken, Attached, Authenticator, Once, Requirement, WellKnownPages, asgi_scope, judge
from .errors import AuthError, ConfigurationError, Unavailable
from .guard import Guard, GuardSettings
from .requirements import SPELLED_ALONE, SPELLED_WITH_A_NAME, parse
from .web.identity_headers import identity

__all__ = ["ForwardAuth", "Statuses", "identity", "is_read_in_two_ways", "requirement_in"]

Statuses = Literal["plain", "nginx"]
"""How refusals are answered: as by an API, or for an nginx that takes any but 401 and 403 for a failure of ours, as
ingress-nginx does. What ``--print nginx`` writes wants ``"plain"``."""

_STATUSES: Mapping[Statuses, Mapping[int, int]] = {"plain": {}, "nginx": {400: 401}}
_PREFIX = "/verify/"
_SPELLINGS = "scope=NAME, permission=KEY, role=KEY, org=CODE, flag=KEY, flag=KEY=VALUE, machine, user or authenticated"
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TYPED = re.compile(r"true|false|-?[0-9]+(\.[0-9]+)?")
_ORIGINAL = (b"x-original-uri", b"x-original-url", b"x-forwarded-uri")
_ENCODED_SLASH = re.compile("%2f", re.I)
_READ_IN_TWO_WAYS = re.compile(r"(^|/)\.\.?(/|$)|//|[\\;%\x00-\x1f\ufffd]")  # U+FFFD: bytes that were not UTF-8
_NO_STORE = (b"cache-control", b"no-store")
_log = logging.getLogger("kinde_guard")


class ForwardAuth(Attached):
    """The ASGI app that a reverse proxy asks. It reads no body, and answers each request by its ``Authorization``.

    Without *guard* it makes one of *settings* (:class:`~kinde_guard.guard.GuardSettings`) and of ``KINDE_DOMAIN`` and
    ``KINDE_AUDIENCE`` when it starts. *statuses*: ``"nginx"`` for Kubernetes' ingress-nginx. *identity_headers*:
    whether an allowing answer says who calls (:func:`identity`), for a proxy that hands that on; the app behind it must
    then be out of reach for everybody else. *healthz* and *readyz* are paths to answer health checks at.

    Raises :class:`ConfigurationError` in words that say what to change.
    """

    def __init__(
        self,
        guard: Guard | None = None,
        *,
        statuses: Statuses = "plain",
        identity_headers: bool = False,
        healthz: str | None = None,
        readyz: str | None = None,
        **settings: Unpack[GuardSettings],
    ) -> None:
        super().__init__(guard, settings)
        if statuses not in _STATUSES:
            raise ConfigurationError(f"statuses={statuses!r} is none of {', '.join(map(repr, _STATUSES))}")
        self.pages = WellKnownPages.of(healthz, readyz, None)
        self._statuses = _STATUSES[statuses]
        self._identity_headers = identity_headers
        self._unreadable = Once()

    async def __call__(self, scope: asgi_scope.Scope, receive: asgi_scope.Receive, send: asgi_scope.Send) -> None:
        if scope["type"] == "lifespan":
            return await asgi_scope.run_lifespan(_nothing_else, self.begin, scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008, "reason": ""})
        if await asgi_scope.answered(self, tuple, scope, send):
            return None
        status, headers, body = await self._answer(scope)
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": self._statuses.get(status, status), "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return None

    async def _answer(self, scope: asgi_scope.Scope) -> _Answer:
        path = _path_of(scope)
        if path != _PREFIX[:-1] and not path.startswith(_PREFIX):
            return _plain(404, "Not Found")
        try:
            requirement = requirement_in(path)
        except LookupError:
            return _plain(404, "Not Found")
        except ConfigurationError as error:
            if self._unreadable.is_first():
                _log.error("the proxy asks for %r: %s", path[:200], error, extra={"event": "requirement_unreadable"})
            return _plain(500, "Internal Server Error")
        if any(is_read_in_two_ways(value) for name, value in scope["headers"] if name in _ORIGINAL):
            return _plain(403, "Forbidden")
        return await self._judged(scope, requirement)

    async def _judged(self, scope: asgi_scope.Scope, requirement: Requirement) -> _Answer:
        guard = self.ready()
        try:
            token = await _token_of(scope, guard)
            judge(guard, token, requirement, scope)
        except (AuthError, Unavailable) as refusal:
            headers = {**refusal.headers, "Content-Type": refusal.media_type}
            return refusal.status, _encoded(headers), refusal.body()
        return 200, [_NO_STORE, *_encoded(identity(token) if self._identity_headers else {})], b""


_Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


@functools.lru_cache(maxsize=256)
def requirement_in(path: str) -> Requirement:
    """What ``/verify/scope=read:users/…`` requires: every part of it. *path*: as it came, still encoded.

    Raises :class:`LookupError` for an empty or a ``..`` segment, and :class:`ConfigurationError` for what is no
    requirement.
    """
    segments = path.removeprefix(_PREFIX[:-1]).split("/")[1:]
    if not segments:
        raise ConfigurationError("nothing is required: write /verify/authenticated, or /verify/scope=read:users")
    if any(segment in ("", ".", "..") for segment in map(_decoded, segments)):
        raise LookupError(path)
    return functools.reduce(operator.and_, (_part(_decoded(segment)) for segment in segments))


def _part(segment: str) -> Requirement:
    word, equals, name = segment.partition("=")
    if not equals and word in SPELLED_ALONE:
        return parse(word)
    if word not in SPELLED_WITH_A_NAME or not name:
        raise ConfigurationError(f"{segment!r} is no requirement: write {_SPELLINGS}")
    key, equals, value = name.partition("=") if word == "flag" else (name, "", "")
    spelt = value if _TYPED.fullmatch(value) or not equals else json.dumps(value)
    return parse(f"{word}:{json.dumps(key)}{equals}{spelt}")


def _decoded(segment: str) -> str:
    """*segment*, decoded once."""
    if _BROKEN_ESCAPE.search(segment):
        raise ConfigurationError(f"{segment!r} has a % that encodes nothing")
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{segment!r} is not UTF-8") from None


def _path_of(scope: asgi_scope.Scope) -> str:
    """The path as the proxy wrote it, still encoded: a name may have a slash in it."""
    raw: bytes | None = scope.get("raw_path")
    path = quote(scope["path"], safe="/:=@") if raw is None else raw.partition(b"?")[0].decode("latin-1")
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def is_read_in_two_ways(original: bytes) -> bool:
    """Whether proxy and app may take the path for two different ones (``..;``, ``%2f``, ``//``)."""
    text = re.sub(r"^https?://[^/?]*", "", original.decode("latin-1"), flags=re.I)
    path = text.partition("?")[0]
    decoded = unquote_to_bytes(path).decode("utf-8", "replace")
    return any(found is not None for found in (_ENCODED_SLASH.search(path), _READ_IN_TWO_WAYS.search(decoded)))


async def _token_of(scope: asgi_scope.Scope, guard: Authenticator) -> AccessToken:
    return asgi_scope.recognise(scope, guard) or await asgi_scope.aauthenticate(scope, guard)


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _plain(status: int, title: str) -> _Answer:
    body = json.dumps({"title": title, "status": status}).encode()
    return status, [(b"content-type", b"application/problem+json"), _NO_STORE], body


async def _nothing_else(scope: asgi_scope.Scope, receive: asgi_scope.Receive, send: asgi_scope.Send) -> None:
    """Lifespan, once the guard is made."""
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
