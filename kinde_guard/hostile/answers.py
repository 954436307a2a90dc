"""What is wrong with an answer, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from ..issuer.tokens import from_b64url
from .cases import Hostile
from .clients import Seen

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 §5.6.2
_TEXT = r"[\x20\x21\x23-\x5b\x5d-\x7e]*"  # RFC 6750 §3: what a value may hold, so that nothing needs escaping
_CHALLENGE = re.compile(rf'Bearer {_NAME}="{_TEXT}"(?:, *{_NAME}="{_TEXT}")*', re.I)
_PARAMETER = re.compile(rf'({_NAME})="({_TEXT})"')
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")  # RFC 6749 §3.3
_LONG_RUN = re.compile(r"[A-Za-z0-9_+/-]{16,}")
_SHORTEST_MARK = 8
_NOTHING = (b"", b"OK")  # the latter is Starlette's


class Judge:
    """Judges answers for a route that demands *scope*; *known* texts may occur in an answer whatever was sent."""

    def __init__(self, scope: str | None, known: Iterable[str]) -> None:
        self._scope = scope
        self._known = sorted({*known, *([scope] if scope else [])}, key=len, reverse=True)

    def complaint(self, case: Hostile, seen: Seen) -> str:
        """What is wrong with the answer to *case*; empty if nothing is."""
        return ", and ".join(self._complaints(case, seen))

    def echo(self, case: Hostile, seen: Seen) -> str:
        """The place where the answer repeats what the caller sent: a caller's text in an answer is somebody's
        injection."""
        marks = set(_marks(case))
        places = {"body": seen.body.decode("utf-8", "replace"), "header": _written(seen)}
        for place, text in places.items():
            for known in self._known:
                text = text.replace(known, "")
            if any(mark in text for mark in marks):
                return place
        return ""

    def _complaints(self, case: Hostile, seen: Seen) -> Iterator[str]:
        if seen.status == 0:
            yield seen.body.decode()
            return
        if seen.status in case.server and not seen.challenges:
            return  # the HTTP server itself
        if case.method == "OPTIONS" and _ran_no_handler(seen):
            return
        codes = [code for status, code in case.verdicts if status == seen.status]
        if not codes:
            yield str(seen.status)
        elif problem := self._of_challenge(seen, codes):
            yield f"{seen.status} with {problem}"
        if seen.status >= 400 and (where := self.echo(case, seen)):
            yield f"the {where} repeats something of the request"

    def _of_challenge(self, seen: Seen, codes: list[str | None]) -> str:
        """RFC 6750 §3: a challenge whose every parameter comes once, in quotes, in its alphabet."""
        bearer = [value for value in seen.challenges if value.lower().startswith("bearer")]
        if len(bearer) != 1:
            return f"{len(bearer) or 'no'} WWW-Authenticate: Bearer"
        if not _CHALLENGE.fullmatch(bearer[0]):
            return f"a challenge that RFC 6750 §3 does not know: {bearer[0]}"
        pairs = _PARAMETER.findall(bearer[0])
        parameters = {name.lower(): value for name, value in pairs}
        if len(parameters) != len(pairs):
            return f"a parameter twice in the challenge: {bearer[0]}"
        if "realm" not in parameters:
            return f"no realm in the challenge: {bearer[0]}"
        return self._of_error(seen.status, parameters, codes)

    def _of_error(self, status: int, parameters: dict[str, str], codes: list[str | None]) -> str:
        code = parameters.get("error")
        if code not in codes:
            return f"error {code}"
        if code is None and not {"error_description", "error_uri"}.isdisjoint(parameters):
            return "a description of an error that the challenge does not name"
        named = parameters.get("scope")
        if named is not None and not _SCOPE.fullmatch(named):
            return f"a scope that is no list of scopes: {named!r}"
        if status == 403 and self._scope not in (named or "").split(" "):
            return "no scope= that names the scope which is required"
        return ""


def _ran_no_handler(seen: Seen) -> bool:
    """Whether CORS middleware or a framework answered an OPTIONS: with an error of the caller's, or with what a client
    asks OPTIONS for (RFC 9110 §9.3.7: ``Allow``; Fetch: what CORS allows), and nothing of the app's in the body."""
    if seen.challenges:
        return False
    if 400 <= seen.status < 500:
        return seen.status != 401
    return (
        200 <= seen.status < 300
        and seen.body in _NOTHING
        and any(_says_what_is_allowed(*pair) for pair in seen.headers)
    )


def _says_what_is_allowed(name: str, value: str) -> bool:
    name = name.lower()
    allows = name == "allow" or name.startswith("access-control-allow-")
    return allows or (name == "vary" and "origin" in value.lower())  # of an origin that is not allowed, no more is said


def _written(seen: Seen) -> str:
    """The answer's headers as text, but for those that the server writes."""
    servers = ("content-type", "server", "date")
    return "\n".join(f"{name}: {value}" for name, value in seen.headers if name.lower() not in servers)


def _marks(case: Hostile) -> Iterator[str]:
    """What of *case* an answer must not hold: long runs of its headers, and the texts that are encoded in them."""
    yield "X-Injected"
    sent = " ".join([*(value for _, value in case.headers), case.query, case.body.decode("latin-1")])
    for run in _LONG_RUN.findall(sent):
        yield run
        yield from (text for text in _texts(_opened(run)) if len(text) >= _SHORTEST_MARK)


def _opened(segment: str) -> object:
    try:
        return json.loads(from_b64url(segment[: len(segment) - (len(segment) % 4 == 1)]).decode())
    except (ValueError, RecursionError):
        return None


def _texts(value: object) -> Iterator[str]:
    """Every text in *value*, two levels deep, which is as deep as it gets in a token."""
    if isinstance(value, str):
        yield value
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for member in members:
        if isinstance(member, str):
            yield member
        elif isinstance(member, list):
            yield from (text for text in member if isinstance(text, str))
