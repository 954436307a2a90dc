"""Kinde's API keys: opaque texts that open one API until they are revoked. Whoever gets one asks Kinde about it.

docs.kinde.com/manage-your-apis/about-api-keys/api-keys-overview. Kinde has no end for them yet, and says that it is
coming: here a key may have one.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from ..errors import ConfigurationError
from ..net import forks

ApiKeyStatus = Literal["active", "inactive", "revoked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key is known here by all but its text, which is shown once: to whom it is made for."""

    id: str
    """Stays when the key is rotated."""
    name: str
    api_id: str
    """The id of the API that it opens; see ``Api.id``."""
    scopes: tuple[str, ...]
    user_id: str | None = None
    org_code: str | None = None
    status: ApiKeyStatus = "active"
    key_prefix: str
    """The first six characters of its text, which all keys have in common."""
    key_suffix: str
    """The last four."""
    created_at: float
    """Seconds since the epoch."""
    expires_at: float | None = None
    """Seconds since the epoch; ``None``: never, as in Kinde."""
    last_verified_at: float | None = None
    """Seconds since the epoch; ``None``: never."""
    last_verified_ip: str | None = None
    verification_count: int = 0
    """How often Kinde was asked about it, and found it good."""

    def status_at(self, now: float) -> ApiKeyStatus:
        """Its status at *now* (seconds since the epoch): ``inactive`` once it has expired."""
        is_over = self.expires_at is not None and self.expires_at <= now
        return "inactive" if is_over and self.status == "active" else self.status

    @property
    def key_type(self) -> Literal["user", "organization", "environment"]:
        """Whose it is."""
        return "user" if self.user_id is not None else "environment" if self.org_code is None else "organization"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApiKey(ApiKey):
    """A new API key has its text, which is not kept."""

    key: str = field(repr=False)


class IssuedApiKeys:
    """The API keys that have been made, found by the digests of their texts. Reading takes no lock."""

    def __init__(self) -> None:
        self._lock = forks.Lock()
        self._keys: dict[str, ApiKey] = {}
        self._ids: dict[bytes, str] = {}

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(tuple(self._keys.copy().values()))

    def named(self, key_id: str) -> ApiKey | None:
        """The key with that id."""
        return self._keys.get(key_id)

    def known(self, key_id: str) -> ApiKey:
        """The key with that id, or a ``ConfigurationError``."""
        key = self._keys.get(key_id)
        if key is None:
            raise ConfigurationError("there is no such API key: create_api_key(…) first")
        return key

    def of(self, text: str) -> ApiKey | None:
        """The key with that text, as it is now."""
        return self._keys.get(self._ids.get(_digest(text), ""))

    def add(self, key: NewApiKey) -> None:
        """Keep *key*, but for its text; one with the same id, and its text, is no more."""
        kept = ApiKey(**{name: getattr(key, name) for name in ApiKey.__dataclass_fields__})
        with self._lock.now:
            self._ids = {digest: key_id for digest, key_id in self._ids.items() if key_id != key.id}
            self._ids[_digest(key.key)] = key.id
            self._keys[key.id] = kept

    def mark(self, key_id: str, status: ApiKeyStatus) -> ApiKey:
        """Let the key be *status* from now on; ``ConfigurationError`` if there is none of that id."""
        with self._lock.now:
            self._keys[key_id] = marked = replace(self.known(key_id), status=status)
        return marked

    def count(self, key_id: str, at: float, ip: str | None) -> ApiKey:
        """One more verification of a good key."""
        with self._lock.now:
            key = self.known(key_id)
            times = key.verification_count + 1
            self._keys[key_id] = replace(key, verification_count=times, last_verified_at=at, last_verified_ip=ip)
            return self._keys[key_id]


def new_api_key_id() -> str:
    """An id in Kinde's form."""
    return f"api_key_{secrets.token_hex(16)}"


def new_api_key_text() -> str:
    """The text of a key in Kinde's form."""
    return f"k_live_{secrets.token_hex(16)}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
