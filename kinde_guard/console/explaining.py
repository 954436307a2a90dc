"""The guard's verdict on a token, check by check, as a guard of this local Kinde would reach it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import get_args

from .. import requirements
from ..errors import ForbiddenReason, InvalidToken, Reason
from ..explain import Check, Explanation, explain
from ..explain.spelling import spelled
from ..issuer import LocalIssuer
from ..keys.jwk import Key, KeysRead, UnusableKeySet, read_jwk_set
from ..keys.key_set import KeySet
from ..requirements import SPELLED_ALONE, SPELLED_WITH_A_NAME, Requirement
from ..settings import Settings
from ..web.bearer import TEXTS
from .forms import at_field

PASSED, NOT_REACHED = "passed", "not_reached"


@dataclass(frozen=True, slots=True)
class ExpectedAnswer:
    """What an API would answer to a token, and the checks that lead to it."""

    explanation: Explanation
    status: int | None
    """``None``: the caller is let in."""
    text: str
    """The public sentence of the refusal."""

    @property
    def rows(self) -> list[tuple[Check, str]]:
        """Every check and what became of it: first the one that decides, then what fails too, then the others as the
        guard makes them."""
        rows = [(check, _outcome(check)) for check in self.explanation.checks]
        return sorted(rows, key=_rank)


class IssuerKeys:
    """The keys that *issuer* publishes, looked up in place: nothing is fetched, and no fault spoils them."""

    offline = False  # they are the issuer's of this moment, and no file of some other
    drift = None

    def __init__(self, issuer: LocalIssuer, settings: Settings) -> None:
        try:
            self._read = read_jwk_set(json.dumps(issuer.jwks()).encode(), settings.algorithms, {})
        except UnusableKeySet:  # nothing but weak keys, say
            self._read = KeysRead({}, ())

    def find(self, issuer: str, kid: str, alg: str) -> Key:
        """The key, as :class:`~kinde_guard.explain.KeySource` has it."""
        key = KeySet(self._read.keys).find(kid, alg)
        if key is None:
            raise InvalidToken("unknown_key", "; ".join(["no usable key of that name", *self._read.skipped]))
        return key


def expected_answer(issuer: LocalIssuer, raw: str, audience: list[str], demands: str) -> ExpectedAnswer:
    """What an API of *audience* makes of *raw*, if its route has these *demands* (:func:`demanded`).

    Wrong ones are a ``ConfigurationError``.

    By the clock of this machine, as the API's guard reads it: the issuer's may be wrong on purpose.
    """
    with at_field("audience"):
        settings = Settings.load(issuer.url, audience=audience or issuer.audience)
    with at_field("demands"):
        wanted = demanded(demands)
    explanation = explain(raw, settings, time.time(), IssuerKeys(issuer, settings), wanted)
    decisive = explanation.decisive
    if decisive is None or decisive.reason is None:
        return ExpectedAnswer(explanation, None, "")
    return ExpectedAnswer(explanation, status_of(decisive.reason), TEXTS[decisive.reason])


def demanded(field: str) -> list[Requirement]:
    """What the form's field says: one requirement with ``&``, ``|`` or quotes; or words, which all have to be met."""
    if any(mark in field for mark in '&|()"'):
        return [spelled(field)]
    return [_demand(word) for word in field.replace(",", " ").split()]


def status_of(reason: Reason) -> int:
    """What a refusal for *reason* is answered with."""
    if reason in ("keys_unavailable", "revocations_unavailable", "api_keys_unavailable"):
        return 503
    if reason == "insufficient_scope" or reason in get_args(ForbiddenReason):
        return 403
    return 400 if reason == "invalid_request" else 401


def _outcome(check: Check) -> str:
    """In a word; a check that the guard does not reach may be known to fail, too."""
    return "fails_too" if check.outcome == NOT_REACHED and check.also == "failed" else check.outcome


def _rank(row: tuple[Check, str]) -> int:
    outcome = row[1]
    return 2 if outcome in (PASSED, NOT_REACHED) else 1 if outcome == "fails_too" else 0


def _demand(word: str) -> Requirement:
    """``permission:KEY`` and the like, or the name of a scope."""
    if word.partition(":")[0] in (*SPELLED_WITH_A_NAME, *SPELLED_ALONE, "m2m"):
        return spelled(word)
    return requirements.scope(word)
