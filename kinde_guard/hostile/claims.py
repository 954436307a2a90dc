"""Hostile claims, truly signed: absent, empty, of every wrong type, or just beyond the edge."""

from __future__ import annotations

from collections.abc import Iterator

from ..issuer import ABSENT
from .cases import Hostile, invalid
from .forge import Forge

DATES = "RFC 7519 §2: a NumericDate is a finite number"
EXPIRY = "RFC 7519 §4.1.4, RFC 9068 §2.2 and §4: an access token has an expiry, and is over on it"
FUTURE = "RFC 7519 §4.1.5 and §4.1.6: not before nbf, nor before it was issued"
ISSUER = "RFC 8725 §3.8, RFC 7519 §4.1.1, RFC 9068 §4: exactly the issuer's text; CVE-2024-53861, CVE-2025-30144"
AUDIENCE = "RFC 7519 §4.1.3, RFC 8725 §3.9, RFC 9068 §4: whoever is not named must refuse"
SUBJECT = "RFC 7519 §4.1.2, RFC 8725 §3.8: a subject is text"
CLIENT = "RFC 9068 §2.2: an access token names its client; Kinde: azp"
GRANT = "RFC 9068 §2.2; Kinde: an app's token has gty client_credentials, a user's has sub, and others are nobody's"

LAST_DATE = 253_402_300_799  # 9999-12-31T23:59:59Z
TENANT = "https://somebody-else.kinde.com"
OTHER_API = "https://other-api.example.com"

_GRANTS: tuple[object, ...] = (ABSENT, None, "", [], {}, 0, True, [None], "authorization_code", ["refresh_token"])
_NEAR_GRANTS = (
    "client_credentials ",
    "CLIENT_CREDENTIALS",
    "not_client_credentials",
    "client_credentials refresh_token",
)
_NESTED_GRANTS = (["client_credentials "], [["client_credentials"]], {"client_credentials": True})


def cases(forge: Forge) -> Iterator[Hostile]:
    """One claim of a good token, changed."""
    yield from _dates(forge)
    yield from _issuers(forge)
    yield from _audiences(forge)
    yield from _callers(forge)


def _dates(forge: Forge) -> Iterator[Hostile]:
    good = forge.now + 3_600
    for name, why in (("exp", EXPIRY), ("nbf", FUTURE), ("iat", FUTURE)):
        yield from forge.each(f"{name} is", _no_dates(good), forge.claim(name), "malformed", f"{DATES}; {why}")
    yield invalid("an app's exp is absent", forge.token({"exp": ABSENT}), "malformed", EXPIRY)
    yield invalid("a user's exp is absent", forge.users({"exp": ABSENT}), "malformed", EXPIRY)
    over = {"this second": forge.past, "a second ago": forge.past - 1, "half a second ago": forge.past - 0.5}
    over |= {"an hour ago": forge.past - 3_600, "0": 0, "0.0": 0.0, "1": 1}
    yield from forge.each("leeway over, an app's exp is", over, forge.claim("exp"), "expired", EXPIRY)
    yield from forge.each("leeway over, a user's exp is", over, forge.users_claim("exp"), "expired", EXPIRY)
    ahead = {"just ahead": forge.future, "an hour ahead": good, "nearly a day ahead": forge.now + 80_000}
    for name in ("nbf", "iat"):
        yield from forge.each(f"leeway over, {name} is", ahead, forge.claim(name), "not_yet_valid", FUTURE)
    token = forge.token({"iat": LAST_DATE, "nbf": LAST_DATE, "exp": LAST_DATE})
    yield invalid("iat, nbf and exp are the end of 9999", token, "not_yet_valid", FUTURE)


def _no_dates(date: int) -> tuple[object, ...]:
    texts = (str(date), "2099-01-01T00:00:00Z", "")
    numbers = (-1, -1e18, LAST_DATE + 1, 1e18, date * 1_000)
    return (None, True, False, *texts, *numbers, [], [date], {}, {"$date": date})


def _issuers(forge: Forge) -> Iterator[Hostile]:
    url = forge.issuer.url
    yield from forge.each("iss is", (ABSENT, None, ""), forge.claim("iss"), "unknown_issuer", ISSUER)
    wrong: tuple[object, ...] = ([url], [url, TENANT], {"url": url}, {url: 1}, 0, True, [], {})
    yield from forge.each("iss is", wrong, forge.claim("iss"), "malformed", ISSUER)
    yield from forge.each("iss is", _lookalikes(*url.split("://")), forge.claim("iss"), "unknown_issuer", ISSUER)
    yield invalid("a user's iss is another tenant", forge.users({"iss": TENANT}), "unknown_issuer", ISSUER)


