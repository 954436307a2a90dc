"""The examples in the appendices of the RFCs: signatures and keys that were made by nobody here.

None of them is an access token: no key among them has the kid that its token names, or the token names none.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from helpers import Issuer, Json, guard_of, jwk, reason_of

from kinde_guard.keys.jwk import read_jwk_set
from kinde_guard.keys.key_set import KeySet
from kinde_guard.settings import ASYMMETRIC

# RFC 7515, appendix A.2.1, A.3.1, A.4.1
RSA: Json = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ"
    "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665"
    "xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
P256: Json = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
P521: Json = {
    "kty": "EC",
    "crv": "P-521",
    "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
}
# RFC 8037, appendix A.2
ED25519: Json = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

JOE = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"  # A.1.1
RS256 = (  # RFC 7515, A.2.1
    f"eyJhbGciOiJSUzI1NiJ9.{JOE}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2F"
    "p5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN938"
    "3LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
    "cN_IoypGlUPQGe77Rw"
)
ES256 = (  # A.3.1
    f"eyJhbGciOiJFUzI1NiJ9.{JOE}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
ES512 = (  # A.4.1
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7"
    "XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)
EDDSA = (  # RFC 8037, A.4
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylG"
    "jg5BhVsPt9g7sVvpAr_MuM0KAg"
)
SIGNED = {"RS256": (RS256, RSA), "ES256": (ES256, P256), "ES512": (ES512, P521), "EdDSA": (EDDSA, ED25519)}

NO_TOKENS = {
    "HS256": (  # RFC 7515, A.1.1
        f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "unsupported_algorithm",
    ),
    "none": (f"eyJhbGciOiJub25lIn0.{JOE}.", "unsupported_algorithm"),  # A.5
    "JSON": (  # A.6.4
        json.dumps(
            {
                "payload": JOE,
                "signatures": [
                    {"protected": each.split(".")[0], "header": {"kid": kid}, "signature": each.split(".")[2]}
                    for each, kid in ((RS256, "2010-12-29"), (ES256, "e9bc097a-ce51-4036-9562-d2ade882db0d"))
                ],
            }
        ),
        "malformed",
    ),
    "crit": (  # appendix E
        "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRkl"
        "ORUQiOnRydWUNCn0.RkFJTA.",
        "unsupported_algorithm",
    ),
    "RS256": (RS256, "malformed"),  # no kid
}

# RFC 7517, appendix A.1: a key for encryption, and one for RS256
PUBLIC_KEYS: list[Json] = [
    {
        "kty": "EC",
        "crv": "P-256",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        "use": "enc",
        "kid": "1",
    },
    {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiF"
        "V4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0"
        "zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csF"
        "Cur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    },
]
PRIVATE_KEY = {**PUBLIC_KEYS[0], "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}  # A.2
SECRET_KEYS: list[Json] = [  # A.3
    {"kty": "oct", "alg": "A128KW", "k": "GawgguFyGrWKav7AX4VKUg"},
    {
        "kty": "oct",
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        "kid": "HMAC key used in JWS spec Appendix A.1 example",
    },
]


def holds(token: str, alg: str, key: Json) -> bool:
    """Whether *key* is one for *alg*, and the signature is its."""
    signing_input, _, signature = token.rpartition(".")
    body = json.dumps({"keys": [{"kid": "lent", **key}, jwk()]}).encode()
    found = KeySet(read_jwk_set(body, ASYMMETRIC, {}).keys).find("lent", alg)
    return found is not None and found.verifies(alg, signing_input.encode(), base64.urlsafe_b64decode(signature + "=="))


@pytest.mark.parametrize("alg", SIGNED)
def test_a_signature_holds_for_its_key_its_algorithm_and_what_was_signed(alg: str) -> None:
    token, key = SIGNED[alg]
    assert holds(token, alg, key)
    for other, (_, others) in SIGNED.items():
        assert holds(token, alg, others) == (other == alg)
        assert holds(token, other, key) == (other == alg)
    header, payload, signature = token.split(".")
    for changed in ("", payload[:-1], payload[::-1], f"{payload}A"):
        assert not holds(f"{header}.{changed}.{signature}", alg, key)


@pytest.mark.parametrize("alg", SIGNED)
def test_each_bit_of_a_signature_counts(alg: str) -> None:
    token, key = SIGNED[alg]
    signing_input, _, signature = token.rpartition(".")
    good = base64.urlsafe_b64decode(signature + "==")
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 1 << position % 8
        assert not holds(f"{signing_input}.{base64.urlsafe_b64encode(changed).decode()}", alg, key)


def test_one_signature_of_ed25519_is_not_two() -> None:
    """RFC 8032 §5.1.7: S is less than the order of the group; the same signature with S + L is another's work."""
    order = 2**252 + 27742317777372353535851937790883648493
    signing_input, _, signature = EDDSA.rpartition(".")
    point, scalar = (raw := base64.urlsafe_b64decode(signature + "=="))[:32], int.from_bytes(raw[32:], "little")
    again = base64.urlsafe_b64encode(point + (scalar + order).to_bytes(32, "little")).decode()
    assert holds(EDDSA, "EdDSA", ED25519)
    assert not holds(f"{signing_input}.{again}", "EdDSA", ED25519)


@pytest.mark.parametrize("name", NO_TOKENS)
def test_as_an_access_token_each_is_refused(name: str) -> None:
    token, reason = NO_TOKENS[name]
    guard = guard_of(Issuer({**RSA, "kid": "2010-12-29"}), domain="https://joe.example", algorithms=ASYMMETRIC)
    assert reason_of(guard, token) == reason


@pytest.mark.parametrize(
    ("keys", "skipped"),
    [
        (PUBLIC_KEYS, ["its use is not sig"]),
        ([PRIVATE_KEY, PUBLIC_KEYS[1]], ["its private part is published"]),
        ([*SECRET_KEYS, PUBLIC_KEYS[1]], ["it has no usable kid", "it is a shared secret, published"]),
    ],
    ids=["A.1, public", "A.2, private", "A.3, secret"],
)
def test_which_keys_of_a_set_are_used(keys: list[Any], skipped: list[str]) -> None:
    """RFC 7517, appendix A."""
    read = read_jwk_set(json.dumps({"keys": keys}).encode(), ASYMMETRIC, {})
    assert [kid for kid, _ in read.keys] == ["2011-04-29"]
    assert [text.partition(": ")[2] for text in read.skipped] == skipped
