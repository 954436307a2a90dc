"""HTTP that can be watched: a transport for httpx that shows every request and every answer as it happens.

Tokens are shown by their beginning and their fingerprint, which is also what the log calls them; secrets not at all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import parse_qsl

import httpx
from rich.text import Text

from ...tokens.digests import fingerprint
from ..screen import Screen

_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
_SHOWN_HEADERS = ("WWW-Authenticate", "Retry-After")


class PrintingTransport(httpx.BaseTransport):
    """A transport from *who* to *whom* that prints both ways. It uses no proxy of the environment."""

    def __init__(self, screen: Screen, who: str, whom: str) -> None:
        self._screen = screen
        self._there, self._back = f"{who} → {whom}", f"{whom} → {who}"
        # A connection for each request: one that is kept would die unseen when the other side stops.
        self._http = httpx.HTTPTransport(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Called by httpx."""
        self._screen.line(self._there, Text(f"{request.method} {request.url.path}", "bold"), *_request(request))
        try:
            response = self._http.handle_request(request)
            response.read()
        except httpx.TransportError as error:
            self._screen.line(self._back, Text(f"no answer ({type(error).__name__})", "yellow"))
            raise
        status = HTTPStatus(response.status_code)
        colour = {2: "green", 4: "red"}.get(status // 100, "yellow")
        self._screen.line(self._back, Text(f"{status.value} {status.phrase}", f"bold {colour}"), *_headers(response))
        self._screen.line("", Text(self._body(response), "dim"))
        return response

    def close(self) -> None:
        """Called by httpx."""
        self._http.close()

    def _body(self, response: httpx.Response) -> str:
        try:
            body = response.json()
        except ValueError:
            body = response.text
        if isinstance(body, dict) and "keys" in body:
            names = ", ".join(f"{key['kid'][:8]}…" for key in body["keys"])
            return f"{len(body['keys'])} {'key' if len(body['keys']) == 1 else 'keys'}: {names}"
        text = short(json.dumps(body))
        # Of a refusal all that counts is in the header.
        return text if response.is_success else self._screen.cropped(text)


def short(text: str) -> str:
    """*text*, in which no token is whole."""
    return _JWT.sub(lambda found: f"{found[0][:8]}… ({_mark(found[0])})", text)


def _mark(token: str) -> str:
    return fingerprint(hashlib.sha256(token.encode()).digest())


def _request(request: httpx.Request) -> Iterator[str]:
    if "Authorization" in request.headers:
        yield short(f"Authorization: {request.headers['Authorization']}")
    for name, value in parse_qsl(request.read().decode()):
        yield f"{name}={'•' * 8 if name == 'client_secret' else value}"


def _headers(response: httpx.Response) -> Iterator[str]:
    for name in _SHOWN_HEADERS:
        if name in response.headers:
            yield f"{name}: {response.headers[name]}"
