"""What a fleet shares, sealed: who can read Redis reads nothing, and who can write there can make nobody use it.

AES-GCM with a random nonce, under a key that HKDF (RFC 5869) derives from the client secret. What a seal was made for
(issuer, client id, audience, scopes, and the use of the text) is its associated data: none opens where another belongs.
"""

from __future__ import annotations

import base64
import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..net import forks
from .token_request import Application

_FORM = "kinde_guard m2m 1"  # another form of what is sealed gets another number
_NONCE = 12


class Seal:
    """Closes and opens texts for all who have the secret of one application, and ask for the same audience and scopes.

    *name* is the same for all of them, and another with any other secret: so that a secret which is being rotated does
    not have two halves of a fleet refuse one another's token.
    """

    def __init__(self, app: Application) -> None:
        about = [_FORM, app.issuer, app.client_id, sorted(app.audience), sorted(app.scopes)]
        self._about = json.dumps(about).encode()
        with forks.steady:
            self.name = self._derived(app, b"name", 16).hex()
            self._cipher = AESGCM(self._derived(app, b"key", 32))

    def close(self, use: str, text: str) -> str:
        """*text*, sealed for one *use*."""
        nonce = os.urandom(_NONCE)
        with forks.steady:
            return base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), self._bound(use))).decode()

    def open(self, use: str, sealed: str | bytes | None) -> str | None:
        """The text; ``None`` for whatever :meth:`close` has not made here, for this *use*."""
        try:
            whole = base64.b64decode(sealed or "", validate=True)
            with forks.steady:
                return self._cipher.decrypt(whole[:_NONCE], whole[_NONCE:], self._bound(use)).decode()
        except (ValueError, InvalidTag):
            return None

    def _derived(self, app: Application, use: bytes, length: int) -> bytes:
        info = b"%s %s" % (use, self._about)
        return HKDF(SHA256(), length, salt=None, info=info).derive(app.secret.encode())

    def _bound(self, use: str) -> bytes:
        return f"{use} ".encode() + self._about
