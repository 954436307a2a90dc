"""Pages for whoever is at the browser; errors are JSON for programs."""

from __future__ import annotations

from html import escape

from ..errors import OAuthError
from ..messages import NO_STORE, Request, Response

UNFRAMED = {  # RFC 9700 §4.16
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
}


def error_page(request: Request, error: OAuthError) -> Response:
    """*error* as whoever sent *request* can read it: people a page, programs JSON."""
    if "text/html" in request.headers.get("accept", ""):
        return page(error.status, f"This did not work: {error.error}", error.description)
    return error.response


def page(status: int, title: str, text: str) -> Response:
    """A page of one sentence."""
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><h1>{escape(title)}</h1><p>{escape(text)}</p></html>"
    )
    body = html.encode()
    about = {"content-type": "text/html; charset=utf-8", "content-length": str(len(body))}
    return Response(status, {**about, **NO_STORE, **UNFRAMED}, body)
