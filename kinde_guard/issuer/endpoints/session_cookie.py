"""The cookie by which a browser names its session."""

from __future__ import annotations

from ..messages import Request

COOKIE = "kinde_local_session"


def cookie_of(request: Request) -> str | None:
    """The name of the session that the browser holds."""
    for part in request.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def cookie(url: str, session: str | None) -> dict[str, str]:
    """The header that has the browser of *url* hold *session*, or (``None``) drop the one it holds."""
    parts = [f"{COOKIE}={session or ''}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if session is None:
        parts.append("Max-Age=0")
    if url.startswith("https:"):
        parts.append("Secure")
    return {"set-cookie": "; ".join(parts)}
