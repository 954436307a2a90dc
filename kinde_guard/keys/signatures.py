"""Whether a signature holds under a public key: one function for each key and algorithm.

RS256, RS384 and RS512 are compared here, with cryptography's mathematics; every other algorithm is PyJWT's, which is
loaded for them alone: importing it takes longer than everything else that a first token needs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ..tokens.digests import sha256, sha384, sha512

if TYPE_CHECKING:
    from jwt.algorithms import Algorithm

Verifier = Callable[[bytes, bytes], bool]
"""Takes a signing input and a signature (RFC 7515 §2), and says whether the signature holds. May raise what a hostile
signature makes of the libraries."""
_PADDING = PKCS1v15()
# The encoded DigestInfo up to the digest itself: RFC 8017 §9.2, note 1.
_PKCS1_V1_5 = {
    "RS256": (sha256, bytes.fromhex("3031300d060960864801650304020105000420")),
    "RS384": (sha384, bytes.fromhex("3041300d060960864801650304020205000430")),
    "RS512": (sha512, bytes.fromhex("3051300d060960864801650304020305000440")),
}


def load_pyjwt(algorithms: Iterable[str]) -> None:
    """Import PyJWT if one of *algorithms* needs it."""
    if not _PKCS1_V1_5.keys() >= set(algorithms):
        _implementations()


def of_pyjwt(alg: str) -> Algorithm:
    """PyJWT's implementation of *alg*: it reads keys, and verifies signatures."""
    return _implementations()[alg]


def verifier(alg: str, public: Any) -> Verifier:
    """The function that verifies signatures of *alg* under the key *public*."""
    if alg in _PKCS1_V1_5:
        return _pkcs1_verifier(public, *_PKCS1_V1_5[alg])
    implementation = of_pyjwt(alg)
    return lambda signing_input, signature: implementation.verify(signing_input, public, signature)


@functools.cache
def _implementations() -> Mapping[str, Algorithm]:
    from jwt.algorithms import get_default_algorithms  # only here: see above

    return get_default_algorithms()


def _pkcs1_verifier(public: RSAPublicKey, digest: Callable[[bytes], bytes], prefix: bytes) -> Verifier:
    """Compares, byte for byte, what the signature holds with what it has to hold (RFC 8017 §8.2.2). That leaves nothing
    in the signature to be parsed, costs a fifteenth less than ``public.verify``, and keeps the GIL, which beside a
    busy thread takes 5 ms to get back.
    """
    length, recover = (public.key_size + 7) // 8, public.recover_data_from_signature

    def verify(signing_input: bytes, signature: bytes) -> bool:
        if len(signature) != length:  # step 1; OpenSSL would take one whose leading zeros are left out
            return False
        # Without an algorithm: the whole DigestInfo. Its length is fixed, and so is that of the padding in front of it.
        return recover(signature, _PADDING, None) == prefix + digest(signing_input)

    return verify
