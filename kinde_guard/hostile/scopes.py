"""Good tokens that were not granted the scope, near as they may come: 403, and never a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..issuer import ABSENT
from .cases import Hostile, lacking
from .forge import OIDC_SCOPES, Forge, Mint, Values

SPLIT = "RFC 6749 §3.3: scopes are separated by U+0020 and by nothing else"
EXACT = "RFC 6749 §3.3: scopes are compared exactly, case included"
TYPED = "RFC 6749 §3.3: a scope is text; what is of another type grants nothing, and is no server's error"
DECIDES = "RFC 6749 §3.3 and §5.1: scope is what was granted; Kinde: scp is what was asked for"
ELSEWHERE = "RFC 6750 §3.1: the scope claim grants scopes; what is named like one elsewhere is something else"

_SEPARATORS = {
    "a tab": "\t",
    "a line break": "\n",
    "a carriage return": "\r",
    "a vertical tab": "\v",
    "a form feed": "\f",
    "a file separator": "\x1c",
    "U+0085": "\x85",
    "a no-break space": "\u00a0",
    "an em space": "\u2003",
    "a line separator": "\u2028",
    "an ideographic space": "\u3000",
    "a comma": ",",
    "a semicolon": ";",
    "a plus sign": "+",
    "a bar": "|",
    "%20": "%20",
}


def cases(forge: Forge) -> Iterator[Hostile]:
    """None for a route that demands no scope."""
    if forge.scope is None:
        return
    yield from _spelled(forge, forge.scope)
    yield from _typed(forge, forge.scope)
    yield from _decided(forge, forge.scope)
    yield from _elsewhere(forge, forge.scope)


def _each(forge: Forge, label: str, values: Values, mint: Mint, why: str) -> Iterator[Hostile]:
    for name, value in forge.named(values):
        yield lacking(f"{label} {name}", mint(value), why)


def _spelled(forge: Forge, scope: str) -> Iterator[Hostile]:
    def app(text: Any) -> str:
        return forge.token({"scope": text, "scp": []})

    separated = {name: f"openid{separator}{scope}{separator}x" for name, separator in _SEPARATORS.items()}
    yield from _each(forge, "scope holds it between", separated, app, SPLIT)
    yield from _each(forge, "scp is text and holds it between", separated, forge.users_claim("scp"), SPLIT)
    yield from _each(forge, "scope is", _near(scope), app, EXACT)
    listed = {name: ["openid", text] for name, text in _near(scope).items()}
    yield from _each(forge, "scp has a member that is", listed, forge.users_claim("scp"), EXACT)


def _near(scope: str) -> dict[str, object]:
    area, colon, action = scope.partition(":")
    swapped = scope.swapcase()
    return {
        "cut short": scope[:-1],
        "its beginning": area if colon else scope[: len(scope) // 2],
        "its end": action if colon else scope[len(scope) // 2 + 1 :],
        "one letter longer": f"{scope}x",
        "with a letter before": f"x{scope}",
        "with a part behind": f"{scope}:own",
        "with a part before": f"api/{scope}",
        "in another case": swapped if swapped != scope else f"{scope}A",
        "turned round": f"{action}:{area}" if colon and action != area else scope * 2,
        "negated": f"-{scope}",
        "in quotes": f'"{scope}"',
        "with an invisible character": f"{scope[:1]}\u200b{scope[1:]}",
        "with NUL behind": f"{scope}\0",
        "a wildcard": "*",
        "a wildcard of its kind": f"{area}:*",
        "everything there is": "admin root all write:all",
    }


def _typed(forge: Forge, scope: str) -> Iterator[Hostile]:
    odd: tuple[object, ...] = (None, 0, 1, True, 1.5, [], {}, [[scope]], {scope: True}, {"scope": scope})

    def app(value: Any) -> str:
        return forge.token({"scope": value, "scp": []})

    yield from _each(forge, "scp is [], and scope is", (*odd, [scope]), app, TYPED)
    lists: tuple[object, ...] = (
        [None, 0, True, {}],
        [{"scope": scope}],
        [[scope], 1],
        [f"openid {scope}"],
        [f"{scope} "],
    )
    yield from _each(forge, "there is no scope, and scp is", (*odd, *lists), forge.users_claim("scp"), TYPED)


def _decided(forge: Forge, scope: str) -> Iterator[Hostile]:
    yield lacking("neither scope nor scp", forge.token({"scope": ABSENT, "scp": ABSENT}), DECIDES)
    yield lacking("a user's token without it", forge.users({"scp": list(OIDC_SCOPES)}), DECIDES)
    texts = ("", " ", "   ", "openid", "other:things")
    yield from _each(forge, "scp has it, but scope is", texts, forge.claim("scope"), DECIDES)
    asked = {"scp": [*OIDC_SCOPES, scope]}
    yield lacking("a user's scp has it, but scope is openid", forge.users({"scope": "openid", **asked}), DECIDES)
    yield lacking("scp is it, but scope is empty", forge.token({"scope": "", "scp": scope}), DECIDES)


def _elsewhere(forge: Forge, scope: str) -> Iterator[Hostile]:
    for name, value in _places(scope).items():
        token = forge.token({"scope": "", "scp": [], name: value})
        yield lacking(f"scope is empty, but {name} has it", token, ELSEWHERE)
    for name in ("roles", "feature_flags", *(() if forge.permissions_as_scopes else ("permissions",))):
        token = forge.users({"scp": list(OIDC_SCOPES), name: _places(scope)[name]})
        yield lacking(f"a user's token without it, but {name} has it", token, ELSEWHERE)
    for name in ("scope", "scp"):
        token = forge.token({"scope": "", "scp": []}, header={name: scope})
        yield lacking(f"scope is empty, but the header's {name} has it", token, ELSEWHERE)


def _places(scope: str) -> dict[str, object]:
    return {
        "permissions": [scope],
        "x-hasura-permissions": [scope],
        "roles": [{"id": "1", "key": scope, "name": scope}],
        "x-hasura-roles": [scope],
        "feature_flags": {scope: {"t": "b", "v": True}},
        "scopes": [scope],
        "Scope": scope,
        "scope ": scope,
        "authorities": [f"SCOPE_{scope}"],
        "groups": [scope],
        "entitlements": [scope],
        "realm_access": {"roles": [scope]},
        "https://hasura.io/jwt/claims": {"x-hasura-allowed-roles": [scope]},
        "application_properties": {"scope": {"v": scope}},
    }
