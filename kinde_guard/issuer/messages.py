"""Requests and responses as plain values, so that one pure function serves sockets and in-process callers alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

MAX_BODY = 64 * 1024
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}  # RFC 6749 §5.1
Delivery = Literal["whole", "cut", "dripping", "hanging", "refused", "wrong_tls_name"]
"""How an answer goes out: at once and whole, or as a broken server would do it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose body has been read. Header names are in lower case; the path is decoded."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    query: str = field(default="", repr=False)
    client: tuple[str, int] | None = field(default=None, repr=False)
    """The address and port that it came from; ``None`` if it came by no socket."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response, and how it goes out. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    delivery: Delivery = "whole"
    seconds: float = 0.0
    """How long it hangs, or how long it takes from one dripping byte to the next."""

    def with_headers(self, headers: Mapping[str, str]) -> Response:
        """The same answer with *headers* besides its own."""
        return replace(self, headers={**self.headers, **headers})

    def without_body(self) -> Response:
        """What HEAD gets (RFC 9110 §9.3.2): the headers alone, the length among them."""
        return replace(self, body=b"")


def json_response(status: int, value: object, headers: Mapping[str, str] | None = None) -> Response:
    """*value* as JSON, with its length."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return Response(
        status, {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}, body
    )


def error_response(status: int, error: str, description: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error in the form of RFC 6749 §5.2, which Kinde keeps to."""
    return json_response(status, {"error": error, "error_description": description}, headers)
