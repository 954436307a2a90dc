"""Digests of tokens, without ever giving the GIL away: beside a busy thread it takes 5 ms to get it back.

hashlib gives it away for more than 2047 bytes at once, so what is longer is fed in pieces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

AT_ONCE = 2047


def fingerprint(digest: bytes) -> str:
    """A token in a log: the first 12 hex digits of its SHA-256, enough to find it again, too little to use it."""
    return digest.hex()[:12]


def _digest_of(new: Callable[[], hashlib._Hash]) -> Callable[[bytes], bytes]:
    # A copy of one that is ready: to make each anew, OpenSSL looks the algorithm up, which costs more than the digest.
    begin = new().copy

    def digest(data: bytes) -> bytes:
        running = begin()
        if len(data) <= AT_ONCE:
            running.update(data)
        else:
            for start in range(0, len(data), AT_ONCE):
                running.update(data[start : start + AT_ONCE])
        return running.digest()

    return digest


sha256 = _digest_of(hashlib.sha256)
sha384 = _digest_of(hashlib.sha384)
sha512 = _digest_of(hashlib.sha512)
