"""The insides of an MCP server: which function runs for a tool, a prompt or a resource, and what it demands.

One answer for everybody who asks: the gate, start-up checks, the metadata, and ``kinde-guard routes``. Both servers
stand here: the official SDK's, and fastmcp's, of which nothing is imported.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from mcp.server.mcpserver import MCPServer

from .. import adapters
from ..adapters import Requirement
from ..errors import ConfigurationError
from ..requirements import authenticated
from .mcp_calls import Asked
from .mcp_decorators import needs_arguments

NOT_ENFORCED = (
    "the demand on {}(), which is {}, is not enforced: write @requires_…(…) below the server's own decorator (if it is "
    "meant to be open, give it its own function)"
)


@dataclass(frozen=True, slots=True)
class Operation:
    """A tool, a prompt, a resource or a template of resources, and the function that runs for it, if it is known."""

    method: str
    name: str
    """A resource's URI, or the template of it."""
    function: Callable[..., Any] | None

    @property
    def demand(self) -> Requirement | None:
        """What the decorators on its function enforce."""
        return None if self.function is None else adapters.enforced(self.function)


class Operations(Protocol):
    """What a server can be asked for."""

    async def find(self, method: str, name: str, params: Mapping[str, Any]) -> Operation | None:
        """What runs for such a request; ``None`` if it is not known before it runs."""

    async def every(self) -> list[Operation]:
        """All there are."""


class Demands:
    """What each call to a server demands, as far as it can be said before it runs."""

    def __init__(self, operations: Operations) -> None:
        self.operations = operations
        self._scopes: dict[str, None] = {}
        self._known: MutableMapping[Callable[..., Any], Requirement | None] = WeakKeyDictionary()

    async def check(self, public: frozenset[str]) -> None:
        """Raise :class:`ConfigurationError` for a demand that is not enforced, and for a *public* tool that there is
        not."""
        every = await self.operations.every()
        for operation in every:
            self._of(operation)
        if missing := public - {each.name for each in every if each.method == "tools/call"}:
            raise ConfigurationError(
                f"public= names tools, and the server has none called {', '.join(sorted(missing))}"
            )

    async def of(self, asked: Asked) -> Requirement | None:
        """What *asked* demands; any valid token where the rest is up to its arguments."""
        found = [await self.operations.find(method, name, asked.params) for method, name in asked.about]
        demands = [self._of(operation) for operation in found if operation is not None]
        demanded = [demand for demand in demands if demand is not None]
        return functools.reduce(operator.and_, demanded) if demanded else None

    def scopes(self) -> tuple[str, ...]:
        """Those that all operations together need: those that the server had when it started, and what was added
        since, once somebody has asked for it. To go through all of them again takes too long for each refusal."""
        return tuple(self._scopes)

    def _of(self, operation: Operation) -> Requirement | None:
        """Worked out once for each function."""
        function = operation.function
        if function is None:
            return None
        try:
            if function not in self._known:
                self._known[function] = self._looked_at(operation)
            return self._known[function]
        except TypeError:  # a callable instance that has no hash, or no room for a weak reference
            return self._looked_at(operation)

    def _looked_at(self, operation: Operation) -> Requirement | None:
        demand = _checked(operation)
        if operation.demand is not None:
            self._scopes.update(dict.fromkeys(operation.demand.scopes()))
        return demand


