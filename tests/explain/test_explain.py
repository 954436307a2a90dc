"""Why a token is let in or not: the guard's own verdict, the one right fix, and how both look at a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from commands import outcome_of, variables_of_app
from faults import nobody
from helpers import AUDIENCE, CLIENT, DOMAIN, ISSUER, NOW, Outcome, b64
from servers import clean_environment, served_issuer
from waiting import LONG

from kinde_guard import (
    AuthError,
    Guard,
    InvalidToken,
    KeysUnavailable,
    Requirement,
    flag,
    machine,
    org,
    permission,
    role,
    scope,
    user,
)
from kinde_guard.errors import Reason
from kinde_guard.explain import Check, Explanation, explain
from kinde_guard.explain.descriptions import DESCRIPTIONS
from kinde_guard.explain.fixes import FIXES, fix
from kinde_guard.explain.refusal_context import RefusalContext
from kinde_guard.hostile import Benign, Hostile, benign, corpus
from kinde_guard.issuer import ABSENT, PRESETS, UNSIGNED, LocalIssuer, SigningKey
from kinde_guard.keys.jwk import Key, read_jwk_set
from kinde_guard.keys.key_set import KeySet
from kinde_guard.net.clocks import Clocks
from kinde_guard.settings import Settings
from kinde_guard.tokens import rules
from kinde_guard.web import bearer

READ = "read:users"
HOUR = 3_600
T0 = int(NOW)
ORDER = [
    "size", "form", "header", "alg", "typ", "crit", "kid", "payload", "kind", "caller", "iss", "aud", "dates",
    "encoding", "key", "signature",
]  # fmt: skip


@dataclass
class Keys:
    """What an issuer publishes at the moment, without a socket."""

    issuer: LocalIssuer
    drift: float | None = None
    offline: bool = False
    down: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def find(self, issuer: str, kid: str, alg: str) -> Key:
        self.asked.append((issuer, kid, alg))
        if self.down:
            raise KeysUnavailable(1)
        read = read_jwk_set(json.dumps(self.issuer.jwks()).encode(), ("RS256",), {})
        key = KeySet(read.keys).find(kid, alg)
        if key is None:
            raise InvalidToken("unknown_key", "no key of that name")
        return key


@pytest.fixture(scope="module")
def acme() -> LocalIssuer:
    """A Kinde by the name of acme.kinde.com, with an API."""
    issuer = LocalIssuer(ISSUER, clock=lambda: NOW)
    issuer.audience = issuer.add_api(AUDIENCE, [READ, "write:flags"]).audience
    issuer.authorize(issuer.app, AUDIENCE)
    return issuer


def settings_of(domain: Any = DOMAIN, **changes: Any) -> Settings:
    return Settings.load(domain, **{"audience": AUDIENCE, **changes})


def told(issuer: LocalIssuer, raw: str, *demands: Requirement, **keys: Any) -> Explanation:
    """At NOW, by a guard of acme.kinde.com for AUDIENCE."""
    return explain(raw, settings_of(), NOW, Keys(issuer, **keys), demands)


def decisive(explanation: Explanation) -> Check:
    assert explanation.decisive is not None
    return explanation.decisive


def reason_of(explanation: Explanation) -> str | None:
    return None if explanation.decisive is None else explanation.decisive.reason


def by_name(explanation: Explanation) -> dict[str, Check]:
    return {check.name: check for check in explanation.checks}


class Way(NamedTuple):
    """A way to get a token wrong: how it comes about, where it is found, and what to do."""

    mint: Callable[[LocalIssuer], str]
    found: str
    """The check and the reason."""
    fix: str
    """The part of it that names the remedy."""
    demand: Requirement | None = None
    settings: dict[str, Any] = {}  # noqa: RUF012  # nobody changes it
    keys: dict[str, Any] = {}  # noqa: RUF012

    def explained(self, issuer: LocalIssuer) -> Explanation:
        demands = [] if self.demand is None else [self.demand]
        return explain(self.mint(issuer), settings_of(**self.settings), NOW, Keys(issuer, **self.keys), demands)


LOCAL = "http://127.0.0.1:9400"
WAYS = {
    # What Kinde's users ask about most.
    "an app requested no audience": Way(
        lambda it: it.m2m_token(audience=[]), "aud empty_audience",
        f"Request it with audience={AUDIENCE}, and authorise the app for the API: Kinde → Settings → Applications → "
        "the application → APIs → Authorize application",
    ),
    "a front end requested no audience": Way(
        lambda it: it.user_token(audience=[]), "aud empty_audience", f'Give audience="{AUDIENCE}" to Kinde\'s SDK',
    ),
    "an ID token is sent": Way(
        lambda it: it.id_token(), "kind wrong_token_type", "Send the access token: `access_token` of Kinde's answer",
    ),
    "another API's token": Way(
        lambda it: it.m2m_token(audience="https://other"), "aud wrong_audience", "The token is for another API.",
    ),
    "the audience is spelled with a slash": Way(
        lambda it: it.m2m_token(audience=f"{AUDIENCE}/"), "aud wrong_audience", f"Set KINDE_AUDIENCE={AUDIENCE}/,",
    ),
    "the audience is the Management API": Way(
        lambda it: it.m2m_token(audience=f"{ISSUER}/api"), "aud wrong_audience",
        f"The token is for Kinde's Management API. For this API, request one with audience={AUDIENCE}",
    ),
    "the audience is the issuer": Way(
        lambda it: it.m2m_token(audience=ISSUER), "kind wrong_token_type",
        f"Its audience is the issuer or the app itself, as an ID token's is. Request it with audience={AUDIENCE}",
    ),
    "an audience, where none is looked for": Way(
        lambda it: it.m2m_token(), "aud wrong_audience", f"give the guard audience={AUDIENCE} instead of None",
        settings={"audience": None, "clients": [CLIENT]},
    ),
    "an app that is not listed": Way(
        lambda it: it.m2m_token(audience=[], azp="stranger"), "aud wrong_client", "Add stranger to clients=[…]",
        settings={"audience": None, "clients": [CLIENT]},
    ),
    # Issuers.
    "an app's token, a custom domain is trusted": Way(
        lambda it: it.m2m_token(), "iss unknown_issuer",
        f'list both: KINDE_DOMAIN="account.acme.com {DOMAIN}"', settings={"domain": "account.acme.com"},
    ),
    "a user's token of the custom domain": Way(
        lambda it: it.user_token(iss="https://account.acme.com"), "iss unknown_issuer",
        f'list both: KINDE_DOMAIN="account.acme.com {DOMAIN}"',
    ),
    "an issuer with a slash at the end": Way(
        lambda it: it.user_token(iss=f"{ISSUER}/"), "iss unknown_issuer",
        f"Kinde's has no slash at the end. Fix what makes these tokens (a mock, a proxy): iss has to be {ISSUER}.",
    ),
    "another environment": Way(
        lambda it: it.m2m_token(iss="https://acme-test.kinde.com"), "iss unknown_issuer",
        f"Get the token from {ISSUER}; or, if Kinde shows that domain as yours",
    ),
    "another region": Way(
        lambda it: it.m2m_token(iss="https://acme.eu.kinde.com"), "iss unknown_issuer",
        "The same name in another region. Set KINDE_DOMAIN=acme.eu.kinde.com",
    ),
    "a local Kinde's token": Way(
        lambda it: it.m2m_token(iss=LOCAL), "iss unknown_issuer", f"While you develop, set KINDE_DOMAIN={LOCAL}",
    ),
    "Kinde's token, a local one is trusted": Way(
        lambda it: it.m2m_token(), "iss unknown_issuer",
        f"a local Kinde is trusted. Set KINDE_DOMAIN={DOMAIN}, if that is what Kinde shows", settings={"domain": LOCAL},
    ),
    "another domain's token, a local one is trusted": Way(
        lambda it: it.m2m_token(iss="https://account.acme.com"), "iss unknown_issuer",
        "Custom domain. Only if it stands there, set KINDE_DOMAIN=account.acme.com.", settings={"domain": LOCAL},
    ),
    "Google's token": Way(
        lambda it: it.user_token(iss="https://accounts.google.com"), "iss unknown_issuer",
        f"It is from Google, and not from Kinde. Get the token from {ISSUER}",
    ),
    "another run of the local Kinde": Way(
        lambda it: it.m2m_token(iss="http://127.0.0.1:9999"), "iss unknown_issuer",
        "Set the variables that kinde-guard dev prints now", settings={"domain": LOCAL},
    ),
    "no issuer": Way(
        lambda it: it.m2m_token(iss=ABSENT), "iss unknown_issuer", "It names no issuer",
    ),
    # Scopes and the rest of what a route demands.
    "a scope that was granted, and not requested": Way(
        lambda it: it.m2m_token(scope=READ, scp=[READ]), "demand insufficient_scope",
        'Request it with scope="read:users write:flags", or without a scope', scope("write:flags"),
    ),
    "a scope that was not granted": Way(
        lambda it: it.m2m_token(scope=READ, scp=[]), "demand insufficient_scope",
        "Switch on write:flags for the app: Kinde → Settings → Applications → the application → APIs → Manage scopes",
        scope("write:flags"),
    ),
    "a scope that is held as a permission": Way(
        lambda it: it.user_token(permissions=[READ]), "demand insufficient_scope", "set permissions_as_scopes=True",
        scope(READ),
    ),
    "a user's token, with OIDC scopes alone": Way(
        lambda it: it.user_token(), "demand insufficient_scope",
        "A user's token has OIDC scopes alone: demand permission(…) instead; or, in Kinde, switch on Include API scop",
        scope(READ),
    ),
    "a user's token, without the permission that would do": Way(
        lambda it: it.user_token(permissions=["x"]), "demand insufficient_scope",
        f"The user has no permission {READ}: in Kinde, give it to the user", scope(READ),
        settings={"permissions_as_scopes": True},
    ),
    "a permission of a user of no organization": Way(
        lambda it: it.user_token(org_code=None), "demand missing_permission", "the user signed in to none",
        permission(READ),
    ),
    "a permission that was not given": Way(
        lambda it: it.user_token(), "demand missing_permission", "Kinde → Users → the user → Permissions",
        permission(READ),
    ),
    "an app without permissions": Way(
        lambda it: it.m2m_token(), "demand missing_permission", "M2M token → Customize. Or demand scope(…)",
        permission(READ),
    ),
    "roles are not in the token": Way(
        lambda it: it.user_token(), "demand missing_role", "Switch on Roles in the token", role("admin"),
    ),
    "a role that was not given": Way(
        lambda it: it.user_token(roles=["member"]), "demand missing_role", "Kinde → Users → the user → Roles",
        role("admin"),
    ),
    "a global app, an organization is demanded": Way(
        lambda it: it.m2m_token(), "demand wrong_org", "Kinde → Organizations → the organization → M2M apps",
        org("org_1"),
    ),
    "another organization's app": Way(
        lambda it: it.m2m_token(org_code="org_2"), "demand wrong_org", "The app is of org_2.", org("org_1"),
    ),
    "a user of another organization": Way(
        lambda it: it.user_token(org_code="org_2"), "demand wrong_org",
        "The user signed in to org_2. Pass the code of the other (org_code) when signing in: org('org_1')",
        org("org_1"),
    ),
    "a user of no organization": Way(
        lambda it: it.user_token(org_code=None), "demand wrong_org", "The user signed in to no organization.",
        org("org_1"),
    ),
    "a flag that apps do not have": Way(
        lambda it: it.m2m_token(), "demand missing_flag", "Tokens → Feature flags", flag("beta"),
    ),
    "a flag that is off": Way(
        lambda it: it.user_token(feature_flags={"beta": False}), "demand missing_flag", "Kinde → Releases",
        flag("beta"),
    ),
    "an app, where users are served": Way(
        lambda it: it.m2m_token(), "demand wrong_subject", "Sign a user in", user,
    ),
    "a user, where apps are served": Way(
        lambda it: it.user_token(), "demand wrong_subject", "by client credentials", machine,
    ),
    # Time.
    "an app's token has expired": Way(
        lambda it: it.m2m_token(iat=T0 - 2 * HOUR, exp=T0 - HOUR), "dates expired",
        "Request a new one: kinde-guard token",
    ),
    "a user's token has expired": Way(
        lambda it: it.user_token(iat=T0 - 2 * HOUR, exp=T0 - HOUR), "dates expired", "with its refresh token",
    ),
    "the clock is ten minutes slow": Way(
        lambda it: it.m2m_token(iat=T0 + 600), "dates not_yet_valid",
        "some clock is wrong, most likely this machine's: set it",
    ),
    "the clock is ten minutes slow, by Kinde's": Way(
        lambda it: it.m2m_token(iat=T0 + 600), "dates not_yet_valid",
        "Set the clock of this machine (timedatectl set-ntp true): it is 600 s slow", keys={"drift": -600.0},
    ),
    "the clock is two hours fast": Way(
        lambda it: it.m2m_token(iat=T0 - 2 * HOUR, exp=T0 - HOUR), "dates expired",
        "The token has not expired. Set the clock of this machine (timedatectl set-ntp true): it is 7200 s fast",
        keys={"drift": 7200.0},
    ),
    "it is valid from tomorrow on": Way(
        lambda it: it.m2m_token(nbf=T0 + 86_400), "dates not_yet_valid", "Wait until it begins to be valid (nbf)",
    ),
    # Keys and signatures.
    "its key was rotated out": Way(
        lambda it: it.token(it.m2m_claims(), key=it.stranger), "key unknown_key",
        f"The key was rotated out, or was never Kinde's. Request a new token from {ISSUER}",
    ),
    "the local Kinde was started anew": Way(
        lambda it: it.token(it.m2m_claims(iss=LOCAL), key=it.stranger), "key unknown_key",
        "A local Kinde makes new keys at each start. Get a new token", settings={"domain": LOCAL},
    ),
    "a file of old keys": Way(
        lambda it: it.token(it.m2m_claims(), key=it.stranger), "key unknown_key",
        f"Save the keys anew: curl -sS {ISSUER}/.well-known/jwks > FILE", keys={"offline": True},
    ),
    "it was edited": Way(
        lambda it: it.preset("tampered"), "signature bad_signature", "The token was changed after it was signed",
    ),
    "it is signed with a shared secret": Way(
        lambda it: it.token(it.m2m_claims(), key=SigningKey("k", "HS256", b"x" * 32)), "alg unsupported_algorithm",
        "instead of signing it with a shared secret (HS256)",
    ),
    "it is not signed": Way(
        lambda it: it.token(it.m2m_claims(), header={"kid": "k"}, key=UNSIGNED), "alg unsupported_algorithm",
        "Get the token from Kinde, which signs with RS256",
    ),
    # What is no access token at all.
    "an API key": Way(
        lambda it: "k_live_0123456789abcdef", "form malformed", "This is a Kinde API key, which Kinde alone can",
    ),
    "a webhook": Way(
        lambda it: it.webhook_jwt(), "kind wrong_token_type", "Take webhooks at a public path of their own",
    ),
    "the word undefined": Way(
        lambda it: "undefined", "form malformed", "send no header while it is undefined",
    ),
    "an opaque token": Way(
        lambda it: "Q2hhbmdlIG1l", "form malformed", "a refresh token, an authorization code and a client secret",
    ),
    "half a token": Way(
        lambda it: it.m2m_token().rpartition(".")[0], "form malformed", "The token is cut off",
    ),
    "Bearer twice": Way(
        lambda it: f"Bearer {it.m2m_token()}", "header malformed",
        "It begins with the word Bearer: the word stands there twice",
    ),
    "a token in quotes": Way(
        lambda it: f'"{it.m2m_token()}"', "header malformed", "There are quotes or white space in it.",
    ),
    "an encrypted token": Way(
        lambda it: "eyJhbGciOiJkaXIifQ.a.b.c.d", "form malformed", "This is an encrypted token (JWE)",
    ),
    "a giant": Way(
        lambda it: "x" * 20_000, "size malformed", "Take claims out of the token that the API does not need",
    ),
    "a token that nothing fits": Way(
        lambda it: "eyJ.eyJ.x", "header malformed", "damaged on its way, or made by hand",
    ),
    "no kid": Way(
        lambda it: it.token(it.m2m_claims(), header={"kid": ABSENT}), "kid malformed", "tokens name their key",
    ),
    "a workflow that writes what it should not": Way(
        lambda it: it.m2m_token(aud=7), "aud malformed", "Kinde → Workflows",
    ),
    "a critical extension": Way(
        lambda it: it.token(it.m2m_claims(), header={"crit": ["x"]}), "crit unsupported_header", "no such header",
    ),
    "a proof of possession": Way(
        lambda it: it.m2m_token(cnf={"jkt": "x"}), "kind wrong_token_type", "Request a plain bearer token",
    ),
    "a logout token": Way(
        lambda it: it.token(it.m2m_claims(), header={"typ": "logout+jwt"}), "typ wrong_token_type", "(typ logout+jwt)",
    ),
    "nobody's token": Way(
        lambda it: it.m2m_token(gty=ABSENT), "caller wrong_token_type", "It names neither a user",
    ),
    "Kinde cannot be reached": Way(
        lambda it: it.m2m_token(), "key keys_unavailable", "kinde-guard doctor", keys={"down": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_a_wrong_token_and_the_one_right_fix(acme: LocalIssuer, name: str) -> None:
    """Each way to get a token wrong is found where the guard finds it, and comes with what to do."""
    way = WAYS[name]
    found = decisive(way.explained(acme))
    assert f"{found.name} {found.reason}" == way.found
    assert way.fix in found.fix


FOREIGN = [
    "https://accounts.google.com", "accounts.google.com", "https://securetoken.google.com/acme",
    "https://login.microsoftonline.com/72f988bf/v2.0", "https://sts.windows.net/72f988bf/", "https://acme.eu.auth0.com/",
    "https://acme.okta.com", "https://acme.okta.com/oauth2/default", "https://appleid.apple.com", "https://gitlab.com",
    "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x", "https://acme.clerk.accounts.dev", "https://github.com",
    "https://token.actions.githubusercontent.com", "https://x.supabase.co/auth/v1", "https://acme.b2clogin.com/x/v2.0",
    "https://kubernetes.default.svc.cluster.local", "https://keycloak.acme.com/realms/acme", "http://account.acme.com",
    "http://127.0.0.1:8080/realms/acme", "https://account.acme.com:8443", "https://me:pw@acme.kinde.com", "urn:acme",
    "https://acme.kinde.com/api", "https://$(id).kinde.com", "https://$(id)", "https://acme.kinde.com\\@x.com", "x",
    "https://ACCOUNTS.GOOGLE.COM", "ftp://acme.kinde.com", "https://acme.kinde.com?x", "https://[::1", "https://",
]  # fmt: skip


@pytest.mark.parametrize("domain", [DOMAIN, LOCAL, "account.acme.com", [DOMAIN, "account.acme.com"]], ids=str)
@pytest.mark.parametrize("iss", FOREIGN)
def test_nobody_is_advised_to_trust_who_is_not_kinde(acme: LocalIssuer, iss: str, domain: Any) -> None:
    explained = explain(acme.user_token(iss=iss), settings_of(domain), NOW, Keys(acme))
    check = decisive(explained)
    assert (check.name, check.reason) == ("iss", "unknown_issuer")
    assert "KINDE_DOMAIN" not in check.fix
    assert "not from Kinde" in check.fix


@pytest.mark.parametrize(
    "iss", ["https://account.acme.com", "https://login.example", "https://acme.kinde.com.evil.com"]
)
@pytest.mark.parametrize("domain", [DOMAIN, LOCAL, "auth.acme.com"])
def test_a_domain_that_may_be_anybody_s_is_first_looked_for_in_kinde(acme: LocalIssuer, iss: str, domain: str) -> None:
    """A custom domain may have any name."""
    fix = decisive(explain(acme.user_token(iss=iss), settings_of(domain), NOW, Keys(acme))).fix
    assert fix.index("Environment → Custom domain. Only if it stands there") < fix.index("KINDE_DOMAIN=")
    assert "If not, it is not from Kinde" in fix


def test_no_fix_is_a_catch_all(acme: LocalIssuer) -> None:
    """No two ways have the same."""
    fixes = [decisive(way.explained(acme)).fix for way in WAYS.values()]
    assert len(set(fixes)) == len(fixes)


_OF_NO_TOKEN: tuple[Reason, ...] = (
    "missing_token", "invalid_request", "revoked", "revocations_unavailable",
    "invalid_api_key", "wrong_api", "api_keys_unavailable",
)  # fmt: skip


def test_every_fix_is_some_way_s(acme: LocalIssuer) -> None:
    """None is dead, none speaks of what it has no word for; but for what no token shows: headers, and revocations."""
    rows = {sentence for reason, rows in FIXES.items() for _, sentence in rows}
    told_of = "\n".join(decisive(way.explained(acme)).fix for way in WAYS.values())
    dead = [row for row in rows if row.partition("{")[0] not in told_of]
    assert sorted(dead) == sorted(FIXES[reason][0][1] for reason in _OF_NO_TOKEN)
    for reason in FIXES:
        assert fix(RefusalContext(reason, "size", settings_of(), NOW, "x.y.z"))


def test_it_agrees_with_the_guard_about_the_whole_corpus() -> None:
    """The same verdict and reason for every hostile token, and for every odd but good one."""
    issuer = LocalIssuer("https://local.kinde.test")
    now = issuer.now()
    settings, clocks = settings_of(issuer.url, audience=issuer.audience), Clocks(wall=lambda: now)
    guard = Guard(issuer.url, audience=issuer.audience, transport=issuer.transport, variables=(), clocks=clocks)
    cases: list[Benign | Hostile] = [*benign(issuer, issuer.audience, READ), *corpus(issuer, issuer.audience, READ)]
    keys, reasons = Keys(issuer), []
    for case in cases:
        try:
            raw = bearer.token_from(case.authorization)
        except AuthError:
            continue  # it is no token that the header holds
        reasons.append(reason_of(explain(raw, settings, now, keys, [scope(READ)])))
        assert reasons[-1] == verdict_of(guard, raw, scope(READ)), case.name
    assert len(reasons) > 200
    assert len(set(reasons)) > 10


def verdict_of(guard: Guard, raw: str, demand: Requirement) -> str | None:
    try:
        guard.verify(raw).require(demand)
    except AuthError as refusal:
        return refusal.reason
    return None


def test_every_rule_of_the_guard_is_told_of() -> None:
    """A new rule needs a look."""
    assert set(DESCRIPTIONS) == {*rules.HEADER_RULES, *rules.CLAIMS_RULES}


def test_a_good_token_passes_every_check_in_the_guard_s_order(acme: LocalIssuer) -> None:
    """Each with what was expected and found."""
    explanation = told(acme, acme.m2m_token(), scope(READ))
    assert [check.name for check in explanation.checks] == [*ORDER, "demand"]
    assert {check.outcome for check in explanation.checks} == {"passed"}
    assert all(check.expected and check.found for check in explanation.checks)
    assert (explanation.verdict, explanation.verified, explanation.decisive) == ("valid", True, None)
    found = by_name(explanation)
    assert (found["iss"].expected, found["iss"].found) == (ISSUER, ISSUER)
    assert (found["aud"].expected, found["aud"].found) == (AUDIENCE, AUDIENCE)
    assert found["dates"].found == ("exp 2025-06-30 12:26:40, in 1 day, 0:00:00; iat 2025-06-29 12:26:40, 0:00:00 ago")
    assert found["key"].found == "RSA 2048 bits"


def test_the_first_failure_is_the_verdict_and_the_rest_comes_second(acme: LocalIssuer) -> None:
    """What the guard does not reach is tried all the same, and told with its own fix."""
    explanation = told(acme, acme.m2m_token(audience=[], exp=T0 - HOUR, iat=T0 - HOUR, scope=""), scope(READ))
    found = by_name(explanation)
    assert [name for name, check in found.items() if check.outcome == "failed"] == ["aud"]
    assert [(check.name, check.reason) for check in explanation.also_wrong] == [
        ("dates", "expired"),
        ("demand", "insufficient_scope"),
    ]
    assert all(check.fix for check in explanation.also_wrong)
    assert (found["signature"].outcome, found["signature"].also) == ("not_reached", "passed")
    assert explanation.verified


def test_nothing_is_wrong_besides_where_it_takes_another_token(acme: LocalIssuer) -> None:
    """What else an ID token lacks is nobody's to mend."""
    explanation = told(acme, acme.id_token())
    assert by_name(explanation)["aud"].also == "failed"
    assert explanation.also_wrong == ()


