"""From npm: aws-jwt-verify, and fast-jwt with and without its cache. Installed into ``results/node`` at first use."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..report import RESULTS
from ..tokens import Site
from . import Way
from .worker import Worker

PACKAGES = ("aws-jwt-verify@5", "fast-jwt@6")
OPTIONS = ("--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")


def peers(site: Site) -> dict[str, Way]:
    node = shutil.which("node")
    if node is None:
        raise ImportError("there is no node")
    folder = installed()
    pem = site.issuer.key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    settings = {
        "folder": str(folder),
        "audience": site.audience,
        "issuer": site.issuer.url,
        "jwks": site.issuer.jwks(),
        "pem": pem.decode(),
        "warm": [site.m2m().decode(), site.user().decode()],
    }
    worker = Worker([node, str(Path(__file__).with_name("node_worker.mjs"))], settings)
    site.closing.callback(worker.close)
    return {f"{way.name} (Node)": way for way in worker.ways()}


def installed() -> Path:
    """The folder with the packages in it."""
    folder = RESULTS / "node"
    if not (folder / "node_modules" / "fast-jwt").is_dir():
        npm = shutil.which("npm")
        if npm is None:
            raise ImportError("there is no npm")
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [npm, "install", *OPTIONS, "--prefix", ".", *PACKAGES], cwd=folder, stdout=sys.stderr, timeout=120
        )
        if done.returncode:
            raise ImportError("npm could not install them")
    return folder
