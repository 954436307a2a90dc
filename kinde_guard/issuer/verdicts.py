"""What guards on this machine say they decided: read strictly, as it comes from outside and ends up on a page."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ConfigurationError
from ..net.verdict_reporter import COUNTS, MAX_COUNT, MAX_LENGTHS, MAX_VERDICTS, VERDICTS
from .journal import Journal

_NEEDED = ("process", "pid", "verdict")
_IN_WORDS = {
    "verified": "verified a token of {subject}{for_request}",
    "refused": "refused{a_request}: {reason}",
    "cannot_tell": "cannot judge{a_request}, for want of {wanted}",
    "revoked": "refuses what is revoked ({reason}), {hint}",
    "keys_fetched": "has fetched the keys",
    "keys_failed": "could not fetch the keys: {hint}",
}


def read(body: object) -> list[dict[str, str | int]]:
    """The verdicts in a JSON *body*; anything that is not exactly that is a ``ConfigurationError``."""
    if not isinstance(body, list) or len(body) > MAX_VERDICTS:
        raise ConfigurationError(f"the body must be a JSON list of at most {MAX_VERDICTS} verdicts")
    return [_checked(each) for each in body]


def note(journal: Journal, verdict: Mapping[str, str | int]) -> None:
    """Write a verdict down."""
    blank = dict.fromkeys(MAX_LENGTHS, "")
    words = _IN_WORDS[str(verdict["verdict"])].format_map({**blank, **_request_in_words(verdict), **verdict})
    times = f" ({verdict['times']} times)" if verdict.get("times", 1) != 1 else ""
    journal.add("verdict", f"{verdict['process']} ({verdict['pid']}) {words}{times}", **verdict)


def _request_in_words(verdict: Mapping[str, str | int]) -> dict[str, str]:
    """What is said of the request, where it is known, and of what is missing."""
    request = f" {verdict['method']} {verdict['path']}" if {"method", "path"} <= verdict.keys() else ""
    wanted = "news of revocations" if verdict.get("reason") == "revocations_unavailable" else "keys"
    return {"a_request": request, "for_request": request and f" for{request}", "wanted": wanted}


def _checked(verdict: object) -> dict[str, str | int]:
    if not isinstance(verdict, dict) or not verdict.keys() >= set(_NEEDED):
        raise ConfigurationError(f"a verdict must be an object with {', '.join(_NEEDED)}")
    for name, value in verdict.items():
        _check(name, value)
    if verdict["verdict"] not in VERDICTS:
        raise ConfigurationError(f"verdict must be one of {', '.join(VERDICTS)}")
    return verdict


def _check(name: str, value: object) -> None:
    if name in MAX_LENGTHS:
        if not isinstance(value, str) or len(value) > MAX_LENGTHS[name]:
            raise ConfigurationError(f"{name} must be text of at most {MAX_LENGTHS[name]} characters")
    elif name not in COUNTS:
        raise ConfigurationError(f"a verdict has {', '.join((*MAX_LENGTHS, *COUNTS))} and nothing else")
    elif type(value) is not int or not 0 < value <= MAX_COUNT:
        raise ConfigurationError(f"{name} must be a whole number from 1 to {MAX_COUNT}")