def test_what_cannot_be_asked_is_not_reached(acme: LocalIssuer) -> None:
    """Without a payload there are no claims to judge."""
    header, _, signature = acme.m2m_token().split(".")
    explanation = told(acme, f"{header}.{b64(b'[]')}.{signature}", scope(READ))
    after = ORDER[ORDER.index("payload") + 1 :]
    unasked = [check.name for check in explanation.checks if (check.outcome, check.also) == ("not_reached", None)]
    assert decisive(explanation).name == "payload"
    assert unasked == [*(name for name in after if name != "encoding"), "demand"]


def test_no_key_is_asked_of_whom_the_guard_does_not_trust(acme: LocalIssuer) -> None:
    """Whatever a token says its issuer is."""
    keys = Keys(acme)
    explain(acme.m2m_token(iss="https://evil.example"), settings_of(), NOW, keys)
    explain(acme.preset("alg_none"), settings_of(), NOW, keys)
    assert keys.asked == []


def test_no_demand_is_asked_of_a_forgery(acme: LocalIssuer) -> None:
    """Nobody vouches for its scopes."""
    explanation = told(acme, acme.preset("tampered"), scope(READ))
    check = by_name(explanation)["demand"]
    assert (check.outcome, check.also, check.found) == ("not_reached", None, "")
    assert not explanation.verified


