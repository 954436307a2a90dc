"""The key set that a store begins with: that of a seed, if one was given and it is not too old."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..errors import ConfigurationError
from ..net.clocks import Clocks
from ..settings.seeds import Seed
from .jwk import KeysRead, UnusableKeySet
from .key_set import KeySet
from .notices import Notices


def first_set(
    seed: Seed,
    read: Callable[[bytes], KeysRead],
    clocks: Clocks,
    *,
    usable_for: float,
    leeway: float,
    notices: Notices,
) -> KeySet:
    """Stale from its beginning, and usable for *usable_for* seconds from when the seed was fetched: it never serves
    longer than if it had been fetched here. One that is too old is no mistake of anybody's, as it was good when the app
    was built: it is left out, and said to be. Raises :class:`ConfigurationError` for one without usable keys."""
    keys_read = _read(seed, read)
    now = clocks.now()
    age = 0.0 if seed.fetched_at is None else now.wall - seed.fetched_at
    if not -leeway <= age < usable_for:
        notices.of_seed_left_out(seed.source, f"it is dated {_date(seed)}, and " + _why(age, usable_for))
        return KeySet()
    if seed.fetched_at is None:
        notices.of_seed_without_date(seed.source, usable_for)
    problem = f"the issuer has yet to answer: these are the keys of {seed.source}, as of {_date(seed)}"
    keys = KeySet.seeded(keys_read, now, age=max(age, 0.0), usable_for=usable_for, problem=problem)
    notices.of_seed(keys)
    return keys


def _read(seed: Seed, read: Callable[[bytes], KeysRead]) -> KeysRead:
    try:
        return read(seed.body)
    except UnusableKeySet as problem:
        raise ConfigurationError(f"jwks: {seed.source} is of no use: {problem}") from None


def _why(age: float, usable_for: float) -> str:
    return "that is in the future" if age < 0 else f"keys are usable for {usable_for:g} s"


def _date(seed: Seed) -> str:
    if seed.fetched_at is None:
        return "now"
    return datetime.fromtimestamp(seed.fetched_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
