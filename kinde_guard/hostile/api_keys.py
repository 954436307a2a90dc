"""API keys that a route must refuse which takes Kinde's, and those that it must let in: made fresh by the issuer."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..issuer import Api, LocalIssuer, NewApiKey
from ..issuer import api_key_administration as administration
from .cases import Benign, Hostile, bearer, foreign, invalid, lacking, missing, unreadable
from .forge import Forge

GOOD = "Kinde's guide, Verify API keys in your API: a key is sent as a bearer token (RFC 6750 §2.1)"
STATUS = "Kinde's guide, Verify API keys in your API: is_valid and status, both"
BOUND = "docs.kinde.com/manage-your-apis/about-api-keys/api-keys-overview: each key is limited to a specific API"
SCOPES = "docs.kinde.com/manage-your-apis/about-api-keys/api-key-best-practice: validate scopes; RFC 6749 §3.3"
SHAPE = "Kinde's API keys are letters, digits, - and _ behind k_live_; CWE-20"
GRAMMAR = "RFC 6750 §2.1, RFC 9110 §11.4: Bearer, spaces, one b64token"
SCHEME = "RFC 9110 §11.1: another scheme's credentials are not bearer credentials"
ONCE = "RFC 9110 §5.3, RFC 6750 §3.1: more than one is invalid_request"
HEADER_ALONE = "RFC 6750 §2.2 and §2.3: the Authorization header, and nothing else"
REASON = "invalid_api_key"


@dataclass(slots=True)
class KeyBench:
    """The bench makes keys of *issuer* for *api*, which are all revoked in the end."""

    issuer: LocalIssuer
    api: Api
    scopes: tuple[str, ...]
    org_code: str | None
    made: list[NewApiKey]

    @classmethod
    def of(cls, forge: Forge) -> KeyBench | None:
        """One that makes keys as *forge* makes tokens; ``None`` if no key has what a route needs besides."""
        org_code = forge.needed.get("org_code")
        if forge.needed.keys() - {"org_code"} or not isinstance(org_code, str | None):
            return None
        scopes = () if forge.scope is None else (forge.scope,)
        return cls(forge.issuer, forge.issuer.registry.own_api(forge.audience), scopes, org_code, [])

    def key(self, **options: Any) -> NewApiKey:
        """A good key with these changes."""
        api: Api = options.pop("api", self.api)
        scopes = options.pop("scopes", self.scopes)
        usual: dict[str, Any] = {"user_id": None, "org_code": self.org_code}
        able = replace(api, scopes=scopes)  # whatever scopes it has
        made = administration.create(self.issuer, "Hostile", api=able, scopes=scopes, **{**usual, **options})
        self.made.append(made)
        return made

    def clear(self) -> None:
        """No key of the bench is good any more."""
        for key in self.made:
            self.issuer.revoke_api_key(key)


def good(bench: KeyBench) -> Iterator[Benign]:
    """All must be let in. The first is plain."""
    users = [user.id for user in bench.issuer.registry.users[:1]]
    yield Benign("a good API key", bearer(bench.key().key), GOOD)
    yield Benign("a good API key once more", bearer(bench.made[0].key), f"{GOOD}; remembered or not")
    for user_id in users:
        yield Benign("a user's API key", bearer(bench.key(user_id=user_id).key), GOOD)
    if bench.org_code is None:
        yield Benign("an organization's API key", bearer(bench.key(org_code="org_1").key), GOOD)
    wide = bench.key(scopes=(*bench.scopes, "x:y"))
    yield Benign("an API key with another scope besides", bearer(wide.key), SCOPES)
    yield Benign("an API key, and a scheme in lower case", [("Authorization", f"bearer {wide.key}")], GRAMMAR)
    yield Benign("an API key that is good for an hour", bearer(bench.key(lifetime=3_600).key), GOOD)
    rotated = bench.issuer.rotate_api_key(bench.key())
    yield Benign("the new text of a key that was rotated", bearer(rotated.key), GOOD)


def cases(bench: KeyBench) -> Iterator[Hostile]:
    """All must be refused."""
    yield from _not_good(bench)
    yield from _of_another_api(bench)
    yield from _scopes(bench)
    yield from _shapes(bench.key().key, bench.made[-1].id)
    yield from _headers(bench.key().key)
    yield from _elsewhere(bench.key().key)


def _not_good(bench: KeyBench) -> Iterator[Hostile]:
    issuer, old = bench.issuer, bench.key()
    issuer.rotate_api_key(old)
    revoked, inactive = bench.key(), bench.key()
    issuer.revoke_api_key(revoked)
    issuer.deactivate_api_key(inactive)
    texts = {
        "that nobody made": "k_live_" + "0123456789abcdef" * 2,
        "of a test that nobody made": bench.key().key.replace("k_live_", "k_test_"),
        "that is revoked": revoked.key,
        "that is inactive": inactive.key,
        "that is over": bench.key(lifetime=0).key,
        "that was replaced by rotation": old.key,
        "with a letter more": bench.key().key + "a",
        "with its last letter changed": _changed(bench.key().key),
        "in capitals": f"k_live_{bench.key().key[7:].upper()}AB",
    }
    for name, text in texts.items():
        yield invalid(f"an API key {name}", text, REASON, STATUS)


def _of_another_api(bench: KeyBench) -> Iterator[Hostile]:
    """With the very scope: what ``verify`` says of it is as of a good one."""
    other = Api("https://other-api.example.com", bench.scopes)
    yield invalid("an API key for another API", bench.key(api=other).key, "wrong_api", BOUND)
    for user in bench.issuer.registry.users[:1]:
        made = bench.key(api=other, user_id=user.id)
        yield invalid("a user's API key for another API", made.key, "wrong_api", BOUND)


def _scopes(bench: KeyBench) -> Iterator[Hostile]:
    for scope in bench.scopes:
        others = {
            "no scope": (),
            "another scope": ("x:y",),
            "a longer scope": (f"{scope}2",),
            "a shorter scope": (scope[:-1],),
            "the scope in capitals": (scope.upper(),),
            "the scope with a comma": (f"{scope},",),
        }
        for name, scopes in others.items():
            if scope not in scopes and all(scopes):
                yield lacking(f"an API key with {name}", bench.key(scopes=scopes).key, SCOPES)


def _shapes(key: str, key_id: str) -> Iterator[Hostile]:
    shapes = {
        "nothing behind k_live_": "k_live_",
        "cut off": key[:15],
        "with = behind": f"{key}=",
        "with a dot behind": f"{key}.",
        "as a part of a token": f"{key}.e30.AA",
        "with a slash": f"{key}/../x",
        "with a plus sign": f"{key}+",
        "with a tilde": f"{key}~",
        "far too long": key + "a" * 200,
        "much too long": key + "a" * 20_000,
        "with another prefix": key.replace("k_live_", "k_prod_"),
        "with a prefix in capitals": key.replace("k_live_", "K_LIVE_"),
        "without its prefix": key.removeprefix("k_live_"),
        "whose id alone is sent": key_id,
    }
    for name, text in shapes.items():
        yield invalid(f"an API key {name}", text, "malformed", SHAPE)
    bent = {"in quotes": f'"{key}"', "with a word behind": f"{key} x", "with a comma behind": f"{key},"}
    bent |= {"with NUL behind": f"{key}\0", "with a line break": f"{key}\r\nX-Injected: 1", "percent": f"{key}%20"}
    for name, text in bent.items():
        yield unreadable(f"an API key {name}", f"Bearer {text}", GRAMMAR)


def _headers(key: str) -> Iterator[Hostile]:
    for scheme in ("ApiKey", "Api-Key", "Token", "Key", "X-Api-Key", "DPoP"):
        yield foreign(f"an API key with the scheme {scheme}", f"{scheme} {key}", SCHEME)
    basic = base64.b64encode(f"{key}:".encode()).decode()
    yield foreign("an API key as a user's name in Basic", f"Basic {basic}", SCHEME)
    yield foreign("an API key without a scheme", key, SCHEME)
    yield unreadable("an API key, twice", (f"Bearer {key}", f"Bearer {key}"), ONCE)
    yield unreadable("an API key, twice in one header", f"Bearer {key}, Bearer {key}", ONCE)


def _elsewhere(key: str) -> Iterator[Hostile]:
    for name in ("X-Api-Key", "Api-Key", "X-Kinde-Api-Key", "X-Access-Token", "Proxy-Authorization"):
        yield missing(f"an API key in {name}", [(name, key)], HEADER_ALONE)
    for name in ("api_key", "key", "access_token"):
        yield missing(f"an API key in the query as {name}", [], HEADER_ALONE, query=f"{name}={key}")
        yield missing(f"an API key in a cookie as {name}", [("Cookie", f"{name}={key}")], HEADER_ALONE)
        yield missing(f"an API key in the body as {name}", [], HEADER_ALONE, body=f"{name}={key}".encode())


def _changed(key: str) -> str:
    return key[:-1] + ("0" if key[-1] != "0" else "1")
