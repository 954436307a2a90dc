"""The keys that ``explain`` looks for: at the issuers, or in a file."""

from __future__ import annotations

from ..errors import ConfigurationError, InvalidToken
from ..keys.jwk import Key, UnusableKeySet, read_jwk_set
from ..keys.key_set import KeySet
from ..keys.store import stores
from ..net.clocks import Clocks
from ..settings import Settings
from .reading import read_bytes


class PublishedKeys:
    """The keys that the issuers publish, fetched when they are asked for."""

    offline = False

    def __init__(self, settings: Settings) -> None:
        self._stores = stores(settings, Clocks())

    def find(self, issuer: str, kid: str, alg: str) -> Key:
        """As :class:`~kinde_guard.explain.KeySource` has it."""
        return self._stores[issuer].get(kid, alg)

    @property
    def drift(self) -> float | None:
        """The seconds by which the clock here is ahead of the issuer's."""
        drifts = (store.health().clock_drift for store in self._stores.values())
        return next((drift for drift in drifts if drift is not None), None)

    @property
    def problems(self) -> dict[str, str]:
        """Why there are no keys, by issuer."""
        found = {issuer: store.health().problem for issuer, store in self._stores.items()}
        return {issuer: problem for issuer, problem in found.items() if problem}


class SavedKeys:
    """The keys in a file, a JWK Set; nothing is asked of the network."""

    offline = True
    drift = None

    def __init__(self, file: str, settings: Settings) -> None:
        if len(settings.issuers) > 1:
            raise ConfigurationError("--jwks holds the keys of one issuer: pass --domain to say which issuer that is")
        try:
            self._read = read_jwk_set(read_bytes(file), settings.algorithms, {})
        except UnusableKeySet as problem:
            raise ConfigurationError(f"--jwks: {problem}") from None
        self.problems: dict[str, str] = {}

    def find(self, issuer: str, kid: str, alg: str) -> Key:
        """As :class:`~kinde_guard.explain.KeySource` has it."""
        key = KeySet(self._read.keys).find(kid, alg)
        if key is None:
            raise InvalidToken("unknown_key", "; ".join(["no key of that name in the file", *self._read.skipped]))
        return key
