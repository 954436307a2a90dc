"""The revocations that the settings name, and what is said where their Redis does not answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer

from ...errors import AuthError, ConfigurationError, KeysUnavailable, RevocationsUnavailable
from ...guard import Guard
from ...net.redis_client import problem_of
from ...revocation import Revocations
from ...settings import KINDE_AUDIENCE, issuer_urls
from ...tokens.access_token import AccessToken
from .. import verdict
from ..doctor.timed_get import timed_get
from ..messages import write_message
from ..reading import read_token

_VARIABLE = "KINDE_REVOCATIONS_URL"


def issuers_of(domains: Sequence[str] | None) -> tuple[str, ...]:
    """Whose revocations: of the domains given, else of those in the environment."""
    return tuple(issuer_urls(domains or None, [os.environ]))


def revocations_of(issuers: Sequence[str], drift: float = 0.0) -> Revocations:
    """Those of ``KINDE_REVOCATIONS_URL``, which is read from there alone: it may hold a password. *drift*: by how many
    seconds the clock here is ahead."""
    if _VARIABLE not in os.environ:
        raise ConfigurationError(f"set {_VARIABLE} to the Redis that the workers follow, such as rediss://host:6379/0")
    return Revocations().bind(issuers, drift=lambda: drift, by="cli")


def drift_of(issuers: Sequence[str]) -> float:
    """The seconds by which the clock here is ahead of the issuers', by the least of them. One that is behind would
    leave tokens that have just been issued."""
    drifts = [timed_get(f"{issuer}/.well-known/jwks").drift for issuer in issuers]
    known = [drift for drift in drifts if drift is not None]
    if not known:
        write_message(f"{issuers[0]} does not say what time it is: the clock of this machine is taken as it is")
    return min(known, default=0.0)


def verified(file: str, issuers: Sequence[str], audience: Sequence[str] | None, *, as_json: bool) -> AccessToken:
    """The token in *file* (``-``: stdin), revoked or not. Exit status 1 where it is refused anyway, 3 without keys."""
    variables = {name: value for name, value in os.environ.items() if name != _VARIABLE}
    guard = Guard(issuers, audience=audience or KINDE_AUDIENCE, variables=[variables])
    try:
        return guard.verify(read_token(file))
    except AuthError as refusal:
        verdict.refused(refusal, as_json)
        raise typer.Exit(1) from None
    except KeysUnavailable as unknown:
        verdict.cannot_tell(unknown, guard.health(), as_json)
        raise typer.Exit(3) from None


@contextmanager
def asking_redis(*, as_json: bool) -> Iterator[None]:
    """Exit status 3 where Redis cannot be asked, or will not do it."""
    try:
        yield
    except RevocationsUnavailable:
        raise _unavailable("Redis cannot be reached, or will not take it: nothing is revoked", as_json) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("redis", "valkey") and not isinstance(error, OSError):
            raise
        raise _unavailable(problem_of(error), as_json) from None


def _unavailable(problem: str, as_json: bool) -> typer.Exit:
    if as_json:
        print(json.dumps({"error": "revocations_unavailable", "problem": problem}))
    else:
        write_message(f"cannot tell: {problem}. See kinde-guard doctor")
    return typer.Exit(3)
