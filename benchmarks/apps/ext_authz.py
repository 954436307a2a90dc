"""Envoy's external authorization over gRPC, which Envoy asks; guarded, or written by hand around *verify*."""

from __future__ import annotations

from typing import Any

from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
from envoy.type.v3 import http_status_pb2
from google.rpc import code_pb2, status_pb2

from kinde_guard import Guard
from kinde_guard.ext_authz import Authorization

from ..peers import Verify
from . import claims

HOST, PATH = "api.example.com", "/users"
OK = status_pb2.Status(code=code_pb2.OK)


class Nothing(external_auth_pb2_grpc.AuthorizationServicer):  # type: ignore[misc]  # it is Any to mypy
    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        return external_auth_pb2.CheckResponse(status=OK, ok_response=external_auth_pb2.OkHttpResponse())


class ByHand(external_auth_pb2_grpc.AuthorizationServicer):  # type: ignore[misc]  # it is Any to mypy
    def __init__(self, verify: Verify) -> None:
        self.verify = verify

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        try:
            header = request.attributes.request.http.headers["authorization"]
            verified = self.verify(claims.bearer(header))
        except Exception:
            return _denied(401)
        if claims.SCOPE not in claims.scopes(verified):
            return _denied(403)
        return external_auth_pb2.CheckResponse(status=OK, ok_response=external_auth_pb2.OkHttpResponse())


def nothing() -> Any:
    return Nothing()


def guarded(guard: Guard) -> Any:
    return Authorization(guard)


def by_hand(verify: Verify) -> Any:
    return ByHand(verify)


def answer(servicer: Any, asked: bytes) -> Any:
    """Read and written as gRPC does, which is the same for all and not called here."""
    said = servicer.Check(external_auth_pb2.CheckRequest.FromString(asked), None)
    said.SerializeToString()
    return said


def asked(token: str) -> bytes:
    """What Envoy sends of a request with *token*."""
    request = external_auth_pb2.CheckRequest()
    request.attributes.context_extensions["require"] = f"scope:{claims.SCOPE}"
    http = request.attributes.request.http
    http.method, http.path, http.host, http.scheme, http.protocol = "GET", PATH, HOST, "http", "HTTP/1.1"
    sent = {":method": "GET", ":path": PATH, ":authority": HOST, "user-agent": "bench", "accept": "*/*"}
    for name, value in {**sent, "authorization": f"Bearer {token}"}.items():
        http.headers[name] = value
    written: bytes = request.SerializeToString()
    return written


def status_of(said: Any) -> int:
    """What the caller sees; 200 if the request may go on."""
    return int(said.denied_response.status.code) if said.HasField("denied_response") else 200


def _denied(status: int) -> Any:
    answer = external_auth_pb2.DeniedHttpResponse(status=http_status_pb2.HttpStatus(code=status))
    return external_auth_pb2.CheckResponse(
        status=status_pb2.Status(code=code_pb2.PERMISSION_DENIED), denied_response=answer
    )
