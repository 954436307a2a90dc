"""The trial: good requests get in, hostile ones do not, and each is told what RFC 6750 says it is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..issuer import LocalIssuer
from . import algorithms, authorization, claims, encoding, good, kinds, members, parsing, preflights, scopes, signatures
from . import api_keys as hostile_api_keys
from . import webhooks as hostile_webhooks
from .answers import Judge
from .cases import Benign, Hostile, Verdict
from .clients import Ask, NotSendable, Seen, asking, takes_api_keys, webhook_path_of
from .forge import Forge

AREAS = (algorithms, members, encoding, parsing, claims, kinds, scopes, signatures, authorization, preflights)


@dataclass(frozen=True, slots=True)
class Finding:
    """A case that was answered wrongly."""

    name: str
    expected: str
    seen: str
    why: str

    def __str__(self) -> str:
        return f"* {self.name}\n    expected: {self.expected}\n    seen:     {self.seen}\n    why:      {self.why}"


def corpus(issuer: LocalIssuer, audience: str, scope: str | None, **options: Any) -> list[Hostile]:
    """Everything that a route for *audience* must refuse which demands *scope*, made fresh; options as in the trial."""
    return hostile_of(Forge(issuer, audience, scope, **options))


def benign(issuer: LocalIssuer, audience: str, scope: str | None, **options: Any) -> list[Benign]:
    """Everything that the same route must let in, made fresh."""
    return benign_of(Forge(issuer, audience, scope, **options))


def hostile_of(forge: Forge) -> list[Hostile]:
    """Everything that must be refused."""
    return [case for area in AREAS for case in area.cases(forge)]


def benign_of(forge: Forge) -> list[Benign]:
    """Everything that must be let in; of the same *forge*, the signatures above are forged from these."""
    return list(good.cases(forge))


def assert_resists_hostile_tokens(
    client: Any,
    path: str = "/users",
    *,
    issuer: LocalIssuer,
    audience: str | None = None,
    scope: str | None = "read:users",
    method: str = "GET",
    leeway: float = 30,
    permissions_as_scopes: bool = False,
    claims: Mapping[str, object] | None = None,
    webhooks: str | None = None,
    api_keys: bool | None = None,
) -> None:
    """Send a thousand hostile requests to *path* of an app, a route that demands *scope*; AssertionError with every
    request that is answered wrongly::

        kinde_trust(app)
        assert_resists_hostile_tokens(TestClient(app), "/users", issuer=kinde_issuer, scope="read:users")

    *client*: a Starlette, FastAPI or Flask test client, an ``httpx.Client``, or the app's URL. *method*: that of the
    route. The app trusts *issuer*, and *audience* (left out, the issuer's sample API) is its own. ``scope=None``: any
    valid token will do. *leeway* (seconds) and *permissions_as_scopes* are the guard's. *claims*: what a token needs
    besides, such as ``{"org_code": "org_123"}``.

    If the app takes webhooks, hostile ones are posted there too, and a good one of a type that nobody knows. *webhooks*
    is their path; you need not give it if *client* is a test client of an app with a ``KindeGuard``.

    If the app takes Kinde's API keys, good ones that *issuer* makes, and hostile ones, are sent too. All of them are
    revoked afterwards. *api_keys* says whether it takes them; you need not give it for the same clients.
    """
    with asking(client, path, method) as ask:
        forge = Forge(
            issuer,
            issuer.audience if audience is None else audience,
            scope,
            leeway=leeway,
            slack=300,  # what is not valid yet must not become valid while the trial goes on
            permissions_as_scopes=permissions_as_scopes,
            claims=claims,
        )
        benign_cases, hostile_cases, where = benign_of(forge), hostile_of(forge), f"{method} {path}"
        _prove_that_it_lets_in(ask, benign_cases[:2], where)
        found = list(findings(ask, benign_cases, hostile_cases, judge(forge)))
        count = len(benign_cases) + len(hostile_cases)
        if takes_api_keys(client) if api_keys is None else api_keys:
            more, of_keys = api_key_findings(ask, forge, where)
            found, count = found + more, count + of_keys
    at = webhooks or webhook_path_of(client)
    if at is not None:
        found += webhook_findings(client, at, forge)
        count, where = count + 1 + len(list(hostile_webhooks.cases(issuer))), f"{where} and POST {at}"
    if found:
        report = "\n".join(map(str, found))
        raise AssertionError(f"{len(found)} of {count} requests to {where} were answered wrongly:\n{report}")


def api_key_findings(ask: Ask, forge: Forge, where: str) -> tuple[list[Finding], int]:
    """Every API key that is answered wrongly, and how many were sent."""
    bench = hostile_api_keys.KeyBench.of(forge)
    if bench is None:
        return [], 0
    try:
        benign, hostile = list(hostile_api_keys.good(bench)), list(hostile_api_keys.cases(bench))
        _prove_that_it_lets_in(ask, benign[:1], where)
        return list(findings(ask, benign, hostile, judge(forge))), len(benign) + len(hostile)
    finally:
        bench.clear()


def webhook_findings(client: Any, path: str, forge: Forge) -> list[Finding]:
    """Every webhook that is answered wrongly at *path* of *client*'s app."""
    with asking(client, path, "POST") as ask:
        found = hostile_webhooks.findings(ask, forge.issuer, judge(forge))
        return [Finding(case.name, expected, seen, case.why) for case, expected, seen in found]


def judge(forge: Forge) -> Judge:
    """Judges the answers to *forge*'s tokens."""
    return Judge(forge.scope, [forge.issuer.url, forge.audience, "client_credentials"])


def findings(ask: Ask, benign: Iterable[Benign], hostile: Iterable[Hostile], judge: Judge) -> Iterator[Finding]:
    """Every case that is answered wrongly. The good ones come first: what is remembered of them must help nobody."""
    benign = list(benign)
    for good_one in benign:
        yield from _refused(ask, good_one)
    for case in hostile:
        try:
            seen = ask(case)
        except NotSendable:
            continue
        if complaint := judge.complaint(case, seen):
            yield Finding(case.name, _expected(case), complaint, case.why)
    for good_one in benign[:2]:
        yield from _refused(ask, good_one, "after all that: ")


def _refused(ask: Ask, case: Benign, when: str = "") -> Iterator[Finding]:
    try:
        seen = ask(case)
    except NotSendable:
        return
    if not 200 <= seen.status < 300:
        yield Finding(when + case.name, "2xx", _shown(seen), case.why)


def _prove_that_it_lets_in(ask: Ask, cases: Iterable[Benign], where: str) -> None:
    for case in cases:
        seen = ask(case)
        if not 200 <= seen.status < 300:
            raise AssertionError(
                f"{where} answered {_shown(seen)} to {case.name} that is good, so what it refuses proves nothing: "
                "does the app trust this issuer and audience, and the route demand this scope and nothing else?"
            )


def _expected(case: Hostile) -> str:
    answered = ["an answer to OPTIONS from no handler"] if case.method == "OPTIONS" else []
    return ", or ".join([*map(_verdict, case.verdicts), *answered])


def _verdict(verdict: Verdict) -> str:
    status, code = verdict
    return f"{status} {code or 'without an error code'}"


def _shown(seen: Seen) -> str:
    return str(seen.status) if seen.status else seen.body.decode()
