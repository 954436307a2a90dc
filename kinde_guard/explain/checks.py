"""Why a token is let in or not: every check that the guard makes, in its order, with what was expected and found.

The checks *are* the guard's own rules, called one by one; none is written down here a second time. The guard stops at
the first that fails, and that one is the verdict. What comes after it is asked here nevertheless, as far as it can be,
and told as *also*: who mends one thing wants to know the next.

Pure, but for the keys, which the caller finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from ..errors import AuthError, InsufficientScope, InvalidToken, KeysUnavailable, Reason
from ..keys.jwk import Key
from ..requirements import Requirement
from ..settings import Settings
from ..tokens import jws, rules
from ..tokens.access_token import AccessToken, token_of
from ..tokens.claims import Json
from ..tokens.digests import fingerprint
from . import descriptions
from .fixes import fix
from .refusal_context import RefusalContext

Outcome = Literal["passed", "failed", "not_reached", "cannot_tell"]
Also = Literal["passed", "failed"]
Verdict = Literal["valid", "refused", "cannot_tell"]
_ANOTHER_TOKEN = frozenset({"malformed", "unsupported_algorithm", "unsupported_header", "wrong_token_type"})


class KeySource(Protocol):
    """A source of keys: the issuers themselves, or a file."""

    @property
    def offline(self) -> bool:
        """Whether they are from a file."""

    @property
    def drift(self) -> float | None:
        """The seconds by which this machine's clock is ahead of the issuer's; ``None`` if that did not come up."""

    def find(self, issuer: str, kid: str, alg: str) -> Key:
        """The key, or :class:`InvalidToken` (``unknown_key``), or :class:`KeysUnavailable`."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check, and what became of it. What the token says is shown in ASCII."""

    name: str
    expected: str
    found: str
    outcome: Outcome
    also: Also | None = None
    """What it comes to by itself where the guard does not get as far; ``None`` if that cannot be asked."""
    reason: Reason | None = None
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a verdict: every check, in the guard's order."""

    checks: tuple[Check, ...]
    fingerprint: str
    """What the log calls the token; empty if it did not come as far as to a token."""

    @property
    def decisive(self) -> Check | None:
        """The check that failed or could not be made; ``None`` for a good token."""
        return next((check for check in self.checks if check.outcome in ("failed", "cannot_tell")), None)

    @property
    def verdict(self) -> Verdict:
        """The guard's."""
        if self.decisive is None:
            return "valid"
        return "refused" if self.decisive.outcome == "failed" else "cannot_tell"

    @property
    def also_wrong(self) -> tuple[Check, ...]:
        """What has to be mended besides; nothing, where it takes another token altogether."""
        if self.decisive is not None and self.decisive.reason in _ANOTHER_TOKEN:
            return ()
        return tuple(check for check in self.checks if check.also == "failed")

    @property
    def verified(self) -> bool:
        """Whether the signature holds: only then the issuer vouches for what was found."""
        return any(check.name == "signature" and "passed" in (check.outcome, check.also) for check in self.checks)


def explain(
    raw: str, settings: Settings, now: float, keys: KeySource, demands: Iterable[Requirement] = ()
) -> Explanation:
    """What a guard with *settings* makes of *raw* at *now* (seconds since the epoch), and of *demands* on top."""
    examination = _Examination(raw, settings, now, keys)
    examination.go()
    for demand in demands:
        examination.demand(demand)
    return Explanation(tuple(map(examination.check, examination.made)), fingerprint(examination.digest))


def explain_header(refusal: AuthError, settings: Settings, now: float) -> Explanation:
    """What there is to say of an Authorization header without a token, by its *refusal*. *settings* are the guard's;
    *now* is in seconds since the epoch."""
    name = "authorization"
    mend = fix(RefusalContext(refusal.reason, name, settings, now, ""))
    check = Check(name, descriptions.AUTHORIZATION, refusal.hint, "failed", reason=refusal.reason, fix=mend)
    return Explanation((check,), "")


@dataclass(frozen=True, slots=True)
class _Made:
    """A check that has been made or left out. What to do about it is looked up when all is known."""

    name: str
    expected: str
    found: str
    left_out: bool = False
    problem: AuthError | KeysUnavailable | None = None
    second: bool = False
    """Whether the verdict was there before it."""


