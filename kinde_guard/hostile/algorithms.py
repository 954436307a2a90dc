"""Hostile algorithms: none at all, the public key as a shared secret, and relatives of the right one."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..issuer import ABSENT, UNSIGNED, SigningKey
from .cases import Hostile, invalid
from .forge import Forge, dumped, encoded

REASON = "unsupported_algorithm"
ALLOW_LIST = "RFC 8725 §3.1, RFC 7515 §4.1.1: only the algorithms that were chosen beforehand, compared exactly"
NONE = "RFC 8725 §3.2, RFC 7518 §3.6, RFC 9068 §4; CVE-2015-9235, CVE-2022-23540: a token is signed"
CONFUSION = "RFC 8725 §2.1; CVE-2016-10555, CVE-2022-29217, CVE-2024-33663: anybody has the public key"
ONE_KEY = "RFC 8725 §3.1; GHSA-jq35-7prp-9v3f: one key, one algorithm"
CURVE = "RFC 7518 §3.1 and §3.4: the algorithm must fit the key's type and curve"
ENCRYPTS = "RFC 7518 §4.1; CVE-2023-51774, CVE-2022-36083: what encrypts does not sign"

_SPELLINGS = ("rs256", "Rs256", " RS256", "RS256 ", "RS256\n", "RS256\0", "RS-256", "RSA", "RS256,HS256")
_NAMES = ("\uff32\uff33256", "sha256WithRSAEncryption", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256")
_TYPES = (ABSENT, None, "", 0, True, ["RS256"], {"RS256": True})


def cases(forge: Forge) -> Iterator[Hostile]:
    """Algorithms that are not on the allow-list, and signatures that are not what the header says."""
    yield from _none(forge)
    yield from _confused(forge)
    yield from _relatives(forge)
    yield from _elliptic(forge)
    yield from forge.each("alg is", (*_TYPES, *_SPELLINGS, *_NAMES), forge.member("alg"), REASON, ALLOW_LIST)
    for alg in ("RSA-OAEP", "RSA1_5", "dir", "A256GCM", "PBES2-HS256+A128KW"):
        token = forge.token(header={"alg": alg, "enc": "A256GCM", "p2c": 2_147_483_647})
        yield invalid(f"alg is {alg}, which encrypts", token, REASON, ENCRYPTS)


def _none(forge: Forge) -> Iterator[Hostile]:
    spellings = ("none", "None", "NONE", "nOnE")
    yield from forge.each("truly signed, alg is", spellings, forge.member("alg"), REASON, NONE)
    for alg in spellings:
        yield invalid(f"not signed, alg is {alg}", _unsigned(forge, {"alg": alg}), REASON, NONE)
    token = _unsigned(forge, {})
    yield invalid("alg none, junk for a signature", token + encoded(b"junk"), REASON, NONE)
    yield invalid("alg none, no second dot", token.rstrip("."), "malformed", f"RFC 7515 §7.1; {NONE}")
    yield invalid("alg none, no kid", _unsigned(forge, {"kid": ABSENT}), REASON, NONE)
    yield invalid("alg none, typ at+jwt", _unsigned(forge, {"typ": "at+jwt"}), REASON, NONE)


def _unsigned(forge: Forge, header: dict[str, object]) -> str:
    return forge.forged({"kid": forge.kid, **header}, key=UNSIGNED)


def _confused(forge: Forge) -> Iterator[Hostile]:
    secrets = _secrets(forge)
    for name, secret in secrets.items():
        token = forge.forged(key=SigningKey(forge.kid, "HS256", secret))
        yield invalid(f"HS256, the secret is {name}", token, REASON, CONFUSION)
    pem = secrets["the public key as PEM"]
    for alg in ("HS384", "HS512"):
        token = forge.forged(key=SigningKey(forge.kid, alg, pem))
        yield invalid(f"{alg}, the secret is the public key as PEM", token, REASON, CONFUSION)
    hmac = SigningKey(forge.kid, "HS256", pem)
    for alg in ("hs256", "HMAC", "HS256 "):
        yield invalid(f"HS256 that calls itself {alg!r}", forge.forged({"alg": alg}, key=hmac), REASON, CONFUSION)
    token = forge.forged({"alg": "RS256"}, key=hmac)
    yield invalid("RS256 that is HS256 with the public key", token, "bad_signature", CONFUSION)


def _secrets(forge: Forge) -> dict[str, bytes]:
    """What a confused verifier may take for a shared secret. All of it is public, or can be guessed."""
    public = forge.issuer.key.private.public_key()
    jwk = forge.issuer.key.public_jwk()
    modulus = public.public_numbers().n
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "the public key as PEM": pem,
        "the public key as PEM without its last line break": pem.rstrip(),
        "the public key as PEM on one line": b"".join(pem.split(b"\n")[1:-2]),
        "the public key as DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "the public key as PKCS#1 PEM": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "the public key as PKCS#1 DER": public.public_bytes(Encoding.DER, PublicFormat.PKCS1),
        "the JWK": dumped(jwk),
        "the JWK Set": dumped(forge.issuer.jwks()),
        "the modulus": modulus.to_bytes((modulus.bit_length() + 7) // 8, "big"),
        "the modulus as base64url": str(jwk["n"]).encode(),
        "the kid": forge.kid.encode(),
        "the client id": forge.client.encode(),
        "the word secret": b"secret",
        "empty": b"",
        "null": b"null",
    }


def _relatives(forge: Forge) -> Iterator[Hostile]:
    for alg in ("RS384", "RS512", "PS256", "PS384", "PS512"):
        key = forge.renamed(forge.issuer.key, alg)
        yield invalid(f"{alg} by the issuer's own key", forge.forged(key=key), REASON, ONE_KEY)
        token = forge.forged({"alg": "RS256"}, key=key)
        yield invalid(f"RS256 that is {alg} by the issuer's own key", token, "bad_signature", ONE_KEY)
    yield invalid("alg is RS1", forge.token(header={"alg": "RS1"}), REASON, f"RFC 8725 §3.2: SHA-1; {ALLOW_LIST}")


def _elliptic(forge: Forge) -> Iterator[Hostile]:
    for alg in ("ES256", "ES384", "ES512", "EdDSA"):
        key = SigningKey.make(alg)
        yield invalid(f"{alg} under the issuer's kid", forge.forged(key=forge.renamed(key)), REASON, CURVE)
        yield invalid(f"{alg} under a kid of its own", forge.forged(key=key), REASON, CURVE)
        token = forge.forged({"alg": "RS256"}, key=forge.renamed(key))
        yield invalid(f"RS256 that is {alg}", token, "bad_signature", CURVE)
    yield from forge.each("alg is", ("ES256K", "Ed25519", "ML-DSA-44"), forge.member("alg"), REASON, ALLOW_LIST)
    zeros = forge.token(header={"alg": "ES256"}).rpartition(".")[0] + "." + encoded(bytes(64))
    yield invalid("ES256 with r = s = 0", zeros, REASON, f"CVE-2022-21449; {CURVE}")
