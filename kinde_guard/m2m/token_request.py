"""What is asked of Kinde's token endpoint, how its answer is read, and what can go wrong (RFC 6749 §4.4 and §5).

Pure but for the environment, which :meth:`Application.load` reads. The secret goes into the form, and nowhere else.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote_plus, urlencode

from ..errors import ConfigurationError, KindeGuardError
from ..net.clocks import Moment
from ..net.fetch import FetchFailed, HttpAnswer
from ..net.headers import asked_wait
from ..net.in_between import SAID, refused_by
from ..settings import issuer_url, issuer_urls, leavings
from ..web.wording import few

AHEAD = 300.0  # an outage of five minutes goes unnoticed; of tokens that live a day it costs 0.3 % more
MARGIN = 10.0  # for the way to the API, and for clocks that differ
DEFAULT_LIFE = 300.0  # where the answer does not say, which Kinde's does
SHORTEST_LIFE = 1.0  # a shorter one would be over on the way: a token, and a bill, for each request
RENEWABLE_AGE = 60  # a younger token that is refused is not refused for its age
WELL_USED = 240  # a token that the API takes for so long is not one that it refuses at random
LONGEST_PATIENCE = 3600.0  # with an API that refuses whatever it is sent

# Kinde's own first: docs.kinde.com/developer-tools/kinde-api/api-rate-limits
_WAITS = ("ratelimit-reset", "retry-after")
_VISIBLE = re.compile(r"[\x21-\x7e]+")  # RFC 6749 appendix A, without the space
_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 §2.1


class TokenRequestFailed(KindeGuardError):
    """There is no token. The text says what to do; it holds neither the secret nor anything that Kinde sent."""

    retryable: ClassVar[bool] = True
    """Whether the same request can succeed later with nothing changed."""

    def __init__(self, message: str, error: str, retry_after: int) -> None:
        super().__init__(message, error, retry_after)
        self.message = message
        self.error = error
        """For programs: the code that Kinde sent (RFC 6749 §5.2), or the one that the subclass names."""
        self.retry_after = retry_after
        """Seconds (at least 1) until Kinde is asked again; until then the same error is raised without a request."""

    def __str__(self) -> str:
        return f"{self.error}: {self.message} (Kinde is asked again in {self.retry_after} s at the earliest)"


class TokenRefused(TokenRequestFailed):
    """Kinde said no, until something is changed there or here; ``unexpected_answer`` if its code is not known."""

    retryable = False


class TooManyTokenRequests(TokenRequestFailed):
    """Kinde answered 429: ``too_many_requests``."""


class TokenEndpointUnavailable(TokenRequestFailed):
    """No answer, or none that can be used: ``temporarily_unavailable``."""


# docs.kinde.com/machine-to-machine-applications/troubleshooting-m2m/troubleshoot-m2m-token-errors
_ADVICE = {
    "invalid_client": "Kinde does not accept client_id {0.client_id} with this client_secret: copy both again from the "
    "application's details in Kinde (Settings, Applications). Rotating the secret ends the one before, and credentials "
    "belong to one environment, here {0.issuer}",
    "unauthorized_client": "application {0.client_id} may not ask for audience {0.audiences}: open the application in "
    "Kinde, then APIs, and authorise it for that API",
    "invalid_scope": "application {0.client_id} may not have all of scope {0.scope!r}: see in Kinde that the API has "
    "it (Settings, APIs, Scopes) and that the application has it switched on (APIs, Manage scopes), or ask for fewer",
    "invalid_request": "Kinde cannot use the request; most often no API is registered with audience {0.audiences}: "
    "compare it with Settings, APIs in Kinde",
    "unsupported_grant_type": "application {0.client_id} may not use client credentials: in Kinde, make one of the "
    "type machine to machine",
    "too_many_requests": "Kinde takes no more token requests for now: keep one ClientCredentials for the whole "
    "process, which holds its token, instead of making one for each call",
    "unexpected_answer": "{0.issuer}/oauth2/token answered {1} with no error code that is known here: check the "
    "domain (KINDE_M2M_DOMAIN), and ask for a token in the application's Test tab in Kinde",
}


@dataclass(frozen=True, slots=True)
class Held:
    """A token, when it was asked for (so a little before its life began), and its life.

    *renewals*: how many tokens in a row, this one included, were fetched because the API refused the one before.
    *mark*: under which a fleet shares it (:mod:`.shared`).
    """

    text: str = field(repr=False)
    since: Moment
    life: float
    renewals: int = 0
    mark: str = ""

    @property
    def authorization(self) -> str:
        return f"Bearer {self.text}"

    def good(self, now: Moment) -> bool:
        return now.since(self.since) < self.life - min(self.life / 20, MARGIN)

    def due(self, now: Moment) -> bool:
        return now.since(self.since) >= self.life - min(self.life / 5, AHEAD)

    def renewable(self, now: Moment, renewals: int) -> bool:
        """Whether the API's 401 is met with another token: after 60 s, and after as many *renewals* of no use twice as
        late each, up to an hour. (An API that refuses everything costs 6 tokens in the first hour, and 29 in a day.)"""
        return now.since(self.since) > doubled(RENEWABLE_AGE, renewals, LONGEST_PATIENCE)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, how long Kinde asked us to wait, and whether a token came of it that is of no use."""

    message: str
    kind: type[TokenRequestFailed] = TokenEndpointUnavailable
    error: str = "temporarily_unavailable"
    asked_wait: float = 0.0
    billed: bool = False

    def exception(self, wait: float) -> TokenRequestFailed:
        """A new one for everybody: a shared one would collect the tracebacks of all who raise it."""
        return self.kind(self.message, self.error, math.ceil(max(1.0, wait)))


