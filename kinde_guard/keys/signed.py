"""A compact JWS signed by a key of an issuer (RFC 7515): an access token, or a webhook's JWT.

What is in it, and of what kind it is, whoever receives it has to judge: here it is read, its key is found, and its
signature is held against it.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InvalidToken
from ..tokens import jws
from ..tokens.jws import Json
from .jwk import Key
from .store import KeyStore

MAX_HEADERS = 64


class Signed:
    """A JWS that has been read, and that nobody may believe before :meth:`SignedReader.check_signature`."""

    __slots__ = (
        "alg",
        "claims",
        "edition",
        "header",
        "key",
        "kid",
        "payload",
        "segment",
        "signature",
        "signing_input",
        "store",
    )

    header: bytes | None
    """Still encoded; ``None`` if what it says is remembered."""
    kid: str
    alg: str
    payload: bytes
    claims: Json
    signing_input: bytes
    segment: bytes
    """The signature, still encoded."""
    signature: bytes
    """The signature, once :meth:`look_for_key` has decoded it."""
    store: KeyStore
    """Of the issuer that is said to have signed it."""
    key: Key | None
    """The one that is to verify it; ``None`` if the issuer's key set does not hold it, and it has to be waited for."""
    edition: object | None
    """Of the key set that *key* was found in; ``None`` if it was waited for."""

    def look_for_key(self, store: KeyStore, now: float) -> None:
        """Look for the key among those that *store* holds at *now*, in seconds by the clock for ages; waits for
        nothing.

        The signature is decoded first, which is the last that can be said without a key: raises :class:`InvalidToken`.
        """
        self.signature = jws.decode(self.segment)
        self.store, keys = store, store.current_at(now)
        self.key = keys.find(self.kid, self.alg)
        self.edition = None if self.key is None else keys.edition


class SignedReader:
    """Reads compact JWS whose headers pass *check_header*, and checks their signatures.

    All tokens of a key have the same header: what it says is remembered, once a signature over it has held. What it
    says is kid and algorithm; the key itself is asked for anew each time.
    """

    def __init__(self, check_header: Callable[[Json], None], room: int = 1) -> None:
        """*room*: how many times as much may be in a payload as in a token's."""
        self._check_header = check_header
        self._room = room
        self._headers: dict[bytes, tuple[str, str]] = {}
        self.knows = self._headers.__contains__
        """Whether what a header says, which is still encoded, is remembered."""

    def read(self, data: bytes) -> Signed:
        """Everything that can be said without a key; raises :class:`InvalidToken`."""
        signed = Signed()  # and filled here: a call with seven arguments would cost as much as a rule
        header, body, signed.segment, signed.signing_input = jws.split(data)
        known = self._headers.get(header)
        signed.header = None if known else header
        signed.kid, signed.alg = known or self._read_header(header)
        signed.payload = payload = jws.decode(body)
        signed.claims = jws.read_object(payload, self._room)
        return signed

    def forget(self, header: bytes) -> None:
        """Forget what *header* says, until a signature over it holds once more."""
        self._headers.pop(header, None)

    def check_signature(self, signed: Signed, key: Key) -> None:
        """Raises :class:`InvalidToken` (``bad_signature``) unless *signed* was signed with *key*."""
        if not key.verifies(signed.alg, signed.signing_input, signed.signature):
            signed.store.ask_behind()
            raise InvalidToken("bad_signature", "the token was changed, or signed with another key of the same kid")
        if signed.header is not None:
            self._remember(signed.header, signed.kid, signed.alg)

    def _read_header(self, segment: bytes) -> tuple[str, str]:
        header = jws.read_object(jws.decode(segment))
        self._check_header(header)
        return header["kid"], header["alg"]

    def _remember(self, segment: bytes, kid: str, alg: str) -> None:
        if len(self._headers) >= MAX_HEADERS:
            self._headers.clear()
        self._headers[segment] = kid, alg
