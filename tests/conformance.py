"""``modelcontextprotocol/conformance``, whose newest version for servers is 2025-11-25, as a judge of an MCP server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from waiting import LONG

MODULES = Path(__file__).parents[1] / ".conformance" / "node_modules"
WITH_TOKEN = """
const fetched = globalThis.fetch
globalThis.fetch = (url, options = {}) => {
  const headers = new Headers(options.headers)
  headers.set("Authorization", `Bearer ${process.env.TOKEN}`)
  return fetched(url, {...options, headers})
}
"""
"""It knows no way to be given a token for a server."""


def assert_conforms(url: str, scenario: str, cwd: Path, token: str = "") -> None:
    """The server at *url* passes the *scenario*, whose requests carry *token*, if there is one. Skips the test where
    node has not been installed."""
    node, script = (
        MODULES / "node" / "bin" / "node",
        MODULES / "@modelcontextprotocol" / "conformance" / "dist/index.js",
    )
    if not script.exists() or not node.exists():
        pytest.skip("npm install --prefix .conformance node@22 @modelcontextprotocol/conformance has yet to be run")
    cwd.joinpath("with_token.js").write_text(WITH_TOKEN)
    before = ["--require", "./with_token.js"] if token else []
    command = [str(node), *before, str(script), "server", "--url", url, "--scenario", scenario]
    environment = {**os.environ, "TOKEN": token}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=LONG, env=environment)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
