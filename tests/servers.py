"""Apps behind real servers on loopback, for what only a server can show."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from waiting import LONG
from werkzeug.serving import make_server

from kinde_guard.cli.serving import listen, serving, url_of
from kinde_guard.issuer import LocalIssuer


@contextlib.contextmanager
def served(app: Any, **options: Any) -> Iterator[str]:
    """*app* behind uvicorn on a free port of 127.0.0.1; gives ``127.0.0.1:port``."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        end = time.monotonic() + 10
        while not server.started:
            assert thread.is_alive(), "the server stopped instead of starting"
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.01)
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(LONG)


@contextlib.contextmanager
def served_wsgi(app: Any) -> Iterator[str]:
    """*app* behind Werkzeug's server, with threads, on a free port of 127.0.0.1; gives ``127.0.0.1:port``."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(LONG)
        server.server_close()


@contextlib.contextmanager
def served_issuer(**options: Any) -> Iterator[LocalIssuer]:
    """A local Kinde on loopback, on which people sign in without being asked who they are."""
    with listen(0) as sock:
        issuer = LocalIssuer(url_of(sock), **options)
        with serving(issuer.asgi, sock):
            yield issuer


def clean_environment() -> dict[str, str]:
    """The variables of this process, without those of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KINDE_")}


def uvicorn_command(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What ``uvicorn module:app`` does with this module, as a user starts it; it has to stop by itself."""
    (folder / "module.py").write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "uvicorn", "module:app", "--host", "127.0.0.1", "--port", "0"],
        cwd=folder,
        env={**clean_environment(), "PYTHONPATH": str(Path(__file__).parent.parent), **environment},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
