"""``/api/v1/apis`` of Kinde's Management API: lists the APIs, and lists and adds the scopes of one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ..messages import NO_STORE, Request, Response, json_response
from ..registry import Api
from ..tenant import Tenant
from .management import Answered, ManagementError, body_of, managed, needed_text_in

LONGEST_KEY = 64


def _list(tenant: Tenant, request: Request) -> Response:
    """Every API, Kinde's own among them."""
    registry = tenant.registry
    apis = [_shown(api, api is registry.management) for api in (registry.management, *registry.apis)]
    return json_response(200, {"code": "OK", "message": "Success", "apis": apis}, NO_STORE)


def _scopes(tenant: Tenant, request: Request) -> Response:
    api = _api(tenant, request)
    scopes = [{"id": _scope_id(api, scope), "key": scope, "description": ""} for scope in api.scopes]
    return json_response(200, {"code": "OK", "message": "Success", "scopes": scopes}, NO_STORE)


def _add_scope(tenant: Tenant, request: Request) -> Response:
    api, key = _api(tenant, request), needed_text_in(body_of(request), "key")
    if len(key) > LONGEST_KEY or key in api.scopes:
        raise ManagementError(400, "INVALID_REQUEST", f"key must be new, and have {LONGEST_KEY} characters at most.")
    tenant.registry.add_api(api.audience, [*api.scopes, key])
    tenant.journal.add("changed", f"{api.audience} has one more scope", audience=api.audience, scope=key)
    answer = {"code": "API_SCOPE_CREATED", "message": "API scope created", "scope": {"id": _scope_id(api, key)}}
    return json_response(200, answer, NO_STORE)


APIS: Mapping[str, Answered] = {"GET": managed(_list, "read:apis")}
SCOPES: Mapping[str, Answered] = {
    "GET": managed(_scopes, "read:api_scopes"),
    "POST": managed(_add_scope, "create:api_scopes"),
}


def _shown(api: Api, is_management_api: bool) -> dict[str, object]:
    name = "Kinde Management API" if is_management_api else api.audience
    return {"id": api.id, "name": name, "audience": api.audience, "is_management_api": is_management_api}


def _api(tenant: Tenant, request: Request) -> Api:
    """The one that the path names."""
    api_id, registry = request.path.split("/")[-2], tenant.registry
    for api in (registry.management, *registry.apis):
        if api.id == api_id:
            return api
    raise ManagementError(404, "API_NOT_FOUND", "There is no API of this id.")


def _scope_id(api: Api, scope: str) -> str:
    return f"api_scope_{hashlib.sha256(f'{api.id} {scope}'.encode()).hexdigest()[:32]}"
