"""ryjwt (Rust): ``JWKSClient.decode``. It needs CPython 3.12, and on an older one runs in a newer one beside it."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from ..tokens import Site
from . import InProcess, Way
from .worker import Worker


def peers(site: Site) -> dict[str, Way]:
    settings = {"audience": site.audience, "issuer": site.issuer.url}
    if sys.version_info >= (3, 12):
        return {"ryjwt": InProcess(client(site.jwks_url, **settings).decode)}
    python, uv = newer_python(), os.environ.get("UV") or shutil.which("uv")
    if python is None or uv is None:
        raise ImportError("it needs CPython 3.12, here or beside this one with uv to run it")
    run = [uv, "run", "--quiet", "--no-project", "--isolated", "--python", python, "--with", "ryjwt", "python", "-P"]
    worker = Worker([*run, str(Path(__file__).with_name("ryjwt_worker.py"))], {"jwks_url": site.jwks_url, **settings})
    site.closing.callback(worker.close)
    version = Path(python).parent.parent.name
    return {f"ryjwt (on {version})": way for way in worker.ways()}


def client(jwks_url: str, **settings: str) -> Any:
    return importlib.import_module("ryjwt").JWKSClient(jwks_url, algorithms=["RS256"], **settings)


def newer_python() -> str | None:
    """A CPython 3.12 or newer, where pyenv and uv put it: in a folder beside the one of this Python."""
    found = Path(sys.base_prefix).parent.glob("*3.1[2-4]*/bin/python3")
    return max(map(str, found), default=None)
