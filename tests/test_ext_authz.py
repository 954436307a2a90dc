"""Envoy's external authorization over gRPC, asked as Envoy asks; test_forward_proxies.py has a real Envoy."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from helpers import Issuer, guard_of, mint
from waiting import LONG

from kinde_guard import ConfigurationError, Guard
from kinde_guard.testing import assert_resists_hostile_tokens, guard_for, local_issuer

grpc = pytest.importorskip("grpc", reason="kinde-guard[envoy] is not installed")
pytest.importorskip("envoy.service.auth.v3", reason="kinde-guard[envoy] is not installed")
from envoy.config.core.v3 import base_pb2  # noqa: E402
from envoy.service.auth.v3 import external_auth_pb2 as interface  # noqa: E402
from envoy.service.auth.v3 import external_auth_pb2_grpc as service  # noqa: E402

from kinde_guard.ext_authz import served  # noqa: E402


class Envoy:
    """What asks."""

    def __init__(self, guard: Guard | None = None, **options: Any) -> None:
        self.issuer = Issuer()
        self.server = served(guard or guard_of(self.issuer), "127.0.0.1:0", **options)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")

    def close(self) -> None:
        self.channel.close()
        self.server.stop(0).wait(LONG)

    def ask(
        self, require: str | None, *authorization: str, path: str = "/users", raw: bool = False
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of the answer; 0 for a request that may go on."""
        request = interface.CheckRequest()
        http = request.attributes.request.http
        http.path = path
        if require is not None:
            request.attributes.context_extensions["require"] = require
        if authorization and not raw:
            text = b",".join(value.encode("latin-1") for value in authorization).decode("utf-8", "replace")
            http.headers["authorization"] = text.replace("\ufffd", "!")  # as Envoy does
        for value in authorization if raw else ():
            http.header_map.headers.append(base_pb2.HeaderValue(key="authorization", raw_value=value.encode("latin-1")))
        answer = service.AuthorizationStub(self.channel).Check(request, timeout=LONG)
        self.removed = list(answer.ok_response.headers_to_remove)
        denied = answer.WhichOneof("http_response") == "denied_response"
        assert (answer.status.code == 0) is not denied
        said = answer.denied_response if denied else answer.ok_response
        headers = {option.header.key: option.header.value for option in said.headers}
        return (said.status.code, headers, said.body) if denied else (0, headers, "")


class Asked(httpx.BaseTransport):
    """Requests that are answered as Envoy does, which asks *envoy* for a route that requires *require*."""

    def __init__(self, envoy: Envoy, require: str, raw: bool) -> None:
        self._ask = functools.partial(envoy.ask, require, raw=raw)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sent = [value.decode("latin-1") for name, value in request.headers.raw if name.lower() == b"authorization"]
        status, headers, body = self._ask(*sent, path=request.url.raw_path.decode())
        return httpx.Response(status or 200, headers=headers, content=body)


@pytest.fixture
def envoy() -> Iterator[Envoy]:
    made = Envoy()
    yield made
    made.close()


def bearer(**changes: Any) -> str:
    return f"Bearer {mint(changes)}"


@pytest.mark.parametrize("raw", [False, True], ids=["joined", "raw headers"])
def test_verdicts(envoy: Envoy, raw: bool) -> None:
    assert envoy.ask("authenticated", bearer(), raw=raw) == (0, {}, "")
    assert envoy.ask("scope:a & permission:b", bearer(scope="a", permissions=["b"]), raw=raw)[0] == 0
    status, headers, body = envoy.ask("scope:a | permission:b", bearer(scope=""), raw=raw)
    assert (status, headers["cache-control"], '"status": 403' in body) == (403, "no-store", True)
    assert 'scope="a"' in headers["www-authenticate"]
    assert envoy.ask("authenticated", raw=raw)[:2][0] == 401
    assert envoy.ask("authenticated", bearer(), bearer(), raw=raw)[0] == 400


def test_cannot_tell(envoy: Envoy) -> None:
    envoy.issuer.status = 503
    status, headers, _ = envoy.ask("authenticated", bearer())
    assert (status, int(headers["retry-after"]) > 0) == (503, True)


@pytest.mark.parametrize("require", [None, "", "scop:a", "scope:a & scope:b | scope:c", "scope"])
def test_a_route_that_requires_nothing_readable_lets_nobody_in(
    envoy: Envoy, require: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert envoy.ask(require, bearer())[0] == 500
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [text.startswith("Envoy's route requires nothing readable: ") for text in errors] == [True]


@pytest.mark.parametrize("path", ["/x/..;/admin", "/x/..%2fadmin", "//admin", "/a\\b", "/a%252e", "/admin%2Fusers"])
def test_a_path_that_two_read_in_two_ways_is_refused(envoy: Envoy, path: str) -> None:
    assert envoy.ask("authenticated", bearer(), path=path)[0] == 403


def test_who_calls() -> None:
    envoy = Envoy(identity_headers=True)
    try:
        _, headers, _ = envoy.ask("authenticated", bearer(org_code=None))
        assert headers["x-kinde-org-code"] == ""
        assert headers["x-kinde-subject"]
        assert {"x_kinde_subject", "x-kinde_subject", "x_kinde-org-code"} <= set(envoy.removed)
    finally:
        envoy.close()


@pytest.mark.parametrize("raw", [False, True], ids=["joined", "raw headers"])
def test_it_resists_hostile_tokens(raw: bool) -> None:
    issuer = local_issuer()
    envoy = Envoy(guard_for(issuer))
    try:
        with httpx.Client(transport=Asked(envoy, "scope:read:users", raw), base_url="http://api.test") as client:
            assert_resists_hostile_tokens(client, "/users", issuer=issuer, scope="read:users")
    finally:
        envoy.close()


def test_an_address_that_is_taken(envoy: Envoy) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used for gRPC"):
        served(guard_of(Issuer()), f"127.0.0.1:{envoy.port}")
