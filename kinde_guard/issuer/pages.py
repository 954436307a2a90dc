"""A refusal for whoever is at the other end: a page for people, JSON for programs."""

from __future__ import annotations

from html import escape

from .forms import NO_STORE
from .messages import Request, Response, error_response

UNFRAMED = {  # RFC 9700 §4.16
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
}


def refusal(request: Request, status: int, error: str, description: str) -> Response:
    """The answer to *request*, which is not redirected."""
    if "text/html" in request.headers.get("accept", ""):
        return page(status, f"This did not work: {error}", description)
    return error_response(status, error, description, NO_STORE)


def page(status: int, title: str, text: str) -> Response:
    """A page of one sentence."""
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><h1>{escape(title)}</h1><p>{escape(text)}</p></html>"
    )
    body = html.encode()
    about = {"content-type": "text/html; charset=utf-8", "content-length": str(len(body))}
    return Response(status, {**about, **NO_STORE, **UNFRAMED}, body)
