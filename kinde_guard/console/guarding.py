"""Who may use the console: this machine, and no web page but the console itself. What browsers may do with it."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..issuer.messages import Request
from ..issuer.origin import is_ours

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'{more}; base-uri 'none'; frame-ancestors 'none'"
)
_REFUSED = "This page is for the machine that the local Kinde runs on, under a name of that machine."


def headers(form_action: str = "") -> dict[str, str]:
    """What every page says: no script or style but ours, in no frame, kept by nobody.

    *form_action*: where a form may lead besides (browsers ask that of redirects, too).
    """
    return {
        "content-security-policy": _POLICY.format(more=f" {form_action}" if form_action else ""),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        # Not no-referrer: a form of such a page comes with `Origin: null`.
        "referrer-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }


class Guarded:
    """*app*, for this machine alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in headers().items():
                    if name != "cache-control" or "etag" not in answered:
                        answered[name] = value
            await send(message)

        app = self._app if _may_pass(scope) else PlainTextResponse(_REFUSED, 403)
        await app(scope, receive, sending)


def _may_pass(scope: Scope) -> bool:
    given = Headers(scope=scope)
    if len(given.getlist("host")) != 1 or len(given.getlist("origin")) > 1:
        return False
    if scope["method"] not in ("GET", "HEAD") and given.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    return is_ours(Request(scope["method"], scope["path"], given), scope.get("client"))
