"""Envoy's external authorization over gRPC: Envoy asks here, for each request, whether its caller may go on.

    server = served(Guard(), "127.0.0.1:9402")       # or: kinde-guard forward-auth --grpc 9402
    server.start()

What is required stands in Envoy's own configuration, as the ``context_extensions`` of a route: ``require:
scope:read:users & permission:view:report`` (:func:`kinde_guard.requirements.parse`). A route without it is answered
500, as Envoy must not go on by mistake. Nothing that the request says of itself is believed; its path can only make the
answer stricter. ``kinde-guard forward-auth --print envoy`` writes Envoy's part.
"""

from __future__ import annotations

import functools
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .adapters import Authenticator, Once, Requirement
from .errors import AuthError, ConfigurationError, Unavailable
from .forward import is_read_in_two_ways
from .requirements import parse
from .web.identity_headers import identity, other_spellings

try:
    import grpc
    from envoy.config.core.v3 import base_pb2
    from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
    from envoy.type.v3 import http_status_pb2
    from google.rpc import code_pb2, status_pb2
except ModuleNotFoundError as missing:
    raise ImportError(
        "kinde_guard.ext_authz needs gRPC and Envoy's interface: pip install 'kinde-guard[envoy]'", name=missing.name
    ) from None

__all__ = ["Authorization", "served"]

_THREADS = 32
_OVERWRITE = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_OTHERS = [name.lower() for name in other_spellings()]
_log = logging.getLogger("kinde_guard")


def served(guard: Authenticator, address: str, *, identity_headers: bool = False) -> grpc.Server:
    """A gRPC server at *address* (host and port), which you have to start: ``served(guard, "127.0.0.1:9402").start()``.
    Whoever can reach it learns what the guard says of a token, and nothing else. *identity_headers* is as in
    :class:`Authorization`. Raises :class:`~kinde_guard.ConfigurationError` if the address cannot be used."""
    return bound(guard, address, identity_headers=identity_headers)[0]


def bound(guard: Authenticator, address: str, *, identity_headers: bool = False) -> tuple[grpc.Server, int]:
    """As :func:`served`, with the port, which the system chooses where *address* says 0."""
    server = grpc.server(ThreadPoolExecutor(_THREADS, "kinde_guard-ext_authz"), options=[("grpc.so_reuseport", 0)])
    servicer = Authorization(guard, identity_headers=identity_headers)
    external_auth_pb2_grpc.add_AuthorizationServicer_to_server(servicer, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        raise ConfigurationError(f"{address} cannot be used for gRPC: stop what uses it, or choose another") from None
    return server, port


class Authorization(external_auth_pb2_grpc.AuthorizationServicer):  # type: ignore[misc]  # it is Any to mypy
    """Envoy's service of that name, for *guard*. *identity_headers*: whether the app behind Envoy is told who calls
    (:func:`kinde_guard.forward.identity`)."""

    def __init__(self, guard: Authenticator, *, identity_headers: bool = False) -> None:
        self._guard = guard
        self._identity_headers = identity_headers
        self._unreadable = Once()

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        """The answer to one request; waits, for five seconds at most, where no keys are held yet."""
        try:
            requirement = _requirement_of(request.attributes.context_extensions.get("require", ""))
        except ConfigurationError as error:
            if self._unreadable.is_first():
                _log.error(
                    "Envoy's route requires nothing readable: %s", error, extra={"event": "requirement_unreadable"}
                )
            return _denied(500, {}, b"")
        http = request.attributes.request.http
        if is_read_in_two_ways(http.path.encode("utf-8", "surrogateescape")):
            return _denied(403, {}, b"")
        try:
            token = self._guard.authenticate(_authorization(http))
            self._guard.demand(token, requirement)
        except (AuthError, Unavailable) as refusal:
            return _denied(refusal.status, {**refusal.headers, "Content-Type": refusal.media_type}, refusal.body())
        return _allowed(identity(token) if self._identity_headers else {})


@functools.lru_cache(maxsize=256)
def _requirement_of(text: str) -> Requirement:
    if not text:
        raise ConfigurationError("context_extensions has no `require`: write require: authenticated, or more")
    return parse(text).bound({})


def _authorization(http: Any) -> list[str]:
    """Every value: Envoy joins several by a comma, unless it is told to send headers raw."""
    raw = [
        header.raw_value.decode("latin-1")
        for header in http.header_map.headers
        if header.key.lower() == "authorization"
    ]
    return raw or [http.headers[name] for name in http.headers if name.lower() == "authorization"]


def _allowed(told: dict[str, str]) -> Any:
    others = _OTHERS if told else ()  # Envoy would hand the caller's on
    answer = external_auth_pb2.OkHttpResponse(headers=_options(told), headers_to_remove=others)
    return external_auth_pb2.CheckResponse(status=status_pb2.Status(code=code_pb2.OK), ok_response=answer)


def _denied(status: int, headers: dict[str, str], body: bytes) -> Any:
    answer = external_auth_pb2.DeniedHttpResponse(
        status=http_status_pb2.HttpStatus(code=status),
        headers=_options({"Cache-Control": "no-store", **headers}),
        body=body.decode(),
    )
    refused = status_pb2.Status(code=code_pb2.PERMISSION_DENIED)
    return external_auth_pb2.CheckResponse(status=refused, denied_response=answer)


def _options(headers: dict[str, str]) -> list[Any]:
    return [
        base_pb2.HeaderValueOption(
            header=base_pb2.HeaderValue(key=name.lower(), value=value), append_action=_OVERWRITE, keep_empty_value=True
        )
        for name, value in headers.items()
    ]
