"""What of an exchange goes into the journal: who fetched the keys, which token was issued to whom, and which was not.

It is read off the request and the answer as it goes out, broken or not. What an app sends to prove itself is not read.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from urllib.parse import parse_qs, unquote_plus

from ..tokens.digests import fingerprint, sha256
from .endpoints.paths import TOKEN_PATH, VERIFY_PATH, place_of
from .endpoints.token import GRANT_TYPES
from .messages import MAX_BODY, Request, Response
from .tenant import Tenant
from .tokens import from_b64url

_READING = ("GET", "HEAD")


def note(tenant: Tenant, request: Request, response: Response | None) -> None:
    """Write an exchange down; *response* is ``None`` if nobody answers."""
    place = place_of(request.path)
    if request.path == TOKEN_PATH and request.method == "POST":
        _note_token(tenant, request, response)
    elif request.path == VERIFY_PATH and request.method == "POST":
        _note_verification(tenant, response)
    elif place in ("keys", "discovery") and request.method in _READING:
        agent = request.headers.get("user-agent", "")
        how = _outcome(response)
        tenant.journal.add(
            f"{place}_fetched", f"{place} fetched: {how}", path=request.path, answer=how, user_agent=agent
        )


def _note_token(tenant: Tenant, request: Request, response: Response | None) -> None:
    form, answer, how = _form(request), _object(response), _outcome(response)
    claims = _claims(answer)
    app = tenant.registry.app(_client_id(request, form))
    asked = {} if app is None else form  # any page of the web may post here: what it says is not for people to read
    name = "an unknown client" if app is None else app.name
    why = answer.get("error") or ("unreadable" if how.isdigit() else how)
    details = {
        "grant": next((grant for grant in form.get("grant_type", []) if grant in GRANT_TYPES), ""),
        "client_id": "" if app is None else app.client_id,
        "subject": claims.get("sub", ""),
        "audience": claims.get("aud", _words(asked, "audience")),
        "scopes": str(answer["scope"]).split() if "scope" in answer else _words(asked, "scope"),
        "fingerprint": fingerprint(sha256(str(answer["access_token"]).encode())) if claims else "",
        "answer": how,
        "error": answer.get("error", ""),
        "hint": answer.get("error_description", ""),
    }
    tenant.journal.add(
        "token_issued" if claims else "token_refused",
        f"token issued to {name}" if claims else f"token refused to {name}: {why}",
        **{name: value for name, value in details.items() if value},
    )


def _note_verification(tenant: Tenant, response: Response | None) -> None:
    """Whether the answer lets the key in. The key itself is not read."""
    answer, how = _object(response), _outcome(response)
    good = answer.get("is_valid") is True
    details = {"key_id": answer.get("key_id", ""), "status": answer.get("status", ""), "answer": how}
    tenant.journal.add(
        "api_key_verified" if good else "api_key_refused",
        "an API key is good" if good else f"an API key is not good: {answer.get('status') or how}",
        **{name: value for name, value in details.items() if value},
    )


def _outcome(response: Response | None) -> str:
    """A status, or what becomes of the answer instead."""
    if response is None:
        return "down"
    return str(response.status) if response.delivery == "whole" else response.delivery.replace("_", " ")


def _object(response: Response | None) -> dict[str, object]:
    """The answer, if it goes out whole and is a JSON object."""
    answer = None
    if response is not None and response.delivery == "whole" and len(response.body) <= MAX_BODY:
        with suppress(ValueError, RecursionError):
            answer = json.loads(response.body)
    return answer if isinstance(answer, dict) else {}


def _claims(answer: dict[str, object]) -> dict[str, object]:
    """What the access token in the answer says; nothing if there is none."""
    if "access_token" not in answer:
        return {}
    payload = str(answer["access_token"]).split(".")[1]
    return dict(json.loads(from_b64url(payload)))


def _form(request: Request) -> dict[str, list[str]]:
    with suppress(ValueError):
        if len(request.body) <= MAX_BODY:
            return parse_qs(request.body.decode(), max_num_fields=100)
    return {}


def _words(form: dict[str, list[str]], name: str) -> list[str]:
    return [word for value in form.get(name, []) for word in value.split()]


def _client_id(request: Request, form: dict[str, list[str]]) -> str:
    """The client id as the form says it, or the header (RFC 6749 §2.3.1)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            return unquote_plus(base64.b64decode(encoded).decode().partition(":")[0])
    return form.get("client_id", [""])[0]