def _lookalikes(scheme: str, host: str) -> dict[str, object]:
    url = f"{scheme}://{host}"
    return {
        "another tenant": TENANT,
        "with a slash": f"{url}/",
        "with two slashes": f"{url}//",
        "in upper case": url.upper(),
        "its scheme in upper case": f"{scheme.upper()}://{host}",
        "of the other scheme": f"{'http' if scheme == 'https' else 'https'}://{host}",
        "without a scheme": host,
        "without a scheme, with slashes": f"//{host}",
        "with a port": f"{url}:443",
        "with a path": f"{url}/api",
        "with a path that leads back": f"{url}/x/..",
        "with a query": f"{url}?",
        "with a fragment": f"{url}#",
        "with a root dot": f"{url}.",
        "cut short": url[:-1],
        "one letter longer": f"{url}x",
        "its beginning": url[: len(scheme) + 4],
        "a subdomain": f"{scheme}://x.{host}",
        "below another host": f"{url}.attacker.example",
        "before an at sign": f"{url}@attacker.example",
        "in another's path": f"https://attacker.example/{url}",
        "in another's fragment": f"https://attacker.example#{url}",
        "with a space behind": f"{url} ",
        "with a space before": f" {url}",
        "with a line break behind": f"{url}\n",
        "with NUL behind": f"{url}\0",
        "with a fullwidth letter": f"{scheme}://{chr(ord(host[0]) + 0xFEE0)}{host[1:]}",
        "with an invisible character": f"{scheme}://\u200b{host}",
        "percent-encoded": url.replace("://", "%3A%2F%2F"),
        "two in one text": f"{url} {TENANT}",
        "a wildcard": "*",
    }


def _audiences(forge: Forge) -> Iterator[Hostile]:
    it, claim = forge.audience, forge.claim("aud")
    yield from forge.each("an app's aud is", (ABSENT, []), claim, "empty_audience", AUDIENCE)
    yield from forge.each("a user's aud is", (ABSENT, []), forge.users_claim("aud"), "empty_audience", AUDIENCE)
    yield from forge.each("aud is", _no_audiences(it), claim, "malformed", AUDIENCE)
    near = _near(it)
    yield from forge.each("aud is", near, claim, "wrong_audience", AUDIENCE)
    short = {name: [value] for name, value in near.items() if len(name) < 12}
    yield from forge.each("aud is a list of", short, claim, "wrong_audience", AUDIENCE)
    others = [f"https://other-{number}.example" for number in range(200)]
    lists = {"200 others": others, "its letters": list(it), "its halves": [it[:4], it[4:]]}
    yield from forge.each("aud is a list of", lists, claim, "wrong_audience", AUDIENCE)


def _no_audiences(it: str) -> tuple[object, ...]:
    alone: tuple[object, ...] = (None, 0, True, {}, {it: True}, {"aud": it}, [None], [0], [True], [[]], [{}])
    return (*alone, [[it]], [it, 1], [it, None], [1, it], [it, ["x"]], [{"aud": it}, it])


def _near(audience: str) -> dict[str, object]:
    swapped = audience.swapcase()
    return {
        "another API": OTHER_API,
        "empty text": "",
        "cut short": audience[:-1],
        "its beginning": audience[: len(audience) // 2],
        "its end": audience[len(audience) // 2 :],
        "one letter longer": f"{audience}x",
        "with a letter before": f"x{audience}",
        "in another case": swapped if swapped != audience else f"{audience}A",
        "with a slash behind": f"{audience}/",
        "with a path": f"{audience}/v1",
        "a subdomain": audience.replace("://", "://x.") if "://" in audience else f"x.{audience}",
        "below another host": f"{audience}.attacker.example",
        "with a space behind": f"{audience} ",
        "with a line break behind": f"{audience}\n",
        "with NUL behind": f"{audience}\0",
        "with an invisible character behind": f"{audience}\u200b",
        "two in one text": f"{OTHER_API} {audience}",
        "two with a comma": f"{audience},{OTHER_API}",
        "a JSON list as text": f'["{audience}"]',
        "percent-encoded": "".join(f"%{byte:02X}" for byte in audience.encode()),
        "a wildcard": "*",
        "a regular expression": ".*",
    }


def _callers(forge: Forge) -> Iterator[Hostile]:
    subjects: tuple[object, ...] = (None, "", 0, 1, True, 1.5, [], ["kp_1"], {}, {"id": "kp_1"})
    yield from forge.each("a user's sub is", subjects, forge.users_claim("sub"), "malformed", SUBJECT)
    yield from forge.each("an app's sub is", (None, "", 0, []), forge.claim("sub"), "malformed", SUBJECT)
    yield from forge.each("a user's sub is", (ABSENT,), forge.users_claim("sub"), "wrong_token_type", SUBJECT)
    clients: tuple[object, ...] = (None, "", True, False, 1.5, [], ["x"], {})
    yield from forge.each("an app's azp is", clients, forge.claim("azp"), "malformed", CLIENT)
    yield from forge.each("a user's azp is", clients, forge.users_claim("azp"), "malformed", CLIENT)
    yield from forge.each("an app's azp is", (ABSENT,), forge.claim("azp"), "wrong_token_type", CLIENT)
    grants = (*_GRANTS, *_NEAR_GRANTS, *_NESTED_GRANTS)
    yield from forge.each("there is no sub, gty is", grants, forge.claim("gty"), "wrong_token_type", GRANT)
