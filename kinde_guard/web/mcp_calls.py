"""What a request to an MCP server asks for, read from its body (JSON-RPC 2.0), and what is said of a body that cannot
be judged. Pure; no SDK is imported here.

The headers say it too (``Mcp-Method``, ``Mcp-Name``, SEP-2243) and are not believed: not every version has them, and a
server that speaks an older one does not compare them with the body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

MOST_BYTES = 4 * 1024 * 1024
"""In one body, unless the server takes more: what the official SDK takes."""

MOST_MENTIONED = 100
"""Resources that one request may want to hear of."""
MOST_VALUES = 50_000
"""In one body. The parser holds the event loop up for as long as it takes, so they are counted before, at C speed."""
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.S)
"""One without an end goes to the end of the body, or it would be looked for anew behind each of its quotes: minutes."""
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""The methods that run a function of the app's, and the parameter that says which."""
REACHES_TOOLS = frozenset({"initialize", "server/discover", "ping", "tools/list"})
"""What a client needs before it can call a public tool; it runs nothing of the app's."""
_ABOUT_RESOURCES = frozenset({"resources/subscribe", "resources/unsubscribe"})
_MEANS = {"name": "prompts/get", "uri": "resources/read"}  # in a reference, which completion is asked for


@dataclass(frozen=True, slots=True)
class Asked:
    """One request or notification, or an answer to a request of the server's, which has no method."""

    method: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    about: tuple[tuple[str, str], ...] = ()
    """What the request runs, or wants to know something of: each a method of ``NAMED_BY``, and a name or URI."""

    @property
    def tool(self) -> str | None:
        """The tool that is called, if one is."""
        return self.about[0][1] if self.method == "tools/call" else None

    @property
    def reaches_tools(self) -> bool:
        """Whether whoever may call a public tool needs this, too."""
        return self.method in REACHES_TOOLS or self.method.startswith("notifications/") or not self.method


class Unreadable(Exception):
    """A body that is not one JSON-RPC message: with the HTTP *status*, the JSON-RPC *code* and a public *text*."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.body = json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}).encode()


def read(body: bytes) -> Asked:
    """What *body* asks for. Raises :class:`Unreadable`."""
    if _has_too_many_values(body):
        raise Unreadable(413, -32600, f"Invalid Request: the body has more than {MOST_VALUES} values")
    try:
        message = json.loads(body.decode(), object_pairs_hook=_object)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, a number of endless digits; nested without end
        raise Unreadable(400, -32700, "Parse error: the body is no JSON") from None
    if not isinstance(message, dict):
        # Batches were a part of the version of 2025-03-26 alone, and no SDK takes them any more.
        raise Unreadable(400, -32600, "Invalid Request: the body is one JSON-RPC message, not a list of them")
    method, params = message.get("method", ""), message.get("params")
    if not isinstance(method, str) or not isinstance(params, dict | None):
        raise Unreadable(400, -32600, "Invalid Request: method is text, and params is an object")
    return _asked(method, params or {})


def too_large(most: int) -> Unreadable:
    """The refusal of a body of more than *most* bytes."""
    return Unreadable(413, -32600, f"Invalid Request: the body is larger than {most} bytes")


def _has_too_many_values(body: bytes) -> bool:
    """Each value but one stands behind a comma or a bracket. Those in text count only where it is not too long a way to
    tell them apart."""
    if _separators(body) <= MOST_VALUES:
        return False
    return body.count(b'"') > MOST_VALUES or _separators(_STRING.sub(b"", body)) > MOST_VALUES


def _separators(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _asked(method: str, params: dict[str, Any]) -> Asked:
    if method in NAMED_BY:
        name = params.get(NAMED_BY[method])
        if not isinstance(name, str):
            raise Unreadable(400, -32602, f"Invalid params: {NAMED_BY[method]} is text")
        return Asked(method, params, ((method, name),))
    about = tuple(islice(_mentioned(method, params), MOST_MENTIONED + 1))
    if len(about) > MOST_MENTIONED:
        raise Unreadable(400, -32602, f"Invalid params: more than {MOST_MENTIONED} resources")
    return Asked(method, params, about)


def _mentioned(method: str, params: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is not run, but may tell something that a caller is not to know: the values that an argument may have, or
    when a resource changes. What is malformed the SDKs refuse."""
    if method in _ABOUT_RESOURCES and isinstance(uri := params.get("uri"), str):
        yield "resources/read", uri
    if method == "completion/complete" and isinstance(reference := params.get("ref"), dict):
        yield from ((_MEANS[key], reference[key]) for key in _MEANS if isinstance(reference.get(key), str))
    if method == "subscriptions/listen" and isinstance(wanted := params.get("notifications"), dict):
        # The SDKs take both spellings.
        lists = (wanted.get("resourceSubscriptions"), wanted.get("resource_subscriptions"))
        for uris in lists:
            yield from (("resources/read", uri) for uri in _listed(uris) if isinstance(uri, str))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object, if no two members have one name: another parser may believe the other (RFC 8259 §4)."""
    made = dict(members)
    if len(made) != len(members):
        raise ValueError
    return made
