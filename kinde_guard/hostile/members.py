"""Hostile members of the JOSE header: keys that the token brings along, extensions, types, names of keys."""

from __future__ import annotations

import base64
import datetime
import hashlib
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ..issuer import ABSENT
from .cases import Hostile, invalid, unreadable
from .forge import Forge, dumped, encoded, segment

BROUGHT = "RFC 8725 §3.10, RFC 7515 §4.1.2 to §4.1.6: keys come from the issuer alone; CVE-2018-0114, CVE-2026-27962"
CRIT = "RFC 7515 §4.1.11: what is not understood must be refused; CVE-2025-59420, CVE-2026-32597"
B64 = "RFC 7797: no JWT has an unencoded payload; GHSA-w7vc-732c-9m39"
ZIP = "RFC 7516 §4.1.3: zip is for JWE alone; CVE-2024-33664, CVE-2024-28102"
NESTED = "RFC 7519 §7.2 step 8: with cty JWT the payload is itself a JWT, and claims are none"
TYPE = "RFC 8725 §3.11, RFC 9068 §4: a typ that is there must be an access token's"
KID = "RFC 7515 §4.1.4, RFC 8725 §3.10: a kid is a case-sensitive name from a stranger, and no key is guessed"

_LIST_CRITS: tuple[object, ...] = (
    [],
    ["exp"],
    ["kid"],
    ["alg", "typ"],
    ["new"],
    [""],
    [1],
    [None],
    ["new", "new"],
    ["absent"],
)
_OTHER_CRITS: tuple[object, ...] = ("new", None, True, 1, {}, {"new": 1})
_OTHER_TYPES = (
    "dpop+jwt",
    "logout+jwt",
    "secevent+jwt",
    "id_token+jwt",
    "refresh+jwt",
    "oauth-authz-req+jwt",
    "client-authentication+jwt",
    "token-introspection+jwt",
    "entity-statement+jwt",
    "vc+sd-jwt",
    "kb+jwt",
    "jwk-set+json",
    "JOSE",
    "JOSE+JSON",
    "JWE",
    "JWS",
    "application/logout+jwt",
)
_NO_TYPES = ("", None, 0, True, ["JWT"], {"JWT": 1}, "JWT ", " JWT", "JWT\0", "xat+jwt", "at+jwt2", "at jwt")
_INJECTED_KIDS = {
    "a path": "../../../../../../dev/null",
    "a path to something known": "../../../../proc/sys/kernel/randomize_va_space",
    "SQL": "x' UNION SELECT 'c2VjcmV0' -- ",
    "a command": "x|/usr/bin/sleep 9",
    "a format string": "%s%n{0.__class__}",
    "a template": "{{7*7}}${7*7}",
    "a URL": "https://attacker.example/jwks.json#x",
    "a response header": "x\r\nX-Injected: 1\r\n\r\n",
    "a challenge": 'x", error="none", realm="attacker',
    "markup": "<script>alert(1)</script>",
    "a Python name": "__proto__",
    "in another script": "\u043a\u043b\u044e\u0447-\u9375-\U0001f511",
}


def cases(forge: Forge) -> Iterator[Hostile]:
    """What a header must not be able to do."""
    yield from _brought(forge)
    yield from _extensions(forge)
    yield from forge.each("typ is", (*_OTHER_TYPES, *_NO_TYPES), forge.member("typ"), "wrong_token_type", TYPE)
    token = forge.users(header={"typ": "logout+jwt"})
    yield invalid("a user's token, typ is logout+jwt", token, "wrong_token_type", TYPE)
    yield from _kids(forge)


def _brought(forge: Forge) -> Iterator[Hostile]:
    """The attacker signs, and says where to find the key: under the issuer's kid, under the key's own, under none."""
    own = forge.issuer.stranger
    for name, members in _locations(forge).items():
        yield invalid(f"{name}, issuer's kid", forge.forged(members), "bad_signature", BROUGHT)
        yield invalid(f"{name}, own kid", forge.forged(members, key=own), "unknown_key", BROUGHT)
        yield invalid(f"{name}, no kid", forge.forged({**members, "kid": ABSENT}), "malformed", f"{BROUGHT}; {KID}")


