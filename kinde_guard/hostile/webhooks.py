"""Hostile webhooks: what is posted to the path that an app takes webhooks at, and must have nothing done there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..issuer import ABSENT, UNSIGNED, LocalIssuer, SigningKey
from ..issuer.tokens import SUBJECT
from ..issuer.webhook_events import event, sample_data
from .answers import Judge
from .cases import Hostile, Pairs
from .clients import Ask, NotSendable, Seen
from .forge import encoded

KIND = "user.deleted"
HARMLESS = "trial.nothing"
"""A type that Kinde does not have, and that nothing is done about."""
JWT = ("Content-Type", "application/jwt")
KEYS = "docs.kinde.com/integrate/webhooks/about-webhooks: the body is a JWT signed with the tenant's JWKS"
REPLAY = "docs.kinde.com/integrate/webhooks/about-webhooks, Prevent replay attacks; Kinde repeats for 36 hours"
KINDS = "RFC 8725 §3.12, RFC 8417 §2.2: a JWT made for another purpose"
JOSE = "RFC 8725 §3.1, RFC 7515 §4.1"
FORM = "RFC 7515 §7.1: a compact JWS and nothing around it"
SIZE = "RFC 8725 §3.11: what is larger than any webhook is none"


class WebhookForge:
    """Webhooks of *issuer*, and what it takes to make them wrong in one respect."""

    def __init__(self, issuer: LocalIssuer) -> None:
        self.issuer, self.now = issuer, issuer.clock()

    def claims(self, kind: str = KIND) -> dict[str, Any]:
        """Those of a good one."""
        return event(kind, sample_data(kind), source="admin", now=self.now)

    def body(self, changes: Mapping[str, object] | None = None, **how: Any) -> str:
        """A good one but for these changes; *how* it is signed is as in :meth:`LocalIssuer.token`."""
        return self.issuer.token({**self.claims(), **(changes or {})}, **how)

    def at(self, seconds: float) -> dict[str, object]:
        """The changes that make it so many seconds younger."""
        moment = datetime.fromtimestamp(self.now + seconds, UTC).isoformat()
        return {"timestamp": moment, "event_timestamp": moment}

    def renamed(self, key: SigningKey, alg: str | None = None) -> SigningKey:
        """*key* under the issuer's kid."""
        return SigningKey(self.issuer.key.kid, alg or key.alg, key.private)


def good(issuer: LocalIssuer) -> Hostile:
    """One that must be taken: what refuses all of them proves nothing. Its type means nothing to anybody."""
    forge = WebhookForge(issuer)
    body = issuer.token({**forge.claims(), "type": HARMLESS, "data": {}})
    return Hostile("a webhook of a type that nobody knows", [JWT], 200, None, KEYS, body=body.encode(), method="POST")


def cases(issuer: LocalIssuer) -> Iterator[Hostile]:
    """Each must be refused, with a 4xx."""
    forge = WebhookForge(issuer)
    yield from _keys(forge)
    yield from _headers(forge)
    yield from _kinds(forge)
    yield from _times(forge)
    yield from _events(forge)
    yield from _forms(forge)
    yield from _requests(forge)


def findings(ask: Ask, issuer: LocalIssuer, judge: Judge) -> Iterator[tuple[Hostile, str, str]]:
    """Each that is answered wrongly: what was expected, and what was seen."""
    taken = good(issuer)
    seen = ask(taken)
    if seen.status != 200:
        yield taken, "200", str(seen.status or seen.body.decode())
    for case in cases(issuer):
        try:
            seen = ask(case)
        except NotSendable:
            continue
        if complaint := _complaint(case, seen, judge):
            yield case, "4xx", complaint


def _complaint(case: Hostile, seen: Seen, judge: Judge) -> str:
    if not 400 <= seen.status < 500:
        return str(seen.status) if seen.status else seen.body.decode()
    where = judge.echo(case, seen)
    return f"the {where} repeats something of the request" if where else ""


def _case(name: str, body: str | bytes, reason: str, why: str, headers: Pairs | None = None) -> Hostile:
    data = body.encode() if isinstance(body, str) else body
    name = f"a webhook, {name}"
    return Hostile(name, [JWT] if headers is None else headers, 400, None, why, reason, body=data, method="POST")


