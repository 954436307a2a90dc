"""Requests that must be let in, odd as they look: what Kinde really sends, and what the RFCs allow."""

from __future__ import annotations

from collections.abc import Iterator

from ..issuer import ABSENT
from .cases import Benign, bearer
from .forge import Forge, Mint, Values, dumped

SCHEME = "RFC 9110 §11.1: schemes are compared without case"
SPACES = "RFC 9110 §11.4, RFC 6750 §2.1: one space or more; §5.5: white space around a field value is no part of it"
TYP = "RFC 7515 §4.1.9, RFC 9068 §2.1; Kinde sends JWT"
MEMBERS = "RFC 7515 §4: members that are not understood are ignored"
AUDIENCE = "RFC 7519 §4.1.3: text or a list, any of which is enough"
DATES = "RFC 7519 §2: a date may have a fraction"
LEEWAY = "RFC 7519 §4.1.4 to §4.1.6: leeway for clocks that differ"
CLAIMS = "RFC 7519 §4: claims that are not understood are ignored"
SHAPES = "Kinde's tokens in the field have this shape"
JSON = "RFC 8259 §2, §7 and §8.1: JSON may be written so"
GRANTED = "RFC 6749 §3.3: scopes are a list without an order"


def cases(forge: Forge) -> Iterator[Benign]:
    """The first two are plain: a guard that refuses them proves nothing by refusing the rest."""
    yield _token("an app's token", forge.good, SHAPES)
    yield _token("a user's token", forge.good_user, SHAPES)
    yield from _headers(forge)
    yield from _members(forge)
    yield from _claims(forge)
    yield from _kinde(forge)
    yield from _json(forge)
    yield from _scopes(forge)


def _token(name: str, token: str, why: str) -> Benign:
    return Benign(name, bearer(token), why)


def _each(forge: Forge, label: str, values: Values, mint: Mint, why: str) -> Iterator[Benign]:
    for name, value in forge.named(values):
        yield _token(f"{label} {name}", mint(value), why)


def _headers(forge: Forge) -> Iterator[Benign]:
    good = forge.good
    for scheme in ("bearer", "BEARER", "bEaReR"):
        yield Benign(f"scheme {scheme}", [("Authorization", f"{scheme} {good}")], SCHEME)
    yield Benign("two spaces after Bearer", [("Authorization", f"Bearer  {good}")], SPACES)
    yield Benign("a space and a tab behind the token", [("Authorization", f"Bearer {good} \t")], SPACES)
    yield Benign("a space before Bearer", [("Authorization", f" Bearer {good}")], SPACES)
    yield Benign("the header's name in lower case", [("authorization", f"Bearer {good}")], "RFC 9110 §5.1")
    cookie = ("Cookie", "session=1; access_token=x")
    yield Benign("a cookie beside it", [*bearer(good), cookie], "RFC 6750 §2: only the header counts")


def _members(forge: Forge) -> Iterator[Benign]:
    types = (ABSENT, "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/At+JWT")
    yield from _each(forge, "typ is", types, forge.member("typ"), TYP)
    members = {
        "x": 1,
        "x5t": "abc",
        "cty": "application/json",
        "nonce": None,
        "iss": "somebody",
        "exp": 1,
        "ver": {"a": [1]},
    }
    yield _token("unknown members in the header", forge.token(header=members), MEMBERS)
    located = {"jku": "https://attacker.example", "x5u": "https://attacker.example", "jwk": {}, "x5c": ["x"]}
    yield _token("jku, x5u, jwk and x5c, truly signed", forge.token(header=located), f"{MEMBERS}, so none is looked at")


def _claims(forge: Forge) -> Iterator[Benign]:
    other, audience, now = "https://other-api.example.com", forge.audience, forge.now
    audiences = {"text": audience, "the last of several": [other, audience], "twice": [audience, audience]}
    yield from _each(forge, "an app's aud is", audiences, forge.claim("aud"), AUDIENCE)
    yield from _each(forge, "a user's aud is", audiences, forge.users_claim("aud"), AUDIENCE)
    yield _token("exp has a fraction", forge.token({"exp": now + 3_600.5}), DATES)
    yield _token("iat and nbf have a fraction", forge.token({"iat": now - 0.5, "nbf": now - 10.25}), DATES)
    yield _token("exp is written 1e10", forge.token({"exp": 1e10}), DATES)
    yield _token("nbf is now", forge.token({"nbf": now}), "RFC 7519 §4.1.5: on it is not before it")
    yield _token("iat is absent", forge.token({"iat": ABSENT}), "RFC 7519 §4.1.6: iat is optional")
    if forge.leeway >= 20:
        half = forge.leeway // 2
        yield _token("exp is over, within the leeway", forge.token({"exp": now - 1}), LEEWAY)
        ahead = forge.token({"iat": now + half, "nbf": now + half})
        yield _token("iat and nbf are ahead, within the leeway", ahead, LEEWAY)
    odd = {"custom": {"a": [None, 1, 1.5, "x"]}, "https://example.com/claim": True, "": "", "auth_time": now, "act": {}}
    yield _token("claims that nobody knows", forge.token(odd), CLAIMS)
    yield _token("an event_id of the tenant's own", forge.token({"event_id": "x"}), f"{CLAIMS}; it has an issuer")
    yield _token("7,000 characters", forge.token({"pad": "x" * 4_400}), "Kinde puts permissions and flags into tokens")
    yield _token("500 permissions", forge.users({"permissions": [f"do:{i}" for i in range(500)]}), SHAPES)


