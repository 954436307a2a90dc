"""The page on which people choose who they are: one button for each user and organization."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from ..issuer import LocalIssuer, Response
from ..issuer.sessions import SignIn
from ..issuer.users import Membership, User
from .guarding import headers
from .pages import Renderer

_HOST = re.compile(r"[a-z0-9.-]+")
Choice = tuple[User, Membership | None]


def chooser(renderer: Renderer) -> Callable[[LocalIssuer, SignIn], Response]:
    """The page for ``LocalIssuer.chooser``."""

    def choose(issuer: LocalIssuer, sign_in: SignIn) -> Response:
        values = {"issuer": issuer, "sign_in": sign_in, "choices": choices(issuer, sign_in)}
        page = renderer.render("chooser.html", values).encode()
        length = {"content-type": "text/html; charset=utf-8", "content-length": str(len(page))}
        return Response(200, {**headers(destination(sign_in.redirect_uri)), **length}, page)

    return choose


def choices(issuer: LocalIssuer, sign_in: SignIn) -> list[Choice]:
    """Everybody who can sign in as asked; who was hinted at comes first."""
    found: list[Choice] = []
    users = [user for user in issuer.registry.users if not user.is_suspended]
    for user in sorted(users, key=lambda user: sign_in.login_hint not in (user.id, user.email)):
        if sign_in.org_code is not None:
            membership = user.membership(sign_in.org_code)
            found += [] if membership is None else [(user, membership)]
        else:
            found += [(user, membership) for membership in user.memberships] or [(user, None)]
    return found


def destination(redirect_uri: str) -> str:
    """The source expression for it (CSP 3), as the answer to the form redirects there; empty if there is none."""
    try:
        parts = urlsplit(redirect_uri)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return ""
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or ":" in host:  # CSP has no word for an IPv6 host
        return f"{parts.scheme}:"
    return f"{parts.scheme}://{host}{port}" if _HOST.fullmatch(host) else ""