class _Examination:
    """Goes the token's way, as ``Guard.verify`` does, and notes what it comes by."""

    def __init__(self, raw: str, settings: Settings, now: float, keys: KeySource) -> None:
        self._raw, self._settings, self._now, self._keys = raw, settings, now, keys
        self._header: Json | None = None
        self._claims: Json | None = None
        self._token: AccessToken | None = None
        self.digest = hashlib.sha256(raw.encode("utf-8", "surrogatepass")).digest()
        self.made: list[_Made] = []

    def go(self) -> None:
        """All but the demands."""
        data = self._ask("size", descriptions.SIZE, lambda _: descriptions.size(self._raw), jws.to_bytes, self._raw)
        parts = self._ask("form", descriptions.FORM, lambda _: descriptions.parts(self._raw), jws.split, data)
        header, body, signature, signing_input = parts or (None, None, None, None)
        self._header = self._ask("header", descriptions.OBJECT, descriptions.members, _read_object, header)
        for about_header in rules.HEADER_RULES:
            self._rule(about_header, self._header, self._settings)
        self._claims = self._ask("payload", descriptions.OBJECT, descriptions.members, _read_object, body)
        for about_claims in rules.CLAIMS_RULES:
            self._rule(about_claims, self._claims, self._settings, self._now)
        decoded = self._ask("encoding", descriptions.BASE64URL, descriptions.size_of, jws.decode, signature)
        key = self._ask("key", self._key_expected(), descriptions.key, self._keys.find, *self._key_named())
        alg = None if self._header is None else self._header.get("alg")
        signed = key, alg, signing_input, decoded
        if self._ask("signature", descriptions.SIGNATURE, descriptions.signature, _verify, *signed):
            self._token = self._made_token(jws.decode(body or b""))

    def demand(self, demand: Requirement) -> None:
        """Asked of a token that is the issuer's: nobody vouches for what another says."""
        token = self._token
        self._ask("demand", str(demand), lambda _: descriptions.held(demand, token), _require, token, demand)

    def check(self, made: _Made) -> Check:
        """What is shown of a check that was made."""
        problem, check = made.problem, Check(made.name, made.expected, made.found, "not_reached")
        if made.left_out:
            return check
        if problem is None:
            return replace(check, also="passed") if made.second else replace(check, outcome="passed")
        check = replace(check, reason=problem.reason, fix=fix(self._context(made, problem)))
        if isinstance(problem, KeysUnavailable):
            return check if made.second else replace(check, outcome="cannot_tell")
        return replace(check, also="failed") if made.second else replace(check, outcome="failed")

    def _rule(self, rule: Callable[..., object], members: Json | None, *others: Any) -> None:
        description = descriptions.DESCRIPTIONS[rule]
        expected = description.expected(self._settings, self._now)
        self._ask(
            description.name,
            expected,
            lambda _: description.found(members or {}, self._settings, self._now),
            rule,
            members,
            *others,
        )

    def _ask(self, name: str, expected: str, found: Callable[[Any], str], run: Callable[..., Any], *given: Any) -> Any:
        """The value of *run*, or ``None`` if it refuses, or if something of what it needs is not *given*."""
        second = any(made.problem is not None for made in self.made)
        if any(each is None for each in given):
            self.made.append(_Made(name, expected, "", left_out=True))
            return None
        value, problem = None, None
        try:
            value = run(*given)
        except (AuthError, KeysUnavailable) as error:
            problem = error
        text = found(value) or (problem.hint if isinstance(problem, AuthError) else "")
        self.made.append(_Made(name, expected, text, problem=problem, second=second))
        return value

    def _passed(self, *names: str) -> bool:
        passed = {made.name for made in self.made if made.problem is None and not made.left_out}
        return passed.issuperset(names)

    def _key_named(self) -> tuple[str | None, str | None, str | None]:
        """Keys are looked for at a trusted issuer alone, also where the verdict is there already."""
        if self._header is None or self._claims is None or not self._passed("alg", "kid", "iss"):
            return None, None, None
        return self._claims["iss"], self._header["kid"], self._header["alg"]

    def _key_expected(self) -> str:
        if self._claims and self._passed("iss"):
            return f"a key of that name at {self._claims['iss']}"
        return descriptions.KEY

    def _made_token(self, payload: bytes) -> AccessToken | None:
        """What the demands are asked of; ``None`` where claims are not of the types that its attributes need."""
        if any(made.problem is not None and made.problem.reason == "malformed" for made in self.made):
            return None
        return token_of(payload, self.digest, self._settings.permissions_as_scopes)

    def _context(self, made: _Made, problem: AuthError | KeysUnavailable) -> RefusalContext:
        token = self._token
        return RefusalContext(
            problem.reason,
            made.name,
            self._settings,
            self._now,
            self._raw,
            self._header or {},
            self._claims or {},
            demand=made.expected,
            required=problem.required if isinstance(problem, InsufficientScope) else (),
            granted=frozenset() if token is None else token.scopes,
            permissions=frozenset() if token is None else token.permissions,
            drift=self._keys.drift,
            offline=self._keys.offline,
        )


def _read_object(segment: bytes) -> Json:
    return jws.read_object(jws.decode(segment))


def _verify(key: Key, alg: str, signing_input: bytes, signature: bytes) -> bool:
    if not key.verifies(alg, signing_input, signature):
        raise InvalidToken("bad_signature")
    return True


def _require(token: AccessToken, demand: Requirement) -> None:
    token.require(demand)
