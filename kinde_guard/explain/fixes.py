"""What to do about a refusal: a table from the reason, and from what the token shows, to one sentence. Pure.

The sentences use the words of Kinde's own pages and menus. Rows are asked in their order, and the first that fits is
the one; the last of each reason always fits. What a token says may be untrue, so it decides about words alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .claims import Json, client_of, is_event, is_id_token, is_m2m, org_of, roles_of
from .errors import ConfigurationError, Reason
from .jws import MAX_TOKEN
from .rules import TYPES
from .settings import Settings, is_loopback, issuer_url

MOST_SHOWN = 200
CLAIM_CHECKS = frozenset({"kind", "caller", "iss", "aud", "dates"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to go by."""

    reason: Reason
    check: str
    """The name of the check that failed."""
    settings: Settings
    now: float
    raw: str = field(repr=False)
    header: Json = field(default_factory=dict)
    claims: Json = field(default_factory=dict)
    demand: str = ""
    required: tuple[str, ...] = ()
    """The scopes that were demanded, if those are what is lacking."""
    granted: frozenset[str] = frozenset()
    """The scopes that the token has."""
    permissions: frozenset[str] = frozenset()
    drift: float | None = None
    """By how many seconds this machine's clock is ahead of the issuer's; ``None`` if nobody knows."""
    offline: bool = False
    """Whether the keys are from a file."""

    @property
    def iss(self) -> str:
        iss = self.claims.get("iss")
        return iss if isinstance(iss, str) else ""

    @property
    def host(self) -> str:
        """The host in ``iss``, for comparing alone: it need not be one."""
        try:
            return urlsplit(self.iss).hostname or ""
        except ValueError:
            return ""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the trusted issuers."""
        return tuple(urlsplit(url).hostname or "" for url in self.settings.issuers)

    @property
    def audience(self) -> list[str]:
        aud = self.claims.get("aud")
        return [each for each in (aud if isinstance(aud, list) else [aud]) if isinstance(each, str)]

    @property
    def missing(self) -> list[str]:
        """Scopes that were demanded and not granted."""
        return [name for name in self.required if name not in self.granted]

    def words(self) -> dict[str, str]:
        """What the sentences may name."""
        ours = sorted(self.settings.audiences)
        found = {
            "alg": shown(self.header.get("alg")),
            "typ": shown(self.header.get("typ")),
            "iss": shown(self.iss),
            "host": shown(self.host),
            "aud": shown(" ".join(self.audience)),
            "azp": shown(client_of(self.claims)),
            "org": shown(org_of(self.claims)),
            "asked": shown(" ".join(scp) if isinstance(scp := self.claims.get("scp"), list) and _texts(scp) else scp),
        }
        return found | {
            "issuers": " ".join(self.settings.issuers),
            "hosts": " ".join(self.hosts),
            "audience": " or ".join(ours),
            "one_audience": ours[0] if ours else "<your API's audience>",
            "missing": " ".join(self.missing),
            "wanted": " ".join(sorted({*self.granted, *self.missing})),
            "demand": self.demand,
            "off": f"{abs(self.drift or 0):.0f} s {'fast' if (self.drift or 0) > 0 else 'slow'}",
        }


def fix(facts: Facts) -> str:
    """What to do, in a sentence or two."""
    rows = FIXES[facts.reason]
    return next(sentence for fits, sentence in rows if fits(facts)).format(**facts.words())


def shown(value: object) -> str:
    """A value from a token, fit for a terminal: ASCII, in one line, not endless."""
    text = json.dumps(value)
    text = text[1:-1] if isinstance(value, str) else text
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _texts(values: Sequence[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _always(facts: Facts) -> bool:
    return True


def _m2m(facts: Facts) -> bool:
    return is_m2m(facts.claims)


# What scripts send in place of a token that is not there: getAccessToken() may return undefined.
_STAND_INS = frozenset({"undefined", "null", "None", "NaN", "[object Object]", "[object Promise]"})


def _spelled_otherwise(facts: Facts) -> bool:
    """Whether ``iss`` is a trusted issuer but for a slash, the case or the like."""
    try:
        return issuer_url(facts.iss) in facts.settings.issuers
    except ConfigurationError:
        return False


def _other_region(facts: Facts) -> bool:
    """acme.kinde.com and acme.eu.kinde.com."""
    name, _, rest = facts.host.partition(".")
    return (
        _is_kinde(facts.host) and bool(rest) and any(_is_kinde(h) and h.partition(".")[0] == name for h in facts.hosts)
    )


def _is_kinde(host: str) -> bool:
    return host.endswith(".kinde.com")


def _for_management(facts: Facts) -> bool:
    ends = (".kinde.com/api", ".kinde.com/api/v1")
    return any(each.rstrip("/").endswith(ends) or each.rstrip("/") == f"{facts.iss}/api" for each in facts.audience)


def _like_ours(facts: Facts) -> bool:
    ours = {each.rstrip("/").casefold() for each in facts.settings.audiences}
    return any(each.rstrip("/").casefold() in ours for each in facts.audience)


def _clock_off(facts: Facts) -> bool:
    return facts.drift is not None and abs(facts.drift) > facts.settings.leeway


def _clock_makes_it_expired(facts: Facts) -> bool:
    exp = facts.claims.get("exp")
    return _clock_off(facts) and isinstance(exp, int | float) and exp > facts.now - (facts.drift or 0)


def _issued_in_future(facts: Facts) -> bool:
    iat = facts.claims.get("iat")
    return isinstance(iat, int | float) and iat > facts.now + facts.settings.leeway


_APPLICATION = "Kinde → Settings → Applications → the application"
_AUTHORISE = f"authorise the app for the API: {_APPLICATION} → APIs → Authorize application"
_TOKENS = f"{_APPLICATION} → Tokens → Token customization"
_SCOPES = f"{_APPLICATION} → APIs → Manage scopes"
_GET_NEW = "Get a new one from Kinde, and send it unchanged."
_SET_CLOCK = "Set the clock of this machine: it is {off} by the issuer's (timedatectl set-ntp true)."

Row = tuple[Callable[[Facts], bool], str]
_OTHERWISE_MALFORMED: tuple[Row, ...] = (
    (
        lambda f: len(f.raw) > MAX_TOKEN,
        f"Leave claims out that the API does not need: {_TOKENS} → Access token → Customize.",
    ),
    (
        lambda f: f.check == "kid",
        "Get the token from Kinde, whose tokens all name their key (kid): this one was made by something else.",
    ),
    (
        lambda f: f.check in CLAIM_CHECKS,
        "Look for the token workflow that writes this claim (Kinde → Workflows): Kinde itself never writes it so.",
    ),
    (_always, f"The token was damaged on its way, or made by hand. {_GET_NEW}"),
)
FIXES: Mapping[Reason, Sequence[Row]] = {
    "malformed": (
        (
            lambda f: f.raw in _STAND_INS,
            "The client had no token yet, and sent a word in its place. With Kinde's JavaScript SDKs "
            "`await getAccessToken()`, and send no header while it is undefined.",
        ),
        (
            lambda f: f.raw.startswith("k_live_"),
            "This is a Kinde API key. Send an access token here; API keys are verified by asking Kinde, "
            "POST /api/v1/api_keys/verify.",
        ),
        (
            lambda f: any(character.isspace() or character in "\"'" for character in f.raw),
            "There are quotes or white space in it. Send the token bare and in one piece.",
        ),
        (
            lambda f: f.raw.startswith("eyJ") and f.raw.count(".") < 2,
            "The token is cut off: it ends before its signature. Copy it whole, three parts joined by dots.",
        ),
        (
            lambda f: f.raw.count(".") == 4,
            "This is an encrypted token (JWE), which Kinde does not make. Send the access_token of Kinde's answer.",
        ),
        (
            lambda f: f.raw.count(".") != 2,
            "This is not a JWT, and so not Kinde's access token. Send the `access_token` of Kinde's answer; a refresh "
            "token, an authorization code and a client secret are something else.",
        ),
        *_OTHERWISE_MALFORMED,
    ),
    "unsupported_algorithm": (
        (
            lambda f: str(f.header.get("alg")).startswith("HS"),
            "Get the token from Kinde, instead of signing it with a shared secret ({alg}): Kinde signs with RS256 and "
            "publishes the keys, so there is no secret to configure.",
        ),
        (_always, "Get the token from Kinde, which signs with RS256 and nothing else; this one says {alg}."),
    ),
    "unsupported_header": (
        (_always, "Get the token from Kinde, whose tokens have no such header: this one was made by something else."),
    ),
    "wrong_token_type": (
        (
            lambda f: is_event(f.claims),
            "This is the body of a Kinde webhook. Take webhooks at a public path of their own, and send access tokens "
            "here.",
        ),
        (
            lambda f: "at_hash" in f.claims or "nonce" in f.claims,
            "This is an ID token. Send the access token: `access_token` of Kinde's answer instead of `id_token`, "
            "`getAccessToken()` instead of `getIdToken()`.",
        ),
        (
            lambda f: is_id_token(f.claims),
            "Its audience is the issuer or the app itself, as in an ID token. Request it with audience={one_audience}, "
            f"and {_AUTHORISE}.",
        ),
        (
            lambda f: "cnf" in f.claims,
            "The token is bound to a key of the client. Request a plain bearer token, without DPoP or mutual TLS.",
        ),
        (
            lambda f: "typ" in f.header and str(f.header["typ"]).lower() not in TYPES,
            "This is another kind of token (typ {typ}). Send the `access_token` of Kinde's answer.",
        ),
        (
            _always,
            "It says neither which user (sub) nor that an app (gty client_credentials) calls. Send the `access_token` "
            "of Kinde's answer.",
        ),
    ),
    "unknown_issuer": (
        (
            lambda f: not f.iss,
            "It names no issuer, which every access token of Kinde does. Send the `access_token` of Kinde's answer.",
        ),
        (
            _spelled_otherwise,
            "Issuers are compared letter by letter, and Kinde's is {issuers}, without a slash at the end: mend whatever "
            "made a token that says {iss}.",
        ),
        (
            lambda f: is_loopback(f.host) and any(map(is_loopback, f.hosts)),
            "It is from another run of the local Kinde. Get a new token with the variables that kinde-guard dev prints "
            "now.",
        ),
        (
            lambda f: is_loopback(f.host),
            "It is from the local Kinde, and this API trusts {issuers}: set KINDE_DOMAIN={iss} while you develop.",
        ),
        (
            lambda f: any(map(is_loopback, f.hosts)),
            "It is from {iss}, and this API trusts the local Kinde: set KINDE_DOMAIN={host}.",
        ),
        (
            _other_region,
            "The same name in another region: set KINDE_DOMAIN={host}, if that is what Kinde shows "
            f"({_APPLICATION} → Details → Domain).",
        ),
        (
            lambda f: _is_kinde(f.host) and not any(map(_is_kinde, f.hosts)),
            "Tokens of machine-to-machine apps carry the kinde.com domain, also where users sign in at a custom domain. "
            'If it is yours, list both: KINDE_DOMAIN="{hosts} {host}".',
        ),
        (
            lambda f: not _is_kinde(f.host) and any(map(_is_kinde, f.hosts)),
            "Tokens of users who sign in at a custom domain carry that. If it is yours (Kinde → Settings → Environment "
            '→ Custom domain), list both: KINDE_DOMAIN="{host} {hosts}".',
        ),
        (
            _always,
            "It is from another environment or business of Kinde. Get the token from {issuers}, or set "
            "KINDE_DOMAIN={host}.",
        ),
    ),
    "wrong_audience": (
        (
            _for_management,
            "The token is for Kinde's Management API. Request one with audience={one_audience} for this API.",
        ),
        (
            lambda f: not f.settings.audiences,
            "The token names an audience, which is better: give it to the guard, audience={aud}, instead of None.",
        ),
        (
            _like_ours,
            "The audience is the same but for its spelling, and it is compared letter by letter: set "
            "KINDE_AUDIENCE={aud}, as it is registered in Kinde.",
        ),
        (
            _always,
            f"The token is for another API. Request it with audience={{one_audience}}, and {_AUTHORISE}.",
        ),
    ),
    "empty_audience": (
        (
            _m2m,
            f"This token has no audience. Request it with audience={{one_audience}}, and {_AUTHORISE}.",
        ),
        (
            _always,
            'This token has no audience. Give audience="{one_audience}" to Kinde\'s SDK where the user signs in, '
            f"{_AUTHORISE}; then sign in again.",
        ),
    ),
    "wrong_client": ((_always, "Add {azp} to clients=[…], if that app may call this API."),),
    "expired": (
        (_clock_makes_it_expired, f"The token is good. {_SET_CLOCK}"),
        (
            _m2m,
            "Request a new token (kinde-guard token, or kinde_guard.m2m.ClientCredentials, which renews it in time).",
        ),
        (
            _always,
            "Let the client renew it: request the scope `offline`, and use the refresh token. How long access tokens "
            f"live is set in {_APPLICATION} → Tokens.",
        ),
    ),
    "not_yet_valid": (
        (_clock_off, _SET_CLOCK),
        (
            _issued_in_future,
            "It was issued in the future, so a clock is wrong, most likely this machine's, slow. Set it "
            "(timedatectl set-ntp true); kinde-guard doctor compares it with Kinde's.",
        ),
        (_always, "Wait until the token begins to be valid (nbf), or request one that is valid now."),
    ),
    "unknown_key": (
        (
            lambda f: f.offline,
            "The file is older or newer than the token, or of another environment. Save the keys anew: curl -sS "
            "{issuers}/.well-known/jwks > FILE",
        ),
        (
            lambda f: any(map(is_loopback, f.hosts)),
            "The local Kinde makes new keys at each start. Get a new token from the one that runs now.",
        ),
        (
            _always,
            "The key has been rotated out, or was never Kinde's. Request a new token from {issuers}.",
        ),
    ),
    "bad_signature": ((_always, f"The token was changed after it was signed, or is forged. {_GET_NEW}"),),
    "insufficient_scope": (
        (
            lambda f: bool(f.missing) and f.permissions.issuperset(f.missing),
            "The token holds it as a permission. Demand permission(…) instead of scope(…), or set "
            "permissions_as_scopes=True.",
        ),
        (
            lambda f: not _m2m(f) and not isinstance(f.claims.get("scope"), str),
            "A user's token holds OIDC scopes alone. Switch on Include API scopes in the permissions claim "
            f"({_TOKENS} → Access token → Customize), and set permissions_as_scopes=True.",
        ),
        (
            lambda f: _m2m(f) and bool(f.claims.get("scp")),
            'The token was requested for these scopes alone: {asked}. Request it with scope="{wanted}", or without '
            f"scope= for all that the app has; if it has not, switch on {{missing}}: {_SCOPES}.",
        ),
        (_always, f"Switch on {{missing}} for the app: {_SCOPES}. Then request a new token."),
    ),
    "missing_permission": (
        (
            _m2m,
            f"Switch on Include API scopes in the permissions claim ({_TOKENS} → M2M token), or demand scope(…).",
        ),
        (
            lambda f: org_of(f.claims) is None,
            "Permissions come with an organization, and the user signed in to none: sign in with org_code=….",
        ),
        (
            _always,
            "Give it to the user in this organization: Kinde → Users → the user → Permissions. Then sign in again.",
        ),
    ),
    "missing_role": (
        (
            lambda f: not roles_of(f.claims),
            f"Switch on Roles in the token: {_TOKENS} → Access token → Customize. Then sign in again.",
        ),
        (_always, "Give it to the user in this organization: Kinde → Users → the user → Roles. Then sign in again."),
    ),
    "wrong_org": (
        (
            lambda f: _m2m(f) and org_of(f.claims) is None,
            "The app is a global one. Make an app of that organization: Kinde → Organizations → the organization → "
            "M2M apps.",
        ),
        (_m2m, "The app belongs to {org}. Use an app of the organization that is demanded: {demand}."),
        (
            lambda f: org_of(f.claims) is None,
            "The user signed in to no organization. Sign in to the one that is demanded ({demand}): pass org_code=….",
        ),
        (_always, "The user signed in to {org}. Sign in to the one that is demanded ({demand}): pass org_code=…."),
    ),
    "missing_flag": (
        (
            lambda f: _m2m(f) and not f.claims.get("feature_flags"),
            f"Switch the flag on in the app's tokens: {_APPLICATION} → Tokens → Feature flags.",
        ),
        (_always, "Give the flag the value that is demanded ({demand}): Kinde → Releases. Then get a new token."),
    ),
    "wrong_subject": (
        (_m2m, "An app called what is for users. Sign a user in, and send that access token."),
        (_always, "A user called what is for apps. Request the token with client credentials (kinde-guard token)."),
    ),
    "missing_token": ((_always, "Send the header Authorization: Bearer and the token."),),
    "invalid_request": ((_always, "Send one Authorization header: Bearer, a space, and the token."),),
    "keys_unavailable": ((_always, "Ask kinde-guard doctor why the keys cannot be had."),),
}