class OfficialOperations:
    """Those of a server of the official SDK."""

    def __init__(self, server: MCPServer[Any]) -> None:
        self._server = server

    async def find(self, method: str, name: str, params: Mapping[str, Any]) -> Operation | None:
        found = self._named(method, name)
        return None if found is None else Operation(method, name, getattr(found, "fn", None))

    async def every(self) -> list[Operation]:
        return list(self.operations())

    def operations(self) -> Iterator[Operation]:
        """Each, in the order in which they were added."""
        server = self._server
        for tool in server._tool_manager.list_tools():
            yield Operation("tools/call", tool.name, tool.fn)
        for resource in server._resource_manager.list_resources():
            yield Operation("resources/read", str(resource.uri), getattr(resource, "fn", None))
        for template in server._resource_manager.list_templates():
            yield Operation("resources/read", template.uri_template, template.fn)
        for prompt in server._prompt_manager.list_prompts():
            yield Operation("prompts/get", prompt.name, prompt.fn)

    def _named(self, method: str, name: str) -> Any:
        if method == "tools/call":
            return self._server._tool_manager.get_tool(name)
        if method == "prompts/get":
            return self._server._prompt_manager.get_prompt(name)
        return self._resource(name)

    def _resource(self, uri: str) -> Any:
        resources = self._server._resource_manager
        exact = next((found for found in resources.list_resources() if str(found.uri) == uri), None)
        return exact or next((found for found in resources.list_templates() if _matches(found, uri)), None)


class FastMCPOperations:
    """Those of a server of fastmcp. It takes a while to find one (it asks every provider, transform and middleware):
    what was found is remembered. Should it change, its own decorator still judges."""

    MOST = 1_000
    LONGEST = 1_000
    """Characters of a name that is remembered: whoever asks, and how long the name is, is up to strangers."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._found: dict[tuple[str, str], Operation] = {}

    async def find(self, method: str, name: str, params: Mapping[str, Any]) -> Operation | None:
        meta = params.get("_meta")
        if isinstance(meta, dict) and "fastmcp" in meta:
            return None  # one version of several
        known = self._found.get((method, name))
        if known is None and (found := await _component(self._server, method, name)) is not None:
            known = Operation(method, name, await _function_of(found, method))
            self._remember(known)
        return known

    def _remember(self, operation: Operation) -> None:
        if len(operation.name) > self.LONGEST:
            return
        if len(self._found) >= self.MOST:  # a template has as many URIs as there are
            self._found.clear()
        self._found[operation.method, operation.name] = operation

    async def every(self) -> list[Operation]:
        server = self._server
        lists = (
            ("tools/call", "name", await server.list_tools(run_middleware=False)),
            ("resources/read", "uri", await server.list_resources(run_middleware=False)),
            ("resources/read", "uri_template", await server.list_resource_templates(run_middleware=False)),
            ("prompts/get", "name", await server.list_prompts(run_middleware=False)),
        )
        return [
            Operation(method, str(getattr(found, named)), await _function_of(found, method))
            for method, named, every in lists
            for found in every
        ]


async def _component(server: Any, method: str, name: str) -> Any:
    """The tool, prompt, resource or template of *server*, as it would find it for a call."""
    if method == "tools/call":
        return await server.get_tool(name)
    if method == "prompts/get":
        return await server.get_prompt(name)
    return await server.get_resource(name) or await server.get_resource_template(name)


async def _function_of(component: Any, method: str) -> Callable[..., Any] | None:
    """What runs in the end: a transformed tool has another one behind it, a mounted server's stands in that."""
    while (behind := await _behind(component, method)) is not None:
        component = behind
    function = getattr(component, "fn", None)
    return function if callable(function) else None


async def _behind(component: Any, method: str) -> Any:
    server, name = getattr(component, "_server", None), _name_there(component)
    if server is not None and name is not None:
        return await _component(server, method, name)
    return getattr(component, "parent_tool", None)


def _name_there(component: Any) -> str | None:
    """What the mounted server that *component* stands for calls it."""
    names = ("_original_name", "_original_uri")
    return next((str(found) for name in names if (found := getattr(component, name, None)) is not None), None)


def _matches(template: Any, uri: str) -> bool:
    if template.uri_template == uri:  # as completion is asked for
        return True
    try:
        return template.matches(uri) is not None
    except Exception:  # a path in it that the server refuses: for the server to say
        return False


def _checked(operation: Operation) -> Requirement | None:
    function = operation.function
    if adapters.misplaced(function):
        name = getattr(function, "__qualname__", str(function))
        raise ConfigurationError(NOT_ENFORCED.format(name, f"{operation.method} {operation.name!r}"))
    demand = operation.demand
    return authenticated if demand is not None and needs_arguments(demand) else demand
