"""Forged signatures over claims that are good in every respect."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512, HashAlgorithm

from ..issuer import ABSENT, SigningKey
from ..issuer.tokens import from_b64url
from .cases import Hostile, invalid
from .forge import Forge, dumped, encoded

WHOLE = "RFC 7515 §5.2: the signature is over header and payload as they were sent"
PADDING = "RFC 8017 §8.2.2: the whole encoded message, and of the key's length; Bleichenbacher 2006, CVE-2016-1494"
KEYS = "RFC 7515 §5.2, RFC 8725 §3.1 and §3.10: the issuer's key of that name, and no other"
WEAK = "RFC 7518 §3.3: 2048 bits or more"


def cases(forge: Forge) -> Iterator[Hostile]:
    """A good token has been sent before these: whoever remembers less than all of it lets them in."""
    yield from _flipped(forge)
    yield from _reshaped(forge)
    yield from _swapped(forge)
    yield from _mistaken(forge)
    yield from _strangers(forge)


def as_if_exponent_1(message: bytes, length: int) -> bytes:
    """RFC 8017 §9.2 (EMSA-PKCS1-v1_5): the encoded message, which is its own signature if the exponent is 1."""
    info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(message).digest()
    return b"\0\1" + b"\xff" * (length - 3 - len(info)) + b"\0" + info


def _flipped(forge: Forge) -> Iterator[Hostile]:
    header, payload, signature = forge.parts
    raw = from_b64url(signature)
    for position in (0, 1, len(raw) // 4, len(raw) // 2, len(raw) * 3 // 4, len(raw) - 2, len(raw) - 1):
        for bit in (0, 7):
            forged = bytearray(raw)
            forged[position] ^= 1 << bit
            token = f"{header}.{payload}.{encoded(bytes(forged))}"
            yield invalid(f"signature: bit {bit} of byte {position} flipped", token, "bad_signature", WHOLE)
    for name, changed in _changed(forge, from_b64url(payload)).items():
        token = f"{header}.{encoded(changed)}.{signature}"
        yield invalid(f"claims changed afterwards: {name}", token, "bad_signature", WHOLE)
    reordered = dumped({"typ": "JWT", "kid": forge.kid, "alg": "RS256"})
    for name, changed in {"typ": forge.header.replace(b"JWT", b"jwt"), "its order": reordered}.items():
        token = f"{encoded(changed)}.{payload}.{signature}"
        yield invalid(f"header changed afterwards: {name}", token, "bad_signature", WHOLE)
    renamed = forge.header.replace(forge.kid.encode(), forge.kid[:-1].encode() + bytes([ord(forge.kid[-1]) ^ 1]))
    token = f"{encoded(renamed)}.{payload}.{signature}"
    yield invalid("header changed afterwards: one bit of the kid", token, "unknown_key", WHOLE)


def _changed(forge: Forge, claims: bytes) -> dict[str, bytes]:
    exp = str(forge.m2m["exp"]).encode()
    return {
        "exp an hour later": claims.replace(exp, str(int(exp) + 3_600).encode()),
        "one bit of a name": claims.replace(b'"v"', b'"w"'),
        "a space added": claims.replace(b",", b", ", 1),
        "scope widened": claims.replace(b'"scope":"', b'"scope":"admin '),
        "a claim added": claims[:-1] + b',"permissions":["admin"]}',
        "another app": claims.replace(forge.client.encode(), b"0" * len(forge.client)),
        "an app made a user": claims[:-1] + b',"sub":"kp_1"}',
    }


def _reshaped(forge: Forge) -> Iterator[Hostile]:
    header, payload, signature = forge.parts
    raw, modulus = from_b64url(signature), forge.issuer.key.private.public_key().public_numbers().n
    length = len(raw)
    shapes = {
        "empty": b"",
        "one byte": raw[:1],
        "half of it": raw[: length // 2],
        "a byte short": raw[:-1],
        "its first byte missing": raw[1:],
        "a byte longer": raw + b"\0",
        "a zero before": b"\0" + raw,
        "twice": raw + raw,
        "all zeros": bytes(length),
        "one": (1).to_bytes(length, "big"),
        "all ones": b"\xff" * length,
        "the modulus": modulus.to_bytes(length, "big"),
        "the modulus less one": (modulus - 1).to_bytes(length, "big"),
        "backwards": raw[::-1],
        "in hexadecimal": raw.hex().encode(),
        "in base64": encoded(raw).encode(),
        "4,096 bytes": raw * 16,
        "the encoded message itself": as_if_exponent_1(_input(forge), length),
        "the hash": hashlib.sha256(_input(forge)).digest(),
    }
    for name, shape in shapes.items():
        yield invalid(f"signature: {name}", f"{header}.{payload}.{encoded(shape)}", "bad_signature", PADDING)


def _input(forge: Forge) -> bytes:
    return forge.good.rpartition(".")[0].encode()


def _swapped(forge: Forge) -> Iterator[Hostile]:
    header, payload, signature = forge.parts
    _, other_payload, other_signature = forge.good_user.split(".")
    other_header = forge.token(header={"typ": "at+jwt"}).partition(".")[0]
    for name, token in {
        "signature": f"{header}.{payload}.{other_signature}",
        "claims": f"{header}.{other_payload}.{signature}",
        "header": f"{other_header}.{payload}.{signature}",
    }.items():
        yield invalid(f"the {name} of another token", token, "bad_signature", WHOLE)


def _mistaken(forge: Forge) -> Iterator[Hostile]:
    """Signatures by the right key, over the wrong thing or in the wrong way."""
    header, payload, _ = forge.parts
    over = {
        "the claims alone": payload.encode(),
        "the header alone": header.encode(),
        "decoded header and claims": from_b64url(header) + b"." + from_b64url(payload),
        "the parts without a dot": f"{header}{payload}".encode(),
        "the parts the other way round": f"{payload}.{header}".encode(),
        "a dot more": _input(forge) + b".",
        "a line break more": _input(forge) + b"\n",
        "nothing": b"",
    }
    for name, message in over.items():
        yield invalid(f"signed: {name}", forge.signed(header, payload, over=message), "bad_signature", WHOLE)
    private, message = forge.issuer.key.private, _input(forge)
    ways: dict[str, tuple[AsymmetricPadding, HashAlgorithm]] = {
        "SHA-1": (PKCS1v15(), SHA1()),  # noqa: S303  # that is the point
        "SHA-512": (PKCS1v15(), SHA512()),
        "PSS": (PSS(MGF1(SHA256()), PSS.DIGEST_LENGTH), SHA256()),
        "PSS without salt": (PSS(MGF1(SHA256()), 0), SHA256()),
    }
    for name, (padding, hashed) in ways.items():
        token = f"{header}.{payload}.{encoded(private.sign(message, padding, hashed))}"
        yield invalid(f"signed with {name}", token, "bad_signature", f"RFC 7518 §3.3; {PADDING}")


def _strangers(forge: Forge) -> Iterator[Hostile]:
    yield invalid("a stranger's key, issuer's kid", forge.forged(), "bad_signature", KEYS)
    yield invalid("a stranger's key, own kid", forge.forged(key=forge.issuer.stranger), "unknown_key", KEYS)
    yield invalid("a stranger's key, no kid", forge.forged({"kid": ABSENT}), "malformed", KEYS)
    user = forge.issuer.token(forge.user, key=forge.stranger)
    yield invalid("a stranger's key, issuer's kid, a user's", user, "bad_signature", KEYS)
    weak = SigningKey.make(bits=1024)
    yield invalid("a key of 1024 bits, own kid", forge.forged(key=weak), "unknown_key", f"{WEAK}; {KEYS}")
    yield invalid("a key of 1024 bits, issuer's kid", forge.forged(key=forge.renamed(weak)), "bad_signature", WEAK)
    elsewhere = {**forge.m2m, "iss": "https://somebody-else.kinde.com"}
    token = forge.issuer.token(elsewhere, key=forge.issuer.stranger)
    yield invalid("another tenant's token by another tenant's key", token, "unknown_issuer", KEYS)
