"""What a WSGI adapter does with an environ: verify its token, once for each request and guard, and answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ..errors import AuthError, Unavailable
from ..guard import Guard
from ..requirements import Requirement
from ..tokens.access_token import AccessToken
from . import bearer, caching
from .paths import PublicPaths, is_preflight
from .webhook_endpoint import MOST_READ, WebhookEndpoint
from .well_known import WellKnownPage, WellKnownPages

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from ..authenticator import Authenticator
    from ..webhooks import WebhookAnswer

_VERIFIED = "kinde_guard.verified"


def authenticate(environ: WSGIEnvironment, guard: Authenticator) -> AccessToken:
    """The token of a request. The guard judges it once, and says the same for the rest of the request; what another
    guard said counts for nothing.

    Raises :class:`AuthError` or :class:`Unavailable`.
    """
    header = environ.get("HTTP_AUTHORIZATION")
    seen = environ.get(_VERIFIED)
    # Looked at as well is the header, because an app may copy the environ for a request of its own to itself.
    if seen is not None and seen[0] is guard and seen[1] == hash(header):
        if isinstance(seen[2], AccessToken):
            return seen[2]
        raise seen[2].anew()
    # Not of a subclass: what that has in place of authenticate has to be asked.
    at_once = guard.authenticate_at_once if type(guard) is Guard else guard.recognise
    try:
        token = None if header is None else at_once(header.encode("latin-1", "replace"))
        if token is None:
            # The server has joined several headers with commas, which no bearer token contains.
            token = guard.authenticate([] if header is None else [header])
    except (AuthError, Unavailable) as refusal:
        environ[_VERIFIED] = guard, hash(header), refusal.anew()
        environ.pop("kinde_guard.token", None)
        raise
    # Of the header its hash alone, which Python keeps with the text: error reporters print the whole environ.
    environ[_VERIFIED] = guard, hash(header), token
    environ["kinde_guard.token"] = token
    return token


def covers(public: PublicPaths, environ: WSGIEnvironment) -> bool:
    """Whether the request's path, as the app sees it, is public. One that is not UTF-8 never is."""
    try:
        # PEP 3333: the bytes of the path, each as the character of that number.
        return public.cover(environ.get("PATH_INFO", "").encode("latin-1").decode())
    except UnicodeError:
        return False


def is_cors_preflight(environ: WSGIEnvironment) -> bool:
    """Whether the request calls itself a CORS preflight."""
    return is_preflight(
        environ.get("REQUEST_METHOD", ""), lambda name: f"HTTP_{name.upper().replace('-', '_')}" in environ
    )


def page_for(
    environ: WSGIEnvironment,
    pages: WellKnownPages,
    guard: Callable[[], Authenticator],
    demands: Callable[[], Iterable[Requirement]],
) -> WellKnownPage | None:
    """The answer, if the request is for one of *pages*."""
    return pages.answer(environ.get("REQUEST_METHOD", ""), environ.get("PATH_INFO", ""), guard, demands)


def webhook_answer(endpoint: WebhookEndpoint, guard: Guard, environ: WSGIEnvironment) -> WebhookAnswer | None:
    """The answer, if the request is for the path that webhooks come to; all has been done then. The body is read here,
    raw."""
    if environ.get("PATH_INFO", "") != endpoint.path:
        return None
    method = environ.get("REQUEST_METHOD", "")
    body = _body(environ) if method == "POST" else b""
    return endpoint.receive(guard, method, {"Content-Type": environ.get("CONTENT_TYPE", "")}, body)


def until_over(guard: Guard, environ: Mapping[str, Any], items: Iterable[bytes]) -> Iterable[bytes]:
    """*items*, which are cut when the token that was verified for the request expires or is revoked."""
    from . import open_items  # only here: for who wants it

    return open_items.until_over(guard, environ, items)


def send_page(page: WellKnownPage | WebhookAnswer, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with it."""
    start_response(f"{page.status} {HTTPStatus(page.status).phrase}", list(page.headers))
    return [page.body]


def send_answer(answer: bearer.Answer, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a refusal."""
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(answer.all_headers))
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [answer.body]


def private_to_caller(environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
    """*start_response*, which tells caches whose the answer is, if a token was verified for it."""

    def starting(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
        verified = environ.get("kinde_guard.token") is not None
        return start_response(status, list(caching.for_wsgi(headers)) if verified else headers, *exc_info)

    return starting


def _body(environ: WSGIEnvironment) -> bytes:
    """The body, or as much of it as need be read. Without a length there is one only where the server ends it (PEP 3333
    leaves that open; ``wsgi.input_terminated`` is what servers say)."""
    length = environ.get("CONTENT_LENGTH") or ""
    left = int(length[:18]) if length.isascii() and length.isdigit() else 0
    if not length and environ.get("wsgi.input_terminated"):
        left = MOST_READ
    body, left = b"", min(left, MOST_READ)
    while left > 0 and (part := environ["wsgi.input"].read(left)):
        body += part
        left -= len(part)
    return body