def _keys(forge: WebhookForge) -> Iterator[Hostile]:
    """Signed by others, or by nobody."""
    issuer, stranger = forge.issuer, forge.issuer.stranger
    good_body = forge.body()
    header, payload, signature = good_body.split(".")
    other = forge.body({"data": {"user": {"id": "kp_another"}}}).split(".")
    yield _case("another tenant's", forge.body(key=stranger), "unknown_key", KEYS)
    yield _case("a stranger's under our kid", forge.body(key=forge.renamed(stranger)), "bad_signature", KEYS)
    yield _case("with another's payload", f"{header}.{other[1]}.{signature}", "bad_signature", KEYS)
    yield _case("with another's signature", f"{header}.{payload}.{other[2]}", "bad_signature", KEYS)
    yield _case("without a signature", f"{header}.{payload}.", "bad_signature", KEYS)
    yield _case("with a signature of zeros", f"{header}.{payload}.{encoded(bytes(256))}", "bad_signature", KEYS)
    token = issuer.m2m_token().split(".")[2]
    yield _case("with the signature of a token", f"{header}.{payload}.{token}", "bad_signature", KEYS)
    jwk = {"jwk": stranger.public_jwk(), "kid": stranger.kid}
    yield _case("with a key of its own", forge.body(header=jwk, key=stranger), "unknown_key", JOSE)
    for name in ("jku", "x5u"):
        brought = {name: "https://evil.example/jwks", "kid": stranger.kid}
        yield _case(f"with {name}", forge.body(header=brought, key=stranger), "unknown_key", JOSE)


def _headers(forge: WebhookForge) -> Iterator[Hostile]:
    alg = "unsupported_algorithm"
    for name in ("none", "None", "NONE"):
        unsigned = forge.body(header={"alg": name, "kid": forge.issuer.key.kid}, key=UNSIGNED)
        yield _case(f"alg {name}", unsigned, alg, JOSE)
    shared = SigningKey(forge.issuer.key.kid, "HS256", b"s" * 64)
    yield _case("alg HS256", forge.body(key=shared), alg, JOSE)
    for name in ("RS384", "RS512"):
        yield _case(f"alg {name}", forge.body(key=forge.renamed(forge.issuer.key, name)), alg, JOSE)
    for header in ({"crit": ["exp"]}, {"b64": False}, {"zip": "DEF"}, {"cty": "JWT"}):
        yield _case(f"header {json.dumps(header)}", forge.body(header=header), "unsupported_header", JOSE)
    for typ in ("at+jwt", "secevent+jwt", "dpop+jwt", "logout+jwt"):
        yield _case(f"typ {typ}", forge.body(header={"typ": typ}), "not_an_event", KINDS)
    for kid in (ABSENT, "", None, 1, ["x"]):
        name = "no kid" if kid is ABSENT else f"kid {json.dumps(kid)}"
        yield _case(name, forge.body(header={"kid": kid}), "malformed", JOSE)
    for kid in ("../../etc/passwd", "' OR '1'='1", "nobody's"):
        yield _case(f"kid {kid}", forge.body(header={"kid": kid}), "unknown_key", JOSE)


def _kinds(forge: WebhookForge) -> Iterator[Hostile]:
    """JWTs that are signed with the right key, and are no webhooks."""
    issuer, reason = forge.issuer, "not_an_event"
    yield _case("an app's access token", issuer.m2m_token(), reason, KINDS)
    yield _case("a user's access token", issuer.user_token(), reason, KINDS)
    yield _case("an ID token", issuer.id_token(), reason, KINDS)
    token = {**issuer.user_claims(SUBJECT), **forge.claims()}
    yield _case("an access token that says it is an event", issuer.token(token), reason, KINDS)
    security = {"iss": issuer.url, "iat": int(forge.now), "jti": "1", "aud": issuer.audience}
    events: dict[str, object] = {
        "https://schemas.openid.net/secevent/risc/event-type/account-disabled": {"subject": {}}
    }
    yield _case("a security event token", issuer.token({**security, "events": events}), reason, KINDS)
    yield _case("with events", forge.body({"events": events}), reason, KINDS)
    for iss in (issuer.url, "https://evil.example", "", None):
        shown = "ours" if iss == issuer.url else json.dumps(iss)
        yield _case(f"iss {shown}", forge.body({"iss": iss}), reason, KINDS)
    yield _case("no claims at all", issuer.token({}), reason, KINDS)