class _Useless(ValueError):
    """There is a token, which Kinde bills, and no telling how long it may be used."""


Outcome = Held | Failure
NO_ANSWER = Failure("no whole answer in time")


@dataclass(frozen=True, slots=True)
class Application:
    """What is asked for, and how the answer is read. Pure."""

    issuer: str
    client_id: str
    secret: str = field(repr=False)
    audience: tuple[str, ...]
    scopes: tuple[str, ...]

    @classmethod
    def load(
        cls,
        domain: str | None,
        *,
        client_id: str | None,
        client_secret: str | None,
        audience: str | Iterable[str] | None,
        scopes: str | Iterable[str] | None,
    ) -> Application:
        """Arguments first, then the environment."""
        return cls(
            _issuer(domain),
            _word("client_id", client_id),
            _word("client_secret", client_secret),
            _audience(audience),
            _several("scopes", scopes),
        )

    @property
    def audiences(self) -> str:
        return " ".join(self.audience)

    @property
    def scope(self) -> str:
        return " ".join(self.scopes)

    def form(self) -> bytes:
        """RFC 6749 §4.4.2, the credentials in the body: Kinde advertises ``client_secret_post`` alone."""
        fields = [("grant_type", "client_credentials")]
        fields += [("client_id", self.client_id), ("client_secret", self.secret)]
        fields += [("audience", audience) for audience in self.audience]
        fields += [("scope", self.scope)] if self.scopes else []
        return urlencode(fields).encode()

    def unanswered(self, error: FetchFailed) -> Failure:
        why = str(error).replace(self.secret, "***").replace(quote_plus(self.secret), "***")
        return Failure(f"no whole answer from {self.issuer}: {why}")

    def read(self, answer: HttpAnswer, since: Moment, wall: float) -> Outcome:
        """*since*: when it was asked for; *wall*: what the clock says now."""
        if answer.status == 200:
            try:
                return _token(answer.body, since)
            except ValueError as problem:
                text = f"{self.issuer} sent no token that can be used: {problem}"
                return Failure(text, billed=isinstance(problem, _Useless))
        wait = asked_wait(answer.headers, wall, *_WAITS) or 0.0
        if answer.status >= 500:
            return Failure(f"{self.issuer} answered {answer.status}", asked_wait=wait)
        error = "too_many_requests" if answer.status == 429 else _error_code(answer.body)
        if error == "unexpected_answer" and (who := refused_by(answer.status, answer.headers)):
            return Failure(f"{self.issuer} was not asked: {who} {SAID}", asked_wait=wait)
        kind = TooManyTokenRequests if answer.status == 429 else TokenRefused
        return Failure(_ADVICE[error].format(self, answer.status), kind, error, wait)


def doubled(first: int, times: int, longest: float) -> float:
    """*first*, doubled so many *times*, up to *longest*."""
    return min(float(first << min(times, 20)), longest)


