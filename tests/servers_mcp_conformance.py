"""The tools, resources and prompts that ``modelcontextprotocol/conformance`` asks a server for, behind a KindeGuard.

Its scenarios carry no token: what they ask for is public here, and one tool that nobody asks for demands something.
"""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from pydantic import BaseModel

from kinde_guard import Guard
from kinde_guard.mcp import KindeGuard, requires_scope


class Answer(BaseModel):
    """What a person is asked for."""

    response: str


def conformance_app(guard: Guard) -> Any:  # noqa: C901  (one list)
    server = MCPServer("conformance")

    @server.tool()
    @requires_scope("notes:write")
    def add(text: str) -> str:
        """Needs a scope."""
        return text

    @server.tool()
    def test_simple_text() -> str:
        """Text."""
        return "This is a simple text response for testing."

    @server.tool()
    def test_error_handling() -> str:
        """Fails."""
        raise RuntimeError("This tool intentionally returns an error for testing")

    @server.tool()
    async def test_tool_with_progress(ctx: Context[Any, Any]) -> str:
        """Says how far it is."""
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100)
        return "done"

    @server.tool()
    async def test_elicitation(message: str, ctx: Context[Any, Any]) -> str:
        """Asks the person."""
        result = await ctx.elicit(message, Answer)
        return f"User response: action={result.action}"

    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        """Text."""
        return "This is the content of the static text resource."

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002  (the name that is asked for)
        """Made of a template."""
        return f'{{"id": "{id}", "templateTest": true, "data": "Data for ID: {id}"}}'

    @server.prompt()
    def test_simple_prompt() -> list[UserMessage]:
        """Without arguments."""
        return [UserMessage("This is a simple prompt for testing.")]

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
        """With two arguments."""
        return [UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]

    app = server.streamable_http_app()
    KindeGuard(app, guard=guard)
    return app
