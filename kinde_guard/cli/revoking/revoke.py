"""``kinde-guard revoke``: have tokens refused by every worker, before they expire."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

import typer

from ...errors import ConfigurationError
from ...revocation import Revocation, Revocations
from ...tokens.access_token import AccessToken
from ..messages import write_message
from ..options import AsJson, Domains
from . import proof, shown
from .store import asking_redis, drift_of, issuers_of, revocations_of, verified


def revoke(
    user: Annotated[str | None, typer.Option(metavar="ID", help="Of this user; or, with --org, only there.")] = None,
    token: Annotated[str | None, typer.Option(metavar="FILE|-", help="This one token; - is stdin.")] = None,
    client: Annotated[str | None, typer.Option(metavar="ID", help="Of this app, by its client id.")] = None,
    org: Annotated[str | None, typer.Option(metavar="CODE", help="Of this organization.")] = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="Of everybody; asks for the domain first.")] = False,
    keys: Annotated[bool, typer.Option("--keys", help="Have every worker fetch the issuer's keys now.")] = False,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Issued up to then, as 2026-11-30T12:00:00Z; else up to now.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for people.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Until every worker refuses it, at most 5 s.")] = False,
    domain: Domains = None,
    as_json: AsJson = False,
) -> None:
    """Make every worker refuse tokens before they expire.

    Choose whose tokens: those of a user, an app, an organization or everybody, or one token. Tokens that are issued
    later are accepted. It is written to the Redis in KINDE_REVOCATIONS_URL, which the workers follow. With --wait it
    says how many of them refuse it by now, and which do not. Exit status: 0 done, 1 not by every worker, or the token
    is not good anyway, 2 usage or settings, 3 Redis cannot be reached.

    \b
    Example:
      kinde-guard revoke --user kp_1234 --reason "ticket 4711" --wait
    """
    _one_of(user=user, token=token, client=client, org=org, everyone=everyone, keys=keys)
    issuers, time_given = issuers_of(domain), None if before is None else _time(before)
    if time_given is not None and (keys or token is not None):
        raise ConfigurationError("--before goes with --user, --client, --org and --everyone")
    if everyone:
        _confirm(issuers, time.time() if time_given is None else time_given)
    known = None if token is None else verified(token, issuers, None, as_json=as_json)
    revocations = revocations_of(issuers, drift_of(issuers) if time_given is None else 0.0)
    with asking_redis(as_json=as_json):
        entry = _revoke(revocations, known, user, client, org, everyone, keys)(time_given, reason)
        if not revocations.confirmed:
            write_message(_UNCONFIRMED)
        found = proof.wait(revocations) if wait else None
    _say(entry, found, as_json)
    raise typer.Exit(0 if found is None or found.complete else 1)


_UNCONFIRMED = (
    "no replica of Redis has confirmed it within a second: if the primary fails now, it is lost there, until a worker "
    "puts it back"
)


def _one_of(**given: object) -> None:
    named = {name for name, value in given.items() if value not in (None, False)}
    if len(named) != 1 and named != {"user", "org"}:
        raise ConfigurationError(
            "say whose tokens: one of --user, --client, --org, --everyone, --token and --keys; or --user with --org"
        )


def _time(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError("--before is a time such as 2026-11-30T12:00:00Z") from None
    if found.tzinfo is None:
        raise ConfigurationError(f"--before has to say in which time zone: {text}Z is in UTC")
    if found.timestamp() > time.time():
        raise ConfigurationError("--before lies in the future: tokens that are yet to be issued cannot be revoked")
    return found.timestamp()


def _confirm(issuers: Sequence[str], before: float) -> None:
    hosts = [urlsplit(issuer).netloc for issuer in issuers]
    write_message(
        f"Every token of {' and '.join(issuers)} that was issued up to {shown.when(before)} will be refused. A client "
        "gets in again with a new token, by a sign-in or by a refresh. A refresh may return the old token, as Kinde "
        "documents: such a client stays out until that expires."
    )
    write_message(f"Type the domain, {hosts[0]}, to go on:")
    if sys.stdin.readline().strip() not in hosts:
        raise ConfigurationError("that is not the domain: nothing is revoked")


def _revoke(
    revocations: Revocations,
    token: AccessToken | None,
    user: str | None,
    client: str | None,
    org: str | None,
    everyone: bool,
    keys: bool,
) -> Callable[[float | None, str], Revocation]:
    if token is not None:
        return lambda before, reason: revocations.revoke(token, reason)
    if keys:
        return lambda before, reason: revocations.fetch_keys(reason)
    if everyone:
        return lambda before, reason: revocations.revoke_all(issued_before=before, reason=reason)
    if client is not None:
        return lambda before, reason: revocations.revoke_client(client, issued_before=before, reason=reason)
    if user is not None and org is not None:
        return lambda before, reason: revocations.revoke_member(org, user, issued_before=before, reason=reason)
    if org is not None:
        return lambda before, reason: revocations.revoke_org(org, issued_before=before, reason=reason)
    return lambda before, reason: revocations.revoke_subject(user or "", issued_before=before, reason=reason)


def _say(entry: Revocation, found: proof.Proof | None, as_json: bool) -> None:
    if as_json:
        workers = {} if found is None else {"workers": found.as_json()}
        print(json.dumps({"revocation": shown.as_json(entry), **workers}, indent=2))
        return
    print(f"told: {shown.what(entry)}" if entry.kind == "keys" else f"revoked: {shown.what(entry)} (id {entry.id})")
    if found is not None:
        print(found.sentence())