def _token(body: bytes, since: Moment) -> Held:
    """RFC 6749 §5.1, read strictly; the ``ValueError`` says what is wrong and quotes nothing."""
    document = _json_object(body)
    text, life = document.get("access_token"), document.get("expires_in", DEFAULT_LIFE)
    if not isinstance(text, str) or _B64TOKEN.fullmatch(text) is None:
        raise ValueError("access_token is not the text of a bearer token (RFC 6750 §2.1)")
    if str(document.get("token_type")).lower() != "bearer":
        raise ValueError("token_type is not bearer")
    if isinstance(life, bool) or not isinstance(life, int | float) or not life >= SHORTEST_LIFE:
        raise _Useless("expires_in is not a number of seconds, or less than one")
    return Held(text, since, float(min(life, 1e9)))


def _error_code(body: bytes) -> str:
    """RFC 6749 §5.2, if it is one there is advice for."""
    with suppress(ValueError):
        code = _json_object(body).get("error")
        if isinstance(code, str) and code in _ADVICE:
            return code
    return "unexpected_answer"


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    return document


def _issuer(domain: str | None) -> str:
    """Kinde: M2M tokens are issued at the kinde.com domain, also where users sign in at another (build/domains)."""
    if domain is not None:
        return issuer_url(domain)
    if (own := os.environ.get("KINDE_M2M_DOMAIN")) is not None:
        return issuer_url(own, "KINDE_M2M_DOMAIN")
    urls = issuer_urls(None, [os.environ])
    candidates = urls if len(urls) == 1 else [url for url in urls if url.endswith(".kinde.com")]
    if len(candidates) != 1:
        raise ConfigurationError(
            "there are several domains, and one of them has to be asked for tokens: set "
            f"KINDE_M2M_DOMAIN, or pass domain=, to one of {few(urls)}"
        )
    return candidates[0]


def _word(name: str, value: str | None) -> str:
    """One word, from the argument or its variable. No error shows it: it may be the secret."""
    text = os.environ.get(_variable(name)) if value is None else value
    if text is None:
        raise ConfigurationError(
            f"no {name} is set: set {_variable(name)}, or pass {name}=, to what Kinde shows in the details of your "
            "machine-to-machine application"
        )
    if isinstance(text, str):
        leavings.check(_named(name, value), text, shown=False, secret=name == "client_secret")
    if not isinstance(text, str) or _VISIBLE.fullmatch(text) is None:
        raise ConfigurationError(f"{name} must be text, not empty, without spaces and line ends, as Kinde shows it")
    if text.startswith("<"):
        raise ConfigurationError(
            f"{name} is a placeholder: replace it by what Kinde shows in the details of the application"
        )
    return text


def _audience(value: str | Iterable[str] | None) -> tuple[str, ...]:
    audience = _several("audience", value)
    if not audience:
        raise ConfigurationError(
            "no audience is set: set KINDE_M2M_AUDIENCE, or pass audience=, to the audience of the API to call, as "
            "registered in Kinde (Settings, APIs); KINDE_AUDIENCE is what this process accepts, not what it calls"
        )
    return audience


def _several(name: str, value: str | Iterable[str] | None) -> tuple[str, ...]:
    """Several words, from the argument or its variable; none if neither is there."""
    given = os.environ.get(_variable(name)) if value is None else value
    if isinstance(given, str) and not given.replace(",", "").strip():
        raise ConfigurationError(f"{name} is empty: leave it out (unset {_variable(name)}), or say which")
    try:
        given = _split(_named(name, value), given) if isinstance(given, str) else given
        texts = tuple(dict.fromkeys(() if given is None else given))
    except TypeError:
        raise ConfigurationError(f"{name} must be text or several texts, not {given!r}") from None
    for text in texts:
        if isinstance(text, str):
            leavings.check(name, text)
        if not isinstance(text, str) or _VISIBLE.fullmatch(text) is None or text.startswith("<"):
            raise ConfigurationError(f"{name} must be one or several words as registered in Kinde, not {text!r}")
    return texts


def _split(name: str, text: str) -> list[str]:
    """Any word may be a scope (RFC 6749 §3.3), and Kinde refuses those that it does not know; not so audiences."""
    if name.lower().endswith("audience"):
        return leavings.values(name, text)
    leavings.check(name, text)
    return leavings.words(text)


def _named(name: str, argument: object) -> str:
    """The name that whoever set it knows it by."""
    return _variable(name) if argument is None else name


def _variable(name: str) -> str:
    return f"KINDE_M2M_{name.upper()}"
