"""``/api/v1/api_keys`` of Kinde's Management API: makes, lists, shows, rotates, revokes and verifies API keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import api_key_administration as administration
from ..api_key_answers import listed, shown, verification
from ..api_keys import ApiKey, NewApiKey
from ..messages import NO_STORE, Request, Response, json_response
from ..registry import Api
from ..tenant import READ_API_KEYS, Tenant
from .management import (
    Answered,
    ManagementError,
    answered_or_error,
    body_of,
    managed,
    needed_text_in,
    refused,
    text_in,
)
from .parameters import Parameters

_TYPES = {"user": "user_id", "organization": "org_code", "environment": None}
_MOST = 500


def verify(tenant: Tenant, request: Request) -> Response:
    """Whether the key in the body is good. Kinde's documents differ on whether that takes a token."""
    if not tenant.public_api_key_verification and (refusal := refused(tenant, request, READ_API_KEYS)) is not None:
        return refusal
    return answered_or_error(_verified, tenant, request)


def _verified(tenant: Tenant, request: Request) -> Response:
    text, client = needed_text_in(body_of(request), "api_key"), request.client
    key = administration.verified(tenant, text, None if client is None else client[0])
    return json_response(200, verification(key, tenant.now()), NO_STORE)


def _list(tenant: Tenant, request: Request) -> Response:
    """Those that were asked for, oldest first, page by page."""
    parameters = Parameters(request.query)
    wanted = {name: parameters.only(name) for name in ("key_type", "status", "user_id", "org_code")}
    size, after = _page_size(parameters.only("page_size")), parameters.only("starting_after")
    now = tenant.now()
    keys = [key for key in tenant.api_keys if _fits(key, wanted, now)]
    start = next((number for number, key in enumerate(keys, 1) if key.id == after), 0)
    page, rest = keys[start : start + size], keys[start + size :]
    answer = {"has_more": bool(rest), "api_keys": [listed(key, now) for key in page]}
    return json_response(200, {"code": "OK", "message": "Success", **answer}, NO_STORE)


def _create(tenant: Tenant, request: Request) -> Response:
    body = body_of(request)
    kind = text_in(body, "type")
    if kind is not None and kind not in _TYPES:
        raise ManagementError(400, "INVALID_REQUEST", f"type must be one of {', '.join(_TYPES)}.")
    if kind is not None and (owner := _TYPES[kind]) is not None:
        needed_text_in(body, owner)
    key = administration.create(
        tenant,
        needed_text_in(body, "name"),
        api=_api(tenant, needed_text_in(body, "api_id")),
        scopes=_scopes_in(body),
        user_id=text_in(body, "user_id"),
        org_code=text_in(body, "org_code"),
    )
    return _with_text(201, "API_KEY_CREATED", "API key created", key)


def _show(tenant: Tenant, request: Request) -> Response:
    answer = {"code": "OK", "message": "Success", "api_key": shown(_key(tenant, request), tenant.now())}
    return json_response(200, answer, NO_STORE)


def _rotate(tenant: Tenant, request: Request) -> Response:
    key = administration.rotate(tenant, _key(tenant, request).id)
    return _with_text(201, "API_KEY_ROTATED", "API key rotated", key)


def _revoke(tenant: Tenant, request: Request) -> Response:
    administration.revoke(tenant, _key(tenant, request).id)
    return json_response(200, {"code": "API_KEY_DELETED", "message": "API key deleted"}, NO_STORE)


ALL_OF_THEM: Mapping[str, Answered] = {
    "GET": managed(_list, READ_API_KEYS),
    "POST": managed(_create, "create:api_keys"),
}
ONE_OF_THEM: Mapping[str, Answered] = {
    "GET": managed(_show, READ_API_KEYS),
    "PUT": managed(_rotate, "update:api_keys"),
    "DELETE": managed(_revoke, "delete:api_keys"),
}


def _with_text(status: int, code: str, message: str, key: NewApiKey) -> Response:
    """The one answer that has the key's text."""
    answer = {"code": code, "message": message, "api_key": {"id": key.id, "key": key.key}}
    return json_response(status, answer, NO_STORE)


def _key(tenant: Tenant, request: Request) -> ApiKey:
    """The one that the path names."""
    key = tenant.api_key_store.named(request.path.rpartition("/")[2])
    if key is None:
        raise ManagementError(404, "API_KEY_NOT_FOUND", "There is no API key of this id.")
    return key


def _api(tenant: Tenant, api_id: str) -> Api:
    api = next((api for api in tenant.registry.apis if api.id == api_id), None)
    if api is None:
        raise ManagementError(400, "INVALID_REQUEST", "api_id names no API.")
    return api


def _scopes_in(body: dict[str, Any]) -> list[str]:
    """``scope_ids``, which are their names here, as in Kinde's guide."""
    scopes = body.get("scope_ids") or []
    if not isinstance(scopes, list):
        raise ManagementError(400, "INVALID_REQUEST", "scope_ids must be a list.")
    return scopes


def _fits(key: ApiKey, wanted: Mapping[str, str | None], now: float) -> bool:
    has = {"key_type": key.key_type, "status": key.status_at(now), "user_id": key.user_id, "org_code": key.org_code}
    return all(value is None or has[name] == value for name, value in wanted.items())


def _page_size(text: str | None) -> int:
    if text is None:
        return 50
    if not text.isdecimal() or not text.isascii() or not 1 <= int(text[:9]) <= _MOST:
        raise ManagementError(400, "INVALID_REQUEST", f"page_size must be a whole number from 1 to {_MOST}.")
    return int(text)
