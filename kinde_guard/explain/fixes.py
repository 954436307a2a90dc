"""What to do about a refusal: a table from the reason, and from what the token shows, to a sentence or two. Pure.

The sentences use the words of Kinde's own pages and menus (docs.kinde.com). The rows of a reason are asked in their
order, and the first that fits gives the sentence; the last always fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..errors import Reason
from ..requirements import NOT_PERMITTED, OIDC_SCOPES_ALONE
from ..settings import is_loopback
from ..tokens.claims import kind_of, org_of, roles_of
from ..tokens.rules import TYPES
from .providers import is_kinde
from .refusal_context import RefusalContext

Row = tuple[Callable[[RefusalContext], bool], str]

_APPLICATION = "Kinde → Settings → Applications → the application"
_AUTHORISE = f"authorise the app for the API: {_APPLICATION} → APIs → Authorize application"
_TOKENS = f"{_APPLICATION} → Tokens → Token customization"
_SCOPES = f"{_APPLICATION} → APIs → Manage scopes"
_IS_IT_YOURS = (
    "Tokens of users who sign in at a custom domain carry that one. See whether {host} is yours: Kinde → Settings → "
    "Environment → Custom domain. Only if it stands there,"
)
_CLOCK = "Set the clock of this machine (timedatectl set-ntp true): it is {off} by the issuer's."


def fix(context: RefusalContext) -> str:
    """What to do."""
    return next(sentence for fits, sentence in FIXES[context.reason] if fits(context)).format(**context.words())


def _otherwise(context: RefusalContext) -> bool:
    return True


def _sentence(text: str) -> str:
    """What the log says, said here."""
    return f"{text[0].upper()}{text[1:]}."


# fmt: off
_MALFORMED: Sequence[Row] = (
    (lambda it: it.stand_in,
     "The client had no token yet and sent a word in its place. With Kinde's JavaScript SDKs, `await "
     "getAccessToken()`, and send no header while it is undefined."),
    (lambda it: it.raw.startswith(("k_live_", "k_test_")),
     "This is a Kinde API key, which Kinde alone can judge. Have the guard ask: Guard(api_keys=ApiKeys(…)); or send an "
     "access token."),
    (lambda it: it.named_twice,
     "It begins with the word Bearer: the word stands there twice, or was taken for a part of the token. Send "
     "`Authorization: Bearer`, a space, and the token alone."),
    (lambda it: it.wrapped,
     "There are quotes or white space in it. Send the token bare and in one piece."),
    (lambda it: it.check == "size",
     f"Take claims out of the token that the API does not need: {_TOKENS} → Access token → Customize."),
    (lambda it: it.raw.startswith("eyJ") and it.raw.count(".") < 2,
     "The token is cut off: it ends before its signature. Copy it whole, three parts joined by dots."),
    (lambda it: it.raw.count(".") == 4,
     "This is an encrypted token (JWE), which Kinde does not make. Send the `access_token` of Kinde's answer."),
    (lambda it: it.check == "form",
     "This is not a JWT, and so not Kinde's access token. Send the `access_token` of Kinde's answer; a refresh token, "
     "an authorization code and a client secret are something else."),
    (lambda it: it.check == "kid",
     "Kinde did not make this token, as Kinde's tokens name their key (kid). Get the token from Kinde."),
    (lambda it: it.check in ("kind", "caller", "iss", "aud", "dates"),
     "Look for the token workflow that writes this claim (Kinde → Workflows): Kinde itself never writes it so."),
    (_otherwise,
     "The token was damaged on its way, or made by hand. Get a new one from Kinde, and send it unchanged."),
)
_WRONG_TYPE: Sequence[Row] = (
    (lambda it: kind_of(it.claims) == "event",
     "This is the body of a webhook, not an access token. Take webhooks at a public path of their own."),
    (lambda it: "at_hash" in it.claims or "nonce" in it.claims,
     "This is an ID token. Send the access token: `access_token` of Kinde's answer instead of `id_token`, "
     "`getAccessToken()` instead of `getIdToken()`."),
    (lambda it: kind_of(it.claims) == "ID token",
     "Its audience is the issuer or the app itself, as an ID token's is. Request it with audience={audience}, and "
     f"{_AUTHORISE}."),
    (lambda it: "cnf" in it.claims,
     "The token is bound to a key of the client. Request a plain bearer token, without DPoP or mutual TLS."),
    (lambda it: "typ" in it.header and str(it.header["typ"]).lower() not in TYPES,
     "This is another kind of token (typ {typ}). Send the `access_token` of Kinde's answer."),
    (_otherwise,
     "It names neither a user (sub) nor an app that calls for itself (gty client_credentials). Send the "
     "`access_token` of Kinde's answer."),
)
_UNKNOWN_ISSUER: Sequence[Row] = (
    (lambda it: not it.iss,
     "It names no issuer, as every access token of Kinde's does. Send the `access_token` of Kinde's answer."),
    (lambda it: it.spelled_otherwise,
     "Issuers are compared letter by letter, and Kinde's has no slash at the end. Fix what makes these tokens (a "
     "mock, a proxy): iss has to be {issuers}."),
    (lambda it: bool(it.provider),
     "It is from {provider}, and not from Kinde. Get the token from {issuers}, and send the `access_token` of its "
     "answer. Do so even if people sign in at Kinde with an account of another provider."),
    (lambda it: is_loopback(it.host) and it.trusts_loopback,
     "It is from another local Kinde. Set the variables that kinde-guard dev prints now, and get a new token."),
    (lambda it: is_loopback(it.host),
     "It is from a local Kinde, and {issuers} is trusted. While you develop, set KINDE_DOMAIN={iss}."),
    (lambda it: it.trusts_loopback and is_kinde(it.host),
     "It is from {host}, and a local Kinde is trusted. Set KINDE_DOMAIN={host}, if that is what Kinde shows: "
     f"{_APPLICATION} → Details → Domain."),
    (lambda it: it.other_region,
     f"The same name in another region. Set KINDE_DOMAIN={{host}}, if that is what Kinde shows: {_APPLICATION} → "
     "Details → Domain."),
    (lambda it: is_kinde(it.host) and not it.trusts_kinde,
     "Tokens of machine-to-machine apps carry the kinde.com domain, also where users sign in at a custom domain. If "
     'it is yours, list both: KINDE_DOMAIN="{hosts} {host}".'),
    (lambda it: is_kinde(it.host),
     "It is from another environment or business. Get the token from {issuers}; or, if Kinde shows that domain as "
     f"yours ({_APPLICATION} → Details → Domain), set KINDE_DOMAIN={{host}}."),
    (lambda it: it.trusts_loopback,
     f"{_IS_IT_YOURS} set KINDE_DOMAIN={{host}}. If not, it is not from Kinde: get a token from {{issuers}}."),
    (_otherwise,
     f'{_IS_IT_YOURS} list both: KINDE_DOMAIN="{{host}} {{hosts}}". If not, it is not from Kinde: get a token from '
     "{issuers}."),
)
_WRONG_AUDIENCE: Sequence[Row] = (
    (lambda it: it.for_management,
     "The token is for Kinde's Management API. For this API, request one with audience={audience}."),
    (lambda it: not it.settings.audiences,
     "The token names an audience, which is better than none: give the guard audience={aud} instead of None."),
    (lambda it: it.audience_spelled_otherwise,
     "It is the same audience in another spelling, and it is compared letter by letter. Set KINDE_AUDIENCE={aud}, as "
     "it is registered in Kinde."),
    (_otherwise,
     f"The token is for another API. Request it with audience={{audience}}, and {_AUTHORISE}."),
)
_INSUFFICIENT_SCOPE: Sequence[Row] = (
    (lambda it: it.held_as_permission,
     "The token has it as a permission. Demand permission(…) instead, or set permissions_as_scopes=True."),
    (lambda it: it.oidc_scopes_alone and not it.settings.permissions_as_scopes, _sentence(OIDC_SCOPES_ALONE)),
    (lambda it: it.oidc_scopes_alone, _sentence(NOT_PERMITTED.format("{missing}"))),
    (lambda it: it.m2m and bool(it.claims.get("scp")),
     'The token was requested only for {asked}. Request it with scope="{wanted}", or without a scope to get all that '
     f"the app has. If the app does not have {{missing}}, switch it on: {_SCOPES}."),
    (_otherwise,
     f"Switch on {{missing}} for the app: {_SCOPES}. Then request a new token."),
)
_UNKNOWN_KEY: Sequence[Row] = (
    (lambda it: it.offline,
     "The file is older or newer than the token, or of another environment. Save the keys anew: curl -sS "
     "{issuers}/.well-known/jwks > FILE"),
    (lambda it: it.trusts_loopback,
     "A local Kinde makes new keys at each start. Get a new token from the one that runs now."),
    (_otherwise,
     "The key was rotated out, or was never Kinde's. Request a new token from {issuers}."),
)
_WRONG_ORG: Sequence[Row] = (
    (lambda it: it.m2m and org_of(it.claims) is None,
     "The app is a global one. Use an app of the organization ({demand}): Kinde → Organizations → the organization → "
     "M2M apps."),
    (lambda it: it.m2m,
     "The app is of {org}. Use an app of the organization that is demanded: {demand}."),
    (lambda it: org_of(it.claims) is None,
     "The user signed in to no organization. Pass its code (org_code) when signing in: {demand}."),
    (_otherwise,
     "The user signed in to {org}. Pass the code of the other (org_code) when signing in: {demand}."),
)
FIXES: Mapping[Reason, Sequence[Row]] = {
    "malformed": _MALFORMED,
    "unsupported_algorithm": (
        (lambda it: str(it.header.get("alg")).startswith("HS"),
         "Get the token from Kinde, instead of signing it with a shared secret ({alg}). Kinde signs with RS256 and "
         "publishes the keys: there is no secret to configure."),
        (_otherwise, "Get the token from Kinde, which signs with RS256 and nothing else; this one says {alg}."),
    ),
    "unsupported_header": (
        (_otherwise,
         "Kinde did not make this token, as Kinde's tokens have no such header. Get the token from Kinde."),
    ),
    "wrong_token_type": _WRONG_TYPE,
    "unknown_issuer": _UNKNOWN_ISSUER,
    "wrong_audience": _WRONG_AUDIENCE,
    "empty_audience": (
        (lambda it: it.m2m, f"This token has no audience. Request it with audience={{audience}}, and {_AUTHORISE}."),
        (_otherwise,
         'This token has no audience. Give audience="{audience}" to Kinde\'s SDK where users sign in, and '
         f"{_AUTHORISE}. Then sign in again."),
    ),
    "wrong_client": ((_otherwise, "Add {azp} to clients=[…], if that app may call this API."),),
    "expired": (
        (lambda it: it.expired_by_this_clock_alone, f"The token has not expired. {_CLOCK}"),
        (lambda it: it.m2m,
         "Request a new one: kinde-guard token, or kinde_guard.m2m.ClientCredentials, which renews it in time."),
        (_otherwise,
         "The client has to renew it with its refresh token (scope offline). The lifetime of access tokens is set in "
         f"Kinde: {_APPLICATION} → Tokens."),
    ),
    "not_yet_valid": (
        (lambda it: it.clock_off, _CLOCK),
        (lambda it: it.issued_in_future,
         "It was issued in the future, so some clock is wrong, most likely this machine's: set it (timedatectl set-ntp "
         "true). kinde-guard doctor compares it with Kinde's."),
        (_otherwise, "Wait until it begins to be valid (nbf), or request one that is valid at once."),
    ),
    "unknown_key": _UNKNOWN_KEY,
    "bad_signature": (
        (_otherwise,
         "The token was changed after it was signed, or is forged. Get a new one from Kinde, and send it unchanged."),
    ),
    "insufficient_scope": _INSUFFICIENT_SCOPE,
    "missing_permission": (
        (lambda it: it.m2m,
         f"Switch on Include API scopes in the permissions claim: {_TOKENS} → M2M token → Customize. Or demand "
         "scope(…)."),
        (lambda it: org_of(it.claims) is None,
         "Permissions come with an organization, and the user signed in to none. Pass its code (org_code) when "
         "signing in."),
        (_otherwise,
         "Give it to the user in this organization: Kinde → Users → the user → Permissions. Then sign in again."),
    ),
    "missing_role": (
        (lambda it: not roles_of(it.claims),
         f"Switch on Roles in the token: {_TOKENS} → Access token → Customize. Then sign in again."),
        (_otherwise, "Give it to the user in this organization: Kinde → Users → the user → Roles. Then sign in again."),
    ),
    "wrong_org": _WRONG_ORG,
    "missing_flag": (
        (lambda it: it.m2m and not it.claims.get("feature_flags"),
         f"Switch it on in the app's tokens: {_APPLICATION} → Tokens → Feature flags. Then request a new token."),
        (_otherwise, "Give it the value that is demanded ({demand}): Kinde → Releases. Then get a new token."),
    ),
    "wrong_subject": (
        (lambda it: it.m2m, "This is for users, and an app calls. Sign a user in, and send the user's access token."),
        (_otherwise, "A user calls what is for apps. Request the token by client credentials: kinde-guard token."),
    ),
    "missing_token": ((_otherwise, "Send the token in a header: Authorization: Bearer, a space, the token."),),
    "invalid_request": ((_otherwise, "Send one Authorization header: Bearer, a space, one token."),),
    "revoked": ((_otherwise, "Sign in again, or request a new token: what is issued later is accepted."),),
    "revocations_unavailable": ((_otherwise, "Look at guard.health(): it says what is wrong with Redis."),),
    "invalid_api_key": (
        (_otherwise, "Make another key in Kinde (the user or the organization → API keys), or rotate this one."),
    ),
    "wrong_api": (
        (_otherwise, "Make a key for this API in Kinde, or name that API's id too: ApiKeys(api_ids=[…])."),
    ),
    "api_keys_unavailable": (
        (_otherwise, "Look at the log, or at guard.health(): it says why Kinde does not answer about API keys."),
    ),
    "keys_unavailable": ((_otherwise, "Run `kinde-guard doctor`: it says why the keys cannot be fetched."),),
}
# fmt: on
