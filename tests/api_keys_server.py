"""Kinde's API keys on a real HTTP server, made after Kinde's OpenAPI description alone; and a guard that asks it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from helpers import AUDIENCE, Time
from waiting import LONG

from kinde_guard import Guard
from kinde_guard.api_keys import ApiKeys
from kinde_guard.m2m import ClientCredentials

API_ID = "api_0195ac80a14e8d71f42b98e75d3c61ad"
OTHER_API = "api_of_another"
USER_KEY = "k_live_" + "a1" * 16
ORG_KEY = "k_live_" + "b2" * 16
TEST_KEY = "k_test_" + "c3" * 16
VERIFY, LIST = "POST /api/v1/api_keys/verify", "GET /api/v1/api_keys"

Json = dict[str, Any]
Said = tuple[int, dict[str, str], bytes]


def said(status: int, body: object, **headers: str) -> Said:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, data


def errors(status: int, code: str, message: str = "", **headers: str) -> Said:
    return said(status, {"errors": [{"code": code, "message": message}]}, **headers)


class Asked:
    """One request as it arrived."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.what = f"{handler.command} {handler.path.partition('?')[0]}"
        self.path = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body = handler.rfile.read(int(self.headers.get("content-length", 0)))


class KindeServer:
    """What Kinde knows. *answers* takes the place of what it would answer, by what is asked (``VERIFY``, …)."""

    def __init__(self) -> None:
        self.keys: dict[str, Json] = {}
        self.asked: list[Asked] = []
        self.answers: dict[str, Said | Callable[[Asked], Said]] = {}
        self.open = threading.Event()
        """Cleared, verify answers nobody until it is set."""
        self.open.set()
        self.arrived = threading.Semaphore(0)
        self.tokens = 0
        self.add(USER_KEY, user_id="kp_1", scopes=["read:users"])
        self.add(ORG_KEY, org_code="org_1", scopes=["read:users", "write:users"])
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                status, headers, body = server.answer(Asked(self))
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST  # noqa: N815  # as http.server calls it

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client has hung up: it does at its deadline."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def add(self, key: str, **changes: Any) -> Json:
        fields: Json = {"id": f"api_key_{key[-8:]}", "status": "active", "is_valid": True, "api_ids": [API_ID]}
        fields |= {"scopes": [], "user_id": None, "org_code": None, **changes}
        self.keys[key] = fields
        return fields

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def counts(self) -> Counter[str]:
        return Counter(each.what for each in self.asked)

    @property
    def verified(self) -> int:
        return self.counts[VERIFY]

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        if asked.what == VERIFY:
            self.arrived.release()
            assert self.open.wait(LONG)
        instead = self.answers.get(asked.what)
        if instead is None and asked.what.startswith("GET /api/v1/api_keys/"):
            instead = self.answers.get("GET")
        if instead is not None:
            return instead(asked) if callable(instead) else instead
        return self._answer(asked)

    def _answer(self, asked: Asked) -> Said:
        if asked.what == "POST /oauth2/token":
            self.tokens += 1
            return said(200, {"access_token": f"m2m-{self.tokens}", "expires_in": 86_400, "token_type": "bearer"})
        if not asked.headers.get("authorization", "").startswith("Bearer m2m-"):
            return errors(401, "UNAUTHORIZED", "invalid credentials")
        if asked.what == VERIFY:
            return said(200, self.verdict(json.loads(asked.body)["api_key"]))
        if asked.what == LIST:
            return said(200, {"code": "OK", "message": "Success", "has_more": False, "api_keys": []})
        return self.details(asked.what.rpartition("/")[2])

    def verdict(self, key: str, **changes: Any) -> Json:
        known = self.keys.get(key)
        if known is None or not known["is_valid"]:
            return {"code": "API_KEY_INVALID", "message": "API key is not valid", "is_valid": False, **changes}
        facts = {name: known[name] for name in ("is_valid", "status", "scopes", "org_code", "user_id")}
        more = {"last_verified_on": "2024-11-18T13:32:03+11", "verification_count": 42, "key_id": known["id"]}
        expires = {"expires_on": known["expires_on"]} if "expires_on" in known else {}
        return {"code": "API_KEY_VERIFIED", "message": "API key verified", **facts, **more, **expires, **changes}

    def details(self, key_id: str, **changes: Any) -> Said:
        found = next((known for known in self.keys.values() if known["id"] == key_id), None)
        if found is None:
            return said(404, {"errors": {"code": "NOT_FOUND", "message": "not found"}})
        facts = {name: found[name] for name in ("id", "status", "api_ids", "scopes", "user_id")}
        facts |= {"key_prefix": "k_live", "key_suffix": next(key for key in self.keys if self.keys[key] is found)[-4:]}
        body = {
            "code": "OK",
            "message": "Success",
            "api_key": {**facts, "organization_id": found["org_code"], **changes},
        }
        return said(200, body)


@contextmanager
def kinde_server() -> Iterator[KindeServer]:
    server = KindeServer()
    try:
        yield server
    finally:
        server.close()


def credentials(kinde: KindeServer, **changes: Any) -> ClientCredentials:
    told: Json = {"client_id": "c1", "client_secret": "s3cr3t", "audience": f"{kinde.url}/api", **changes}
    return ClientCredentials(kinde.url, **told)


def api_keys(kinde: KindeServer, **changes: Any) -> ApiKeys:
    return ApiKeys(**{"auth": credentials(kinde), "api_ids": API_ID, **changes})


def guard_of_keys(kinde: KindeServer, time: Time | None = None, keys: ApiKeys | None = None, **changes: Any) -> Guard:
    """A guard that takes keys, and tells the time by *time*."""
    told: Json = {"audience": AUDIENCE, "clocks": (time or Time()).clocks, "variables": (), **changes}
    return Guard(kinde.url, api_keys=keys or api_keys(kinde), **told)
