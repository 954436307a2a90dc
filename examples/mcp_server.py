"""An MCP server that signs people in through Kinde, with fastmcp: notes for an assistant.

uvicorn examples.mcp_server:app

Configured by the environment: KINDE_DOMAIN, KINDE_AUDIENCE, and KINDE_CLIENT_ID and KINDE_CLIENT_SECRET of a back-end
application, which has <BASE_URL>/auth/callback among its callback URLs and may use the API of that audience. BASE_URL
is where the server is reached. People have permissions; here those of their tokens count as scopes, so that a client
that lacks one is told which, and asks again.
"""

import os

from fastmcp import FastMCP

from kinde_guard.fastmcp import KindeProvider, current_token, requires_scope

notes: list[str] = []
provider = KindeProvider(
    base_url=os.environ.get("BASE_URL", "http://localhost:8000"),
    client_id=os.environ["KINDE_CLIENT_ID"],
    client_secret=os.environ["KINDE_CLIENT_SECRET"],
    permissions_as_scopes=True,
)
mcp: FastMCP[None] = FastMCP("notes", auth=provider)


@mcp.tool
def whoami() -> str:
    """Anybody who has signed in."""
    return current_token.subject


@mcp.tool
@requires_scope("notes:read")
def read_notes() -> list[str]:
    """Every note."""
    return notes


@mcp.tool
@requires_scope("notes:write")
def add_note(text: str) -> str:
    """Write a note down."""
    notes.append(text)
    return f"{current_token.subject} has written it down"


# Without it fastmcp compares neither Host nor Origin, and a page in a browser could talk to a server on loopback.
app = mcp.http_app(host_origin_protection="auto")