def test_without_keys_there_is_no_verdict(acme: LocalIssuer) -> None:
    """But a token that is wrong in itself is refused, keys or no keys."""
    assert told(acme, acme.m2m_token(), down=True).verdict == "cannot_tell"
    expired = told(acme, acme.m2m_token(exp=T0 - HOUR), down=True)
    assert (expired.verdict, by_name(expired)["key"].outcome) == ("refused", "not_reached")


@pytest.mark.parametrize(
    ("demand", "found"),
    [
        (scope(READ) & org("org_1"), "scopes read:users, write:flags; organization none"),
        (permission("x") | role("y"), "permissions none; roles none"),
        (flag("beta"), "flags {}"),
        (machine, "an M2M app"),
    ],
)
def test_what_a_demand_finds(acme: LocalIssuer, demand: Requirement, found: str) -> None:
    """Of the kinds that it is about, alternatives and all."""
    check = by_name(told(acme, acme.m2m_token(), demand))["demand"]
    assert (check.expected, check.found) == (str(demand), found)


def test_claims_are_shown_in_ascii_and_not_at_length(acme: LocalIssuer) -> None:
    """A claim plays no tricks on the terminal, nor fills it."""
    nasty = "\x1b[2J\u202e"
    for raw in (
        acme.m2m_token(iss=nasty, aud=[nasty] * 50, azp=nasty),
        acme.token({**acme.m2m_claims(), nasty * 300: 1}, header={"kid": nasty, "typ": nasty, nasty: nasty}),
    ):
        for check in told(acme, raw).checks:
            shown = check.found + check.expected + check.fix.replace("→", "").replace("…", "")
            assert shown.isascii()
            assert "\x1b" not in shown
            assert len(check.found) < 300


Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def kinde() -> Iterator[LocalIssuer]:
    """A local Kinde, served on loopback."""
    with served_issuer() as issuer:
        yield issuer


