"""``kinde-guard doctor``: is everything there that verifying needs, and is it as it should be?"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import httpx
import typer

from ...settings import issuer_urls
from ..messages import write_message
from ..options import AsJson
from ..progress import working
from ..proxy import Proxy, through
from ..screen import Screen
from . import certificate, environment, m2m_token
from . import issuer as checkup
from .environment import REDIS_VARIABLES
from .finding import Finding, State
from .issuer import Issuer

_MARKS: dict[State, tuple[str, str]] = {
    "well": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "bold red"),
    "skipped": ("-", "dim"),
}
Step = tuple[str, Callable[[], Iterable[Finding]]]


def doctor(
    domain: Annotated[
        list[str] | None,
        typer.Argument(metavar="DOMAIN", help="Kinde domain, or its URL. [env: KINDE_DOMAIN]", show_default=False),
    ] = None,
    proxy: Proxy = None,
    acl: Annotated[bool, typer.Option("--acl", help="Print users for Redis, each with the rights it needs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Examine a Kinde domain and the settings, step by step.

    Looks at the KINDE_* variables, the certificate, discovery, the keys and how they are cached, the time a fetch takes
    and the clocks; at a custom domain beside the kinde.com one, if both are given. Where KINDE_M2M_CLIENT_ID and the
    like are set, it requests a token (Kinde counts it) and verifies it; the Redis in KINDE_REVOCATIONS_URL or in
    KINDE_M2M_SHARED_URL is examined, too. For each problem it says how to fix it. Exit status: 0 all well, 1 something
    failed, 2 usage.

    \b
    Example, with the variables that kinde-guard dev prints:
      kinde-guard doctor
    """
    if not environment.any_domain(domain or (), os.environ):
        write_message("kinde-guard: name a Kinde domain: kinde-guard doctor acme.kinde.com, or set KINDE_DOMAIN")
        raise typer.Exit(2)
    if acl:
        _print_users(domain or (), as_json)
        return
    findings = list(_shown(steps(domain or (), through(proxy)), as_json))
    failed = sum(finding.state == "failed" for finding in findings)
    if as_json:
        print(json.dumps({"well": not failed, "findings": list(map(asdict, findings))}, indent=2))
    else:
        Screen().heading(_summary(findings))
    raise typer.Exit(1 if failed else 0)


def steps(domains: Sequence[str], transport: httpx.BaseTransport | None = None) -> Iterator[Step]:
    """What there is to do, in order, each with what to say meanwhile."""
    setup, about_settings = environment.examine(domains, os.environ)
    yield "Reading the settings", lambda: about_settings
    issuers = [Issuer(url, transport=transport) for url in setup.issuers]
    for issuer in issuers:
        yield from _examination(issuer)
    if issuers:
        yield "Comparing the domains", lambda: checkup.together(issuers)
    if any(name in os.environ for name in REDIS_VARIABLES):
        yield "Asking Redis", lambda: _redis(setup.issuers)
    if setup.settled:
        yield "Requesting a token", lambda: m2m_token.end_to_end(issuers, setup.audience, bool(domains), transport)


def _redis(issuers: Sequence[str]) -> Iterator[Finding]:
    from . import redis_server  # only here: what it needs is loaded where there is one

    return redis_server.examine(issuers)


def _print_users(domains: Sequence[str], as_json: bool) -> None:
    from . import acl

    found = acl.lines(issuer_urls(domains or None, [os.environ]))
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for role, line in found.items():
        print(f"# {acl.FOR[role]}\n{line}\n")


def _examination(issuer: Issuer) -> Iterator[Step]:
    yield f"Connecting to {issuer.url}", lambda: [_connection(issuer)]
    yield f"Asking {issuer.url} about itself", lambda: checkup.discovery(issuer)
    yield f"Fetching the keys of {issuer.url}", lambda: checkup.keys(issuer)
    yield f"Comparing the clock with that of {issuer.url}", lambda: checkup.clock(issuer)


def _connection(issuer: Issuer) -> Finding:
    if issuer.transport is not None:
        return Finding("tls", "skipped", "asked through a proxy; who fetches checks the certificate", about=issuer.url)
    found = certificate.examine(issuer.url)
    issuer.silent = found.state == "failed"  # and so the guard gets no answer either
    return found


def _shown(steps: Iterable[Step], as_json: bool) -> Iterator[Finding]:
    """What each step finds, shown as soon as it is found."""
    screen, about = Screen(), ""
    for doing, run in steps:
        with working(doing):
            findings = list(run())
        for finding in findings:
            if not as_json:
                if finding.about != about:
                    _head(screen, finding.about, first=not about)
                    about = finding.about
                _show(screen, finding)
            yield finding


def _head(screen: Screen, about: str, *, first: bool) -> None:
    if first:
        screen.say(about, "bold")
    else:
        screen.heading(about)


def _show(screen: Screen, finding: Finding) -> None:
    mark, style = _MARKS[finding.state]
    lines = [finding.found, f"Fix: {finding.fix}"] if finding.fix else [finding.found]
    screen.line(f"{mark} {finding.step}", *lines, style=style)


def _summary(findings: Sequence[Finding]) -> str:
    states = [finding.state for finding in findings]
    failed, warnings = states.count("failed"), states.count("warning")
    if failed:
        return f"{failed} failed" + (f", {warnings} to look at." if warnings else ".")
    return "All is well" + (f", {warnings} to look at." if warnings else ".")
