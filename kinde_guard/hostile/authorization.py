"""Hostile requests around a good token: the Authorization header bent, doubled or absent, the token somewhere else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote

from .cases import Hostile, Pairs, bearer, foreign, invalid, missing, unreadable
from .forge import Forge

GRAMMAR = "RFC 6750 §2.1, RFC 9110 §11.4: Bearer, spaces, one b64token"
SCHEME = "RFC 9110 §11.1 and §11.6.2: another scheme's credentials are not bearer credentials"
ONCE = "RFC 9110 §5.3, RFC 6750 §3.1: Authorization is no list, and more than one token is invalid_request"
NONE = "RFC 6750 §3.1: no credentials, no error code"
HEADER_ALONE = "RFC 6750 §2.2 and §2.3, RFC 9700 §4.3.2: the Authorization header, and nothing else"

_NOT_SPACES = {
    "nothing": "",
    "a tab": "\t",
    "a tab and a space": "\t ",
    "a line break": "\n",
    "a folded line": "\r\n ",
    "a vertical tab": "\v",
    "a form feed": "\f",
    "a file separator": "\x1c",
    "U+0085": "\x85",
    "a no-break space": "\xa0",
    "an em space in UTF-8": "\xe2\x80\x83",
    "NUL": "\0",
    "a colon": ":",
    "a colon and a space": ": ",
    "an equals sign": "=",
    "a comma": ",",
    "a comma and a space": ", ",
    "a slash": "/",
    "%20": "%20",
    "a plus sign": "+",
}
_SCHEMES = ("Basic", "DPoP", "Digest", "Negotiate", "MAC", "OAuth", "Token", "token", "JWT", "ApiKey", "GNAP", "Mutual")
_LIKE_BEARER = ("Bearers", "Beare", "XBearer", "Bearer2", "Bearer-Token", "B earer")
_LIKE_BEARER_IN_UTF8 = ("\xe2\x80\x8bBearer", "B\xd0\xb5arer")  # an invisible character before; a Cyrillic e
_LOOKALIKES = (
    "X-Authorization",
    "Proxy-Authorization",
    "X-Forwarded-Authorization",
    "X-Original-Authorization",
    "Authorization-Bearer",
    "Authentication",
    "WWW-Authenticate",
    "Sec-WebSocket-Protocol",
)
_BARE_LOOKALIKES = (
    "X-Access-Token",
    "X-Forwarded-Access-Token",
    "X-Auth-Token",
    "X-Api-Key",
    "Access-Token",
    "Token",
    "DPoP",
)


def cases(forge: Forge) -> Iterator[Hostile]:
    """The token in each of these would be let in, if it were sent as it should be."""
    yield from _nothing()
    yield from _bent(forge.good)
    yield from _schemes(forge.good)
    yield from _several(forge)
    yield from _costly()
    yield from _elsewhere(forge)


def _nothing() -> Iterator[Hostile]:
    yield missing("no Authorization header", [], NONE)
    for name, value in {"empty": "", "a space": " ", "a tab": "\t", "spaces and tabs": " \t \t "}.items():
        yield missing(f"Authorization is {name}", [("Authorization", value)], NONE)
    for value in ("Bearer", "bearer", "Bearer ", "Bearer    ", "Bearer \t", "Bearer ="):
        yield unreadable(f"Authorization is {value!r}", value, GRAMMAR)


def _bent(good: str) -> Iterator[Hostile]:
    for name, separator in _NOT_SPACES.items():
        make = foreign if name in ("nothing", "%20", "a plus sign") else unreadable
        yield make(f"between Bearer and the token: {name}", f"Bearer{separator}{good}", GRAMMAR)
    for name, value in _around(good).items():
        yield unreadable(f"the token {name}", f"Bearer {value}", GRAMMAR)
    yield invalid("the token with = behind", f"{good}=", "malformed", f"RFC 7515 §2; {GRAMMAR}")
    yield invalid("the token twice without a space", good + good, "malformed", f"RFC 7515 §7.1; {GRAMMAR}")


def _around(good: str) -> dict[str, str]:
    return {
        "in double quotes": f'"{good}"',
        "in single quotes": f"'{good}'",
        "in brackets": f"<{good}>",
        "as a parameter": f'token="{good}"',
        "as access_token=": f"access_token={good}",
        "with Bearer twice": f"Bearer {good}",
        "with a comma behind": f"{good},",
        "with a semicolon behind": f"{good};",
        "with a word behind": f"{good} x",
        "with a parameter behind": f"{good}, realm=x",
        "with itself behind": f"{good} {good}",
        "with a comma and itself behind": f"{good},{good}",
        "with NUL behind": f"{good}\0",
        "with a line break behind": f"{good}\n",
        "with a header behind": f"{good}\r\nX-Injected: 1",
        "with a no-break space behind": f"{good}\xa0",
        "with a letter in UTF-8 behind": f"{good}\xc3\xa9",
        "percent-encoded": good.replace(".", "%2E"),
        "after a tab": f"\t{good}",
        "as JSON": json.dumps({"access_token": good}),
        "as a Python value": f"b'{good}'",
        "that is an object": "[object Object]",
        "that is markup": "<script>alert(1)</script>",
    }


def _schemes(good: str) -> Iterator[Hostile]:
    for scheme in (*_SCHEMES, *_LIKE_BEARER, *_LIKE_BEARER_IN_UTF8):
        name = scheme.encode("latin-1").decode()
        yield foreign(f"scheme {name!a}", f"{scheme} {good}", SCHEME)
    basic = base64.b64encode(f"token:{good}".encode()).decode()
    yield foreign("Basic, the token is the password", f"Basic {basic}", SCHEME)
    yield foreign("no scheme", good, SCHEME)
    yield foreign("the scheme in quotes", f'"Bearer" {good}', SCHEME)
    yield foreign("the scheme behind the token", f"{good} Bearer", SCHEME)
    yield foreign("a comma before", f", Bearer {good}", f"{SCHEME}; {ONCE}")
    yield foreign("Negotiate with the token behind", f"Negotiate YII= Bearer {good}", SCHEME)


def _several(forge: Forge) -> Iterator[Hostile]:
    good, user = f"Bearer {forge.good}", f"Bearer {forge.good_user}"
    bad = f"Bearer {forge.forged()}"
    # WSGI servers join several with a comma, and the first is then the scheme of the whole.
    several = {
        "the same twice": (good, good),
        "two good ones": (good, user),
        "good and bad": (good, bad),
        "bad and good": (bad, good),
        "good and empty": (good, ""),
        "empty and good": ("", good),
        "good and Basic": (good, "Basic eDp5"),
        "Basic and good": ("Basic eDp5", good),
        "good three times": (good, good, good),
    }
    for name, values in several.items():
        yield unreadable(f"several Authorization headers: {name}", values, ONCE)
        if values[0].startswith("Bearer"):
            yield unreadable(f"one Authorization header: {name}, with commas", ", ".join(values), ONCE)
    yield unreadable("one Authorization header: two good ones, with a bare comma", f"{good},{user}", ONCE)
    yield foreign("one Authorization header: Basic and good", f"Basic eDp5, {good}", ONCE)
    yield foreign("one Authorization header: DPoP and good", f"DPoP {forge.good}, {good}", ONCE)


def _costly() -> Iterator[Hostile]:
    """Values that are costly for regular expressions which go back and forth."""
    why = f"CWE-1333: refused in linear time; {GRAMMAR}"
    yield unreadable("5,000 spaces and an exclamation mark", "Bearer " + " " * 5_000 + "!", why)
    yield unreadable("5,000 letters and an exclamation mark", "Bearer " + "a" * 5_000 + "!", why)
    yield unreadable("5,000 equals signs", "Bearer " + "=" * 5_000, why)
    yield invalid("5,000 letters and equals signs", "a" * 2_500 + "=" * 2_500, "malformed", why)
    yield foreign("a scheme of 5,000 letters", "B" * 5_000 + " x", why)
    yield unreadable("Bearer 700 times", "Bearer " * 700, why)


def _elsewhere(forge: Forge) -> Iterator[Hostile]:
    good = forge.good
    for name in _LOOKALIKES:
        yield missing(f"the token in {name}", [(name, f"Bearer {good}")], HEADER_ALONE)
    for name in _BARE_LOOKALIKES:
        yield missing(f"the token in {name}", [(name, good)], HEADER_ALONE)
    for name in ("access_token", "token", "bearer_token", "jwt", "id_token"):
        yield missing(f"the token in the query as {name}", [], HEADER_ALONE, query=f"{name}={good}")
        yield missing(f"the token in a cookie as {name}", [("Cookie", f"{name}={good}")], HEADER_ALONE)
        body = f"{name}={good}".encode()
        yield missing(f"the token in the body as {name}", [], HEADER_ALONE, body=body)
    query = f"authorization={quote(f'Bearer {good}')}"
    yield missing("the header in the query", [], HEADER_ALONE, query=query)
    cookie: Pairs = [("Cookie", f"Authorization=Bearer {good}")]
    yield missing("the header in a cookie", cookie, HEADER_ALONE)
    yield from _good_elsewhere_bad_here(forge)


def _good_elsewhere_bad_here(forge: Forge) -> Iterator[Hostile]:
    """A bad token is refused, whatever else the request holds."""
    bad, good, why = forge.forged(), forge.good, f"RFC 6750 §2 and §3.1; {HEADER_ALONE}"
    cookie: Pairs = [*bearer(bad), ("Cookie", f"access_token={good}")]
    yield Hostile("a forged token, a good one in a cookie", cookie, 401, "invalid_token", why, "bad_signature")
    query = f"access_token={good}"
    name = "a forged token, a good one in the query"
    also = ((400, "invalid_request"),)
    yield Hostile(name, bearer(bad), 401, "invalid_token", why, "bad_signature", also, query=query)
    name = "Basic credentials, a good token in the query"
    yield Hostile(name, [("Authorization", "Basic eDp5")], 401, None, why, "missing_token", also, query=query)