def _times(forge: WebhookForge) -> Iterator[Hostile]:
    yield _case("38 hours old", forge.body(forge.at(-38 * 3_600)), "too_old", REPLAY)
    yield _case("of 1970", forge.body(forge.at(-forge.now)), "too_old", REPLAY)
    yield _case("an hour ahead", forge.body(forge.at(3_600)), "not_yet_valid", REPLAY)
    yield _case("ten years ahead", forge.body(forge.at(10 * 365 * 86_400)), "not_yet_valid", REPLAY)
    for name in ("timestamp", "event_timestamp"):
        for changes, reason in ((forge.at(-38 * 3_600), "too_old"), (forge.at(3_600), "not_yet_valid")):
            yield _case(f"{name} {reason}", forge.body({name: changes[name]}), reason, REPLAY)
        wrong: tuple[object, ...] = ("2025-06-29T12:26:40", "yesterday", "", int(forge.now), True, [])
        for value in wrong:
            shown = "a number of seconds" if type(value) is int else json.dumps(value)
            yield _case(f"{name} {shown}", forge.body({name: value}), "malformed", REPLAY)
    yield _case("without a time", forge.body({"timestamp": ABSENT, "event_timestamp": ABSENT}), "malformed", REPLAY)


def _events(forge: WebhookForge) -> Iterator[Hostile]:
    for name in ("event_id", "type"):
        for value in (ABSENT, "", None, 1, ["x"], "x" * 300):
            shown = "absent" if value is ABSENT else json.dumps(value)[:12]
            yield _case(f"{name} {shown}", forge.body({name: value}), "not_an_event", KEYS)
    ids: tuple[object, ...] = (None, "", 1, ["kp_1"])
    wrong: list[object] = [[], "x", {}, {"user": None}, *({"user": {"id": value}} for value in ids)]
    for data in wrong:
        yield _case(f"data {json.dumps(data)}", forge.body({"data": data}), "malformed", KEYS)
    flags = {"type": "user.updated", "data": {"user": {"id": SUBJECT, "is_suspended": "true"}}}
    yield _case("is_suspended as text", forge.body(flags), "malformed", KEYS)


def _forms(forge: WebhookForge) -> Iterator[Hostile]:
    body, reason = forge.body(), "malformed"
    header, payload, signature = body.split(".")
    whole = json.dumps({"protected": header, "payload": payload, "signature": signature})
    forms: dict[str, str | bytes] = {
        "nothing": "",
        "what is signed, unsigned": json.dumps(forge.claims()),
        "a JSON serialisation": whole,
        "in a form": f"payload={body}",
        "in quotes": f'"{body}"',
        "two of them": f"{body}.{body}",
        "with a line end": f"{body}\n",
        "with a space before it": f" {body}",
        "with padding": f"{body}==",
        "with a byte order mark": b"\xef\xbb\xbf" + body.encode(),
        "with NUL": f"{body}\0",
        "in UTF-16": body.encode("utf-16"),
        "no base64url": f"{header}.{payload}.!!!!",
        "no UTF-8": b"\xff\xfe\xfd" * 20,
        "a member twice": forge.issuer.token(b'{"event_id":"event_1","event_id":"event_2"}'),
        "no object": forge.issuer.token(b"[]"),
        "nested too deep": forge.issuer.token(b'{"a":' * 40 + b"1" + b"}" * 40),
    }
    for name, form in forms.items():
        yield _case(name, form, reason, FORM)
    padded = forge.body({"padding": "x" * 65_536})
    yield _case("too large", padded, "too_large", SIZE)
    yield _case("much too large", b"x" * 300_000, "too_large", SIZE)


def _requests(forge: WebhookForge) -> Iterator[Hostile]:
    body = forge.body().encode()
    for media_type in ("application/json", "text/plain", "multipart/form-data", "application/secevent+jwt"):
        yield _case(f"as {media_type}", body, "wrong_content_type", KEYS, [("Content-Type", media_type)])
    bearer = ("Authorization", f"Bearer {forge.issuer.m2m_token()}")
    yield _case("a stranger's, with a token", forge.body(key=forge.issuer.stranger), "unknown_key", KEYS, [JWT, bearer])
    override = ("X-HTTP-Method-Override", "POST")
    for method, headers in (("GET", []), ("PUT", [JWT]), ("PATCH", [JWT]), ("DELETE", []), ("GET", [override])):
        name = f"a webhook, by {method}{' with an override' if override in headers else ''}"
        data = body if headers == [JWT] else b""
        yield Hostile(name, headers, 405, None, "RFC 9110 §9.3.3", "wrong_method", body=data, method=method)
