"""The settings in the environment: do they agree, are they what they are meant to be, is one misspelled."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...errors import ConfigurationError
from ...settings import DOMAIN_VARIABLES, KINDE_AUDIENCE, Settings, issuer_urls, local_url
from ...settings.leavings import words
from .finding import Finding, sentence

M2M = tuple(f"KINDE_M2M_{name}" for name in ("CLIENT_ID", "CLIENT_SECRET", "AUDIENCE", "SCOPES", "DOMAIN"))
REDIS_VARIABLES = REVOCATIONS, SHARED = "KINDE_REVOCATIONS_URL", "KINDE_M2M_SHARED_URL"
OURS = (*DOMAIN_VARIABLES, "KINDE_AUDIENCE", "KINDE_REPORT_VERDICTS_TO", *M2M, *REDIS_VARIABLES)
# What Kinde's SDKs and pages call what has another name here.
_CALLED = {
    "KINDE_API_AUDIENCE": "KINDE_AUDIENCE",
    "KINDE_ISSUER": "KINDE_DOMAIN",
    "KINDE_ISSUER_BASE_URL": "KINDE_DOMAIN",
}
_SDK = ("KINDE_CLIENT_ID", "KINDE_CLIENT_SECRET", "KINDE_REDIRECT_URI", "KINDE_SITE_URL", "KINDE_LOGOUT_REDIRECT_URI")
LIKE = 0.8


@dataclass(frozen=True, slots=True)
class Setup:
    """The issuers and the audience that are going to be examined."""

    issuers: tuple[str, ...]
    audience: tuple[str, ...]
    """Empty where none is set, or none that can be used."""
    settled: bool
    """Whether it is clear which domain is meant."""


def examine(domains: Sequence[str], variables: Mapping[str, str]) -> tuple[Setup, list[Finding]]:
    """*domains* are arguments, which come first."""
    findings = [*_report(variables), *_passed_over(domains, variables), *_misspelled(variables)]
    issuers, problem = _issuers(domains, variables)
    findings += [Finding("domain", "failed", "it cannot be used", sentence(problem))] if problem else []
    audience, about_audience = _audience(issuers, domains, variables)
    findings += about_audience
    if not findings:
        findings = [Finding("settings", "well", _summary(issuers, audience))]
    return Setup(issuers, audience, not problem), findings


def any_domain(domains: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Whether somebody is named who can be examined."""
    return bool(domains) or any(name in variables for name in DOMAIN_VARIABLES)


def _issuers(domains: Sequence[str], variables: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    try:
        return issuer_urls(list(domains) or None, [variables]), ""
    except ConfigurationError as error:
        return _first_usable(domains, variables), str(error)


def _first_usable(domains: Sequence[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    """The issuers of the first variable: where several contradict each other, it can be examined all the same."""
    for name in DOMAIN_VARIABLES:
        if name in variables and not domains:
            try:
                return issuer_urls(words(variables[name]), [])
            except ConfigurationError:
                return ()
    return ()


def _audience(
    issuers: Sequence[str], domains: Sequence[str], variables: Mapping[str, str]
) -> tuple[tuple[str, ...], list[Finding]]:
    if "KINDE_AUDIENCE" not in variables:
        fix = "Set KINDE_AUDIENCE to the audience of your API, as in Kinde → Settings → Environment → APIs."
        findings = [] if domains else [Finding("audience", "warning", "KINDE_AUDIENCE is not set", fix)]
        return (), findings
    try:
        # Where the domain is no good, any will do to look at the audience by itself.
        only = {"KINDE_AUDIENCE": variables["KINDE_AUDIENCE"]}
        settings = Settings.load(issuers or "audience-alone.invalid", audience=KINDE_AUDIENCE, variables=[only])
    except ConfigurationError as error:
        return (), [Finding("audience", "failed", "it cannot be used", sentence(error))]
    return tuple(sorted(settings.audiences)), []


def _report(variables: Mapping[str, str]) -> Iterator[Finding]:
    name = "KINDE_REPORT_VERDICTS_TO"
    try:
        local_url(variables.get(name, "127.0.0.1"), name)
    except ConfigurationError as error:
        yield Finding("settings", "failed", f"{name} cannot be used", sentence(error))


def _passed_over(domains: Sequence[str], variables: Mapping[str, str]) -> Iterator[Finding]:
    """A warning where *domains* come first here, but not in the app that has these variables."""
    if not domains or not any(name in variables for name in DOMAIN_VARIABLES):
        return
    try:
        issuer_urls(None, [variables])
    except ConfigurationError as error:
        yield Finding("settings", "failed", "the domain in the variables cannot be used", sentence(error))


def _misspelled(variables: Mapping[str, str]) -> Iterator[Finding]:
    for name in sorted(variables):
        if not name.startswith("KINDE_") or name in OURS or name in _SDK:
            continue
        meant = _CALLED.get(name) or next(iter(difflib.get_close_matches(name, OURS, 1, LIKE)), None)
        if meant is not None and meant not in variables:
            yield Finding("settings", "warning", f"{name} is not read", f"Call it {meant}, if that is what is meant.")


def _summary(issuers: Sequence[str], audience: Sequence[str]) -> str:
    return f"domain {' and '.join(issuers)}" + (f", audience {' or '.join(audience)}" if audience else "")
