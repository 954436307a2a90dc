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


def uvicorn_command(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What ``uvicorn module:app`` does with this module, as a user starts it; it has to stop by itself."""
    (folder / "module.py").write_text(code)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KINDE_")}
    return subprocess.run(
        [sys.executable, "-m", "uvicorn", "module:app", "--host", "127.0.0.1", "--port", "0"],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(Path(__file__).parent.parent), **environment},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
