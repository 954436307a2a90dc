"""Requests that call themselves CORS preflights: ``OPTIONS`` and headers that anybody can write, in front of handlers.

CORS middleware and frameworks may answer them, as they run no handler for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .cases import Hostile, Pairs, invalid, lacking, missing
from .forge import OIDC_SCOPES, Forge

FORGED = "RFC 9110 §9.3.7, and Fetch (CORS-preflight fetch): what no more than calls itself a preflight runs no handler"
OVERRIDE = f"{FORGED}; CWE-288: nor as the method that it asks to be taken for"

PREFLIGHT: Pairs = [
    ("Origin", "https://app.example"),
    ("Access-Control-Request-Method", "GET"),
    ("Access-Control-Request-Headers", "authorization"),
]
_OVERRIDES = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")


def cases(forge: Forge) -> Iterator[Hostile]:
    """Whoever has a good token may send them all; without one they are nobody's."""
    yield _forged("OPTIONS without a token", [])
    yield _forged("a forged preflight", PREFLIGHT)
    for name, origin in {"null": "null", "empty": ""}.items():
        yield _forged(f"a forged preflight, Origin is {name}", [("Origin", origin), *PREFLIGHT[1:]])
    spelled = [(name.replace("-", "_"), value) for name, value in PREFLIGHT]
    yield _forged("a forged preflight, underscores in its headers", spelled)
    private = ("Access-Control-Request-Private-Network", "true")
    yield _forged("a forged preflight to a private network", [*PREFLIGHT, private])
    for name in _OVERRIDES:
        for method in ("GET", "HEAD", "POST"):
            yield _forged(f"a forged preflight, {name}: {method}", [*PREFLIGHT, (name, method)], OVERRIDE)
    yield _forged("a forged preflight, the token in the query", PREFLIGHT, query=f"access_token={forge.good}")
    yield from _with_credentials(forge)
    yield missing("the headers of a preflight, and not its method", PREFLIGHT, FORGED)


def _with_credentials(forge: Forge) -> Iterator[Hostile]:
    yield _forged("a forged preflight, Basic credentials", [*PREFLIGHT, ("Authorization", "Basic eDp5")])
    yield _like("a forged preflight, a forged token", invalid("", forge.forged(), "bad_signature", FORGED))
    if forge.scope is not None:
        token = forge.users({"scp": list(OIDC_SCOPES)})
        yield _like("a forged preflight, a token that lacks the scope", lacking("", token, FORGED))


def _forged(name: str, headers: Pairs, why: str = FORGED, query: str = "") -> Hostile:
    return replace(missing(name, headers, why, query=query), method="OPTIONS")


def _like(name: str, case: Hostile) -> Hostile:
    return replace(case, name=name, headers=[*PREFLIGHT, *case.headers], method="OPTIONS")