@pytest.fixture
def run(
    no_settings: None,
    kinde: LocalIssuer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """``kinde-guard explain`` of a token in a file, with the settings of *kinde*."""
    monkeypatch.setenv("KINDE_DOMAIN", kinde.url)
    monkeypatch.setenv("KINDE_AUDIENCE", kinde.audience)
    file = tmp_path / "token.txt"

    def run(raw: str, *arguments: str, **variables: str) -> Outcome:
        file.write_text(raw)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return outcome_of(capsys, "explain", str(file), *arguments)

    return run


def test_a_good_token_at_the_terminal(run: Run, kinde: LocalIssuer) -> None:
    """A table, a word, exit status 0."""
    status, out, err = run(kinde.m2m_token(), "--require", f"scope:{READ}")
    marks = re.findall(r"^(\S)  (\w+) ", out, re.M)
    assert (status, err) == (0, "")
    assert marks == [("✓", name) for name in [*ORDER, "demand"]]
    assert re.search(r"^valid +Every check passes\.", out, re.M)


def test_a_bad_token_at_the_terminal(run: Run, kinde: LocalIssuer) -> None:
    """The failed check is marked, the fix is at the end, exit status 1; what comes second is second."""
    status, out, _ = run(kinde.m2m_token(audience=[], scope=""), "--require", f"scope:{READ}")
    text = " ".join(out.split())
    assert status == 1
    assert re.findall(r"^✗  (\w+) ", out, re.M) == ["aud"]
    assert re.search(r"^-  demand .*scopes none \(fails too\)", out, re.M)
    assert "refused empty_audience, at aud. The access token has no audience." in text
    assert f"fix This token has no audience. Request it with audience={kinde.audience}, and authorise" in text
    assert "also demand (insufficient_scope). Switch on read:users for the app" in text


@pytest.mark.parametrize("name", ["alg_none", "tampered", "unknown_key"])
def test_what_nobody_vouches_for_is_called_unverified(run: Run, kinde: LocalIssuer, name: str) -> None:
    """In the heading of its column, and in a sentence."""
    bad, good = run(kinde.preset(name)).out, run(kinde.preset("expired")).out
    assert "found (unverified)" in bad
    assert "What was found is unverified" in bad
    assert "unverified" not in good


@pytest.mark.parametrize(("form", "reason", "found"), [
    ("Authorization: {}", "missing_token", "a token stands there without `Bearer`"),
    ("authorization: Token {}", "missing_token", "another word stands there for `Bearer`"),
    ("JWT {}", "missing_token", "another word stands there for `Bearer`"),
    ("Bearer%20{}", "missing_token", "as in a URL"), ("Authorization: Basic eDp5", "missing_token", "another scheme"),
    ("Bearer Bearer {}", "invalid_request", "Bearer stands twice"), ("Bearer: {}", "invalid_request", "a colon"),
    ("Authorization: Bearer Bearer {}", "invalid_request", "Bearer stands twice"),
    ('Bearer "{}"', "invalid_request", "quotes around the token"), ("Bearer {},", "invalid_request", "a comma"),
    ("Bearer", "invalid_request", "no token after Bearer"),
    ('"Bearer {}"', "missing_token", "quotes around the header"),
])  # fmt: skip
def test_a_header_without_one_token(run: Run, kinde: LocalIssuer, form: str, reason: str, found: str) -> None:
    """As the guard would judge it; the token is not shown."""
    raw = kinde.m2m_token()
    words, machine = run(form.format(raw)), run(form.format(raw), "--json")
    document = json.loads(machine.out)
    assert (words.status, machine.status, document["reason"], document["verified"]) == (1, 1, reason, False)
    assert [each["name"] for each in document["checks"]] == ["authorization"]
    assert found in document["checks"][0]["found"]
    assert "Authorization" in document["fix"]
    assert f"refused {reason}, at authorization." in " ".join(words.out.split())
    assert raw[:20] not in words.out + machine.out


@pytest.mark.parametrize("form", ["{}", "Bearer {}", "Authorization: Bearer {}", "authorization:bearer\n{}\n"])
def test_a_header_with_one_token(run: Run, kinde: LocalIssuer, form: str) -> None:
    assert run(form.format(kinde.m2m_token())).status == 0


def test_json(run: Run, kinde: LocalIssuer) -> None:
    """For programs, and nothing else on stdout."""
    status, out, err = run(kinde.preset("expired"), "--json")
    found = json.loads(out)
    assert (status, err, found["verdict"], found["reason"], found["check"]) == (1, "", "refused", "expired", "dates")
    assert found["fix"].startswith("Request a new one")
    assert found["verified"] is True
    assert [check["name"] for check in found["checks"]] == ORDER
    assert {check["outcome"] for check in found["checks"]} == {"passed", "failed", "not_reached"}


@pytest.mark.parametrize("name", PRESETS)
def test_the_token_is_never_shown(run: Run, kinde: LocalIssuer, name: str) -> None:
    """Nor a part of it; the log's name for it is."""
    raw = kinde.preset(name)
    words, machine = run(raw), run(raw, "--json")
    for part in filter(None, raw.split(".")):
        assert part not in words.out + words.err + machine.out
    assert words.out.startswith(f"Token {machine.document['fingerprint']}, ")


def test_the_same_status_as_verify(run: Run, kinde: LocalIssuer) -> None:
    """0 valid, 1 refused, 2 usage or settings, 3 cannot tell."""
    with nobody() as url:
        unknown = run(LocalIssuer(url, key=kinde.key).m2m_token(), "--domain", url, "--json")
    assert (unknown.status, unknown.document["verdict"]) == (3, "cannot_tell")
    assert unknown.document["fix"].startswith("No server listens there. Start the local Kinde")
    assert [
        run(
            "",
        ).status,
        run("x", "--require", "y").status,
        run("x", KINDE_AUDIENCE="").status,
    ] == [2, 2, 2]


def test_why_there_are_no_keys(run: Run, kinde: LocalIssuer) -> None:
    """What the issuer did is found, and what to do about it."""
    with kinde.broken("client_error", status=403):
        status, out, _ = run(kinde.m2m_token())
    text = " ".join(out.split())
    assert status == 3
    assert "the issuer answered 403" in text
    assert "fix Kinde answers 403 to a wrong subdomain or region. Copy the domain from Kinde" in text


def test_the_clock_is_compared_with_the_issuer_s(run: Run, kinde: LocalIssuer) -> None:
    """A good token of an issuer whose clock is ten minutes ahead of this machine's."""
    kinde.break_down("clock_skewed", "keys", seconds=600)
    try:
        found = run(kinde.m2m_token(), "--json").document
    finally:
        kinde.heal()
    assert found["reason"] == "not_yet_valid"
    assert re.search(r"Set the clock of this machine .*: it is (599|600) s slow", found["fix"])


def test_offline(run: Run, kinde: LocalIssuer, tmp_path: Path) -> None:
    """--jwks takes the keys from a file, and asks nobody."""
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(kinde.jwks()))
    before = kinde.jwks_fetches
    arguments = ["--jwks", str(file), "--json"]
    good, stranger = run(kinde.m2m_token(), *arguments), run(kinde.preset("unknown_key"), *arguments)
    assert (good.status, good.document["verified"]) == (0, True)
    assert stranger.document["fix"].startswith("The file is older or newer than the token")
    assert kinde.jwks_fetches == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("{}", "--jwks: the answer is not a JWK Set"), ("", "--jwks: the answer is not JSON"), (None, "cannot read ")],
)
def test_a_file_that_holds_no_keys(run: Run, tmp_path: Path, content: str | None, sentence: str) -> None:
    """Is a matter of usage."""
    file = tmp_path / "jwks.json"
    if content is not None:
        file.write_text(content)
    status, out, err = run("x", "--jwks", str(file))
    assert (status, out) == (2, "")
    assert err.startswith(f"kinde-guard: {sentence}")