def _kinde(forge: Forge) -> Iterator[Benign]:
    yield from _each(forge, "a user's azp is", (1234567890, "reg@live"), forge.users_claim("azp"), SHAPES)
    yield from _each(forge, "an app's azp is", (1234567890, "reg@live"), forge.claim("azp"), SHAPES)
    grants = ("client_credentials", ["x", "client_credentials"])
    yield from _each(forge, "gty is", grants, forge.claim("gty"), SHAPES)
    subjects = ("kp:147143d0fa4a46a8ad620c2ca1a6c290", "kp_6123456789009876", "auth0|1", "\u00fcser")
    yield from _each(forge, "sub is", subjects, forge.users_claim("sub"), SHAPES)
    for name in ("permissions", "roles", "feature_flags"):
        if name in forge.needed:
            continue
        odd: tuple[object, ...] = (None, [], {}, ABSENT, "admin", 1, [1, None])
        yield from _each(forge, f"{name} is", odd, forge.users_claim(name), f"{SHAPES}, or it grants nothing")
    twins = {"x-hasura-permissions": ["do:1"], "x-hasura-org-code": "org_1", "x-hasura-roles": [{"key": "admin"}]}
    yield _token("x-hasura twins", forge.users(twins), SHAPES)
    yield _token("an app's token without v and jti", forge.token({"v": ABSENT, "jti": ABSENT}), SHAPES)
    properties = {"applicationId": forge.client, "application_properties": {"org_code": {"v": "org_8ed648340ea9"}}}
    yield _token("properties of the application", forge.token(properties), SHAPES)


def _json(forge: Forge) -> Iterator[Benign]:
    good, header = dumped(forge.m2m), forge.header
    spaced = b" \r\n\t" + good.replace(b",", b" ,\n ").replace(b":[", b" : [") + b"\n"
    yield _token("white space between the claims", forge.token(spaced), JSON)
    yield _token("white space in the header", forge.token(header=b" " + header.replace(b",", b" , ") + b"\n"), JSON)
    yield _token("an escaped name", forge.token(good.replace(b'"aud"', rb'"\u0061ud"')), JSON)
    yield _token("an escaped slash", forge.token(good.replace(b"/", rb"\/")), JSON)
    yield _token("a character of two escapes", forge.with_text(r'"a":"\ud83d\ude00 \u00e9 \n \u0000"'), JSON)
    yield _token("characters in UTF-8", forge.with_text('"na\u00efve":"\U0001f511 \u043a\u043b\u044e\u0447"'), JSON)
    yield _token("nested 30 deep", forge.with_text('"a":' + "[" * 30 + "]" * 30), f"{JSON}; §9: a limit may be set")
    yield _token("many brackets, none deep", forge.with_text('"a":[' + ",".join(["[{}]"] * 99) + "]"), JSON)
    yield _token("brackets in a text", forge.with_text('"a":"' + "[{" * 99 + '"'), JSON)
    yield _token("the words NaN and true in texts", forge.with_text('"a":["NaN","true","1e400","\\\\ud800"]'), JSON)
    yield _token("large and small numbers", forge.with_text('"a":[1e308,-0,0.1e-5,123456789012345678901]'), JSON)


def _scopes(forge: Forge) -> Iterator[Benign]:
    scope = forge.scope
    if scope is None:
        return
    texts = {"the first": f"{scope} x:y z", "the last": f"x:y z {scope}", "in the middle": f"x {scope} y"}
    yield from _each(forge, "of several in scope it is", texts, forge.claim("scope"), GRANTED)
    shapes: dict[str, dict[str, object]] = {
        "scope, and scp []": {"scope": scope, "scp": []},
        "scope, and no scp": {"scope": scope, "scp": ABSENT},
        "scp, and no scope": {"scope": ABSENT, "scp": [scope]},
        "scp, and scope null": {"scope": None, "scp": [scope]},
        "scp is text": {"scope": ABSENT, "scp": f"openid {scope}"},
        "scp has members that are no text": {"scope": ABSENT, "scp": [1, None, {}, scope]},
    }
    yield from _each(forge, "an app's token:", shapes, forge.token, SHAPES)
    yield from _each(forge, "a user's token:", shapes, forge.users, SHAPES)