def _locations(forge: Forge) -> dict[str, dict[str, object]]:
    jwk, certificate = forge.issuer.stranger.public_jwk(), _certificate(forge)
    url, chain = "https://attacker.example/keys", [base64.b64encode(certificate).decode()]
    thumbprints = {
        "x5t": encoded(hashlib.sha1(certificate, usedforsecurity=False).digest()),
        "x5t#S256": encoded(hashlib.sha256(certificate).digest()),
    }
    return {
        "jwk": {"jwk": jwk},
        "jwk with the issuer's kid": {"jwk": {**jwk, "kid": forge.kid}},
        "jku": {"jku": url},
        "jku that looks like the issuer's": {"jku": f"{forge.issuer.url}@attacker.example/.well-known/jwks"},
        "jku into the file system": {"jku": "file:///etc/passwd"},
        "jku into the network": {"jku": "http://127.0.0.1:9/latest/meta-data"},
        "x5u": {"x5u": url},
        "x5c": {"x5c": chain},
        "x5c with thumbprints": {"x5c": chain, **thumbprints},
        "jwk, jku, x5u and x5c": {"jwk": jwk, "jku": url, "x5u": url, "x5c": chain},
    }


def _certificate(forge: Forge) -> bytes:
    """A stranger's certificate that bears the issuer's name, which nobody vouches for."""
    key = forge.issuer.stranger.private
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, forge.issuer.url.partition("://")[2][:64])])
    now = datetime.datetime.fromtimestamp(forge.now, datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def _extensions(forge: Forge) -> Iterator[Hostile]:
    reason = "unsupported_header"

    def critical(crit: object) -> str:
        return forge.token(header={"crit": crit, "new": 1, "exp": forge.now + 99})

    yield from forge.each("crit is", (*_LIST_CRITS, *_OTHER_CRITS), critical, reason, CRIT)
    yield from forge.each("b64 is", (False, True, None, 0, "false"), forge.member("b64"), reason, B64)
    raw = forge.signed(
        segment({"alg": "RS256", "b64": False, "crit": ["b64"], "kid": forge.kid}), dumped(forge.m2m).decode()
    )
    yield unreadable("b64 is false, and the claims stand there as they are", f"Bearer {raw}", f"RFC 7797 §5.2; {B64}")
    for b64 in (False, True):
        token = forge.token(header={"b64": b64, "crit": ["b64"]})
        yield invalid(f"b64 is {b64}, and critical", token, reason, f"{B64}; {CRIT}")
    yield from forge.each("zip is", ("DEF", "def", "", None, False), forge.member("zip"), reason, ZIP)
    yield from forge.each(
        "claims inside, cty is", ("JWT", "jwt", "application/jwt"), forge.member("cty"), reason, NESTED
    )
    nested = forge.good.encode()
    yield invalid("a token inside, cty JWT", forge.token(nested, {"cty": "JWT"}), reason, NESTED)
    yield invalid("a token inside, no cty", forge.token(nested), "malformed", "RFC 7519 §7.2 step 10")


def _kids(forge: Forge) -> Iterator[Hostile]:
    """All but the injected ones are truly signed: only the name is wrong."""
    kid, member = forge.kid, forge.member("kid")
    yield from forge.each("kid is", (ABSENT, None, "", 0, 1, 1.5, True, [kid], {"kid": kid}), member, "malformed", KID)
    long = {"257 characters long": "k" * 257, "8,000 characters long": "k" * 8_000}
    yield from forge.each("kid is", long, member, "malformed", f"256 characters at most; {KID}")
    half = forge.token(header=forge.header.replace(kid.encode(), rb"\ud800"))
    yield invalid("kid is half a character", half, "malformed", f"RFC 8259 §8.2, RFC 8725 §3.7; {KID}")
    yield from forge.each("kid is", _near(kid), member, "unknown_key", KID)
    yield from forge.each("kid is", _INJECTED_KIDS, lambda kid: forge.forged({"kid": kid}), "unknown_key", KID)


def _near(kid: str) -> dict[str, object]:
    return {
        "in upper case": kid.upper() if kid.upper() != kid else f"{kid}A",
        "cut short": kid[:-1],
        "one character longer": f"{kid}0",
        "with a space behind": f"{kid} ",
        "with a line break behind": f"{kid}\n",
        "with NUL behind": f"{kid}\0",
        "with an invisible character behind": f"{kid}\u200b",
        "in quotes": f'"{kid}"',
        "twice": f"{kid},{kid}",
        "somebody else's": "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f",
        "the number 0 as text": "0",
        "a wildcard": "*",
        "256 characters long": "k" * 256,
    }