def test_a_file_holds_the_keys_of_one_issuer(run: Run, kinde: LocalIssuer) -> None:
    """Which of several, it does not say."""
    status, _, err = run("x", "--jwks", "-", KINDE_DOMAIN=f"{kinde.url} acme.kinde.com")
    assert status == 2
    assert "--domain" in err


def test_it_fits_a_narrow_terminal_and_a_pipe(kinde: LocalIssuer, tmp_path: Path) -> None:
    """80 columns and no colours, in a process of its own."""
    file = tmp_path / "token.txt"
    file.write_text(kinde.preset("empty_audience"))
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")},
        "KINDE_DOMAIN": kinde.url,
        "KINDE_AUDIENCE": kinde.audience,
        "PYTHONUTF8": "1",
    }
    command = [sys.executable, "-W", "error", "-m", "kinde_guard.cli", "explain", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=LONG, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_colours_are_for_terminals(run: Run, kinde: LocalIssuer) -> None:
    """And for those who want them."""
    raw = kinde.preset("expired")
    assert "\x1b[" in run(raw, FORCE_COLOR="1").out
    assert "\x1b[3" not in run(raw, NO_COLOR="1").out


def test_the_example_in_the_help_works_when_pasted(kinde: LocalIssuer, run: Run) -> None:
    """With the variables of the local Kinde."""
    environment = {
        **clean_environment(),
        **variables_of_app(kinde),
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
        "PYTHONUTF8": "1",
    }
    example = re.search(r"Example.*\n +(kinde-guard .*)\n", run("x", "--help").out)
    assert example is not None
    done = subprocess.run(example[1], shell=True, env=environment, capture_output=True, text=True, timeout=LONG)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Every check passes." in done.stdout
