"""start: what importing a library takes, and a process from nothing to its first verified token.

All byte code is compiled beforehand, as it is where an app is installed: what is measured is loading, not compiling.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, Any

from kinde_guard.settings.seeds import document_of

from .bench import Bench
from .measure import spread
from .report import Bar, Report, Table

NOTHING = "python, nothing imported"
BARE = "cryptography's RSA"
OURS = "kinde_guard"
SEEDED = "kinde_guard with a seed (jwks=…)"
PYJWT = "PyJWT + PyJWKClient"
LIMIT, AIM = 1.0, 0.7

# Each stands alone: what is measured is what the process loads. `s` holds the settings.
IMPORTS = {
    NOTHING: ("sys", "pass"),
    BARE: ("cryptography", "from cryptography.hazmat.primitives.asymmetric import padding, rsa"),
    OURS: ("kinde_guard", "from kinde_guard import Guard"),
    "kinde_guard, and a guard made": (
        "kinde_guard",
        "from kinde_guard import Guard; Guard('acme.kinde.com', audience='https://api.acme.com')",
    ),
    "kinde_guard.asgi": ("kinde_guard", "from kinde_guard.asgi import GuardMiddleware"),
    "PyJWT": ("jwt", "from jwt import PyJWKClient, decode"),
    "joserfc": ("joserfc", "from joserfc import jwk, jwt"),
    "Authlib": ("authlib", "from authlib.jose import JsonWebKey, JsonWebToken"),
    "fastmcp JWTVerifier": ("fastmcp", "from fastmcp.server.auth.providers.jwt import JWTVerifier"),
    "auth0-api-python": ("auth0_api_python", "from auth0_api_python import ApiClient"),
    "oxyjwt": ("oxyjwt", "from oxyjwt import PyJWKClient, decode"),
    "ryjwt": ("ryjwt", "from ryjwt import JWKSClient"),
}
FIRST = {
    OURS: (
        "kinde_guard",
        """
from kinde_guard import Guard
Guard(s["issuer"], audience=s["audience"], jwks_url=s["url"]).verify(s["token"])""",
    ),
    SEEDED: (
        "kinde_guard",
        """
from kinde_guard import Guard
Guard(s["issuer"], audience=s["audience"], jwks_url=s["url"], jwks=s["jwks"]).verify(s["token"])""",
    ),
    PYJWT: (
        "jwt",
        """
import jwt
key = jwt.PyJWKClient(s["url"]).get_signing_key_from_jwt(s["token"])
jwt.decode(s["token"], key, algorithms=["RS256"], audience=s["audience"], issuer=s["issuer"])""",
    ),
    "oxyjwt + PyJWKClient": (
        "oxyjwt",
        """
import oxyjwt
key = oxyjwt.PyJWKClient(s["url"]).get_signing_key_from_jwt(s["token"]).key
oxyjwt.decode(s["token"], key, algorithms=["RS256"], audience=s["audience"], issuer=s["issuer"])""",
    ),
    "ryjwt": (
        "ryjwt",
        """
from ryjwt import JWKSClient
JWKSClient(s["url"], algorithms=["RS256"], audience=s["audience"], issuer=s["issuer"]).decode(s["token"])""",
    ),
    "fastmcp JWTVerifier": (
        "fastmcp",
        """
import asyncio
from fastmcp.server.auth.providers.jwt import JWTVerifier
verifier = JWTVerifier(jwks_uri=s["url"], audience=s["audience"], issuer=s["issuer"], algorithm="RS256")
assert asyncio.run(verifier.verify_token(s["token"]))""",
    ),
}
READ = "import json, sys\ns = json.load(sys.stdin)\n"
# The most memory it ever had, in KiB, as Linux says: what wait4 says is the parent's, if that is larger.
MEMORY = '\nprint(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])'


def run(bench: Bench) -> Report:
    """Imports, and the first verified token."""
    site = bench.site
    settings = {
        "issuer": site.issuer.url,
        "audience": site.audience,
        "url": site.jwks_url,
        "token": site.m2m().decode(),
        "jwks": document_of(site.issuer.url, site.issuer.jwks()["keys"], time.time()),
    }
    imports = {name: code for name, (module, code) in IMPORTS.items() if _wanted(bench, name, module)}
    firsts = {name: READ + code for name, (module, code) in FIRST.items() if _wanted(bench, name, module)}
    titles = {
        "start: importing, beside an interpreter with nothing imported": imports,
        "start: from nothing to the first verified token, keys fetched over loopback": {NOTHING: "", **firsts},
    }
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as errors:
        starts = Starts(json.dumps(settings), folder, errors)
        return Report("start", [_table(bench, title, programs, starts) for title, programs in titles.items()])


def _wanted(bench: Bench, name: str, module: str) -> bool:
    ours = name in (NOTHING, BARE) or module == "kinde_guard"
    return ours or (not bench.alone and find_spec(module) is not None)


def _table(bench: Bench, title: str, programs: Mapping[str, str], starts: Starts) -> Table:
    bench.progress.say(f"{title.partition(',')[0]}: compiling")
    for code in programs.values():
        starts.start(code)
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in programs}
    for number in range(bench.effort.starts):
        bench.progress.say(title.partition(",")[0], number + 1, bench.effort.starts)
        for name, code in programs.items():
            taken[name].append(starts.start(code))
    bench.progress.clear()
    rows: list[tuple[str, list[Any]]] = []
    for name, runs in taken.items():
        rows.append((name, [spread(_over(runs, taken[NOTHING], which)).median for which in range(3)]))
    rows.sort(key=lambda row: row[1][0])
    note = (
        f"Medians of {bench.effort.starts} interleaved starts, each over the interpreter's own in the same round; byte "
        "code is compiled beforehand."
    )
    return Table(title, ["CPU ms", "wall ms", "memory MB"], rows, _bars(dict(rows)), [note], charted=0)


def _bars(rows: Mapping[str, list[Any]]) -> list[Bar]:
    if PYJWT not in rows:
        return []
    what = "from nothing to the first verified token"
    return [Bar(what, rows[OURS][0] / rows[PYJWT][0], LIMIT, unit=f"x {PYJWT}", aim=AIM)]


def _over(runs: list[tuple[float, float, float]], floor: list[tuple[float, float, float]], which: int) -> list[float]:
    return [mine[which] - least[which] for mine, least in zip(runs, floor, strict=True)]


@dataclass(frozen=True)
class Starts:
    """Starts interpreters, whose byte code is kept in *folder*: nobody compiles a library each time."""

    settings: str
    folder: str
    errors: IO[bytes]

    def start(self, code: str) -> tuple[float, float, float]:
        """CPU and wall time in milliseconds, and the most memory in MB, of a process that runs *code*."""
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code + MEMORY],
            env={**_without(os.environ, "PYTHONDONTWRITEBYTECODE"), "PYTHONPYCACHEPREFIX": self.folder},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin, process.stdout:
            process.stdin.write(self.settings)
            process.stdin.close()
            said = process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            self.errors.seek(0)
            raise RuntimeError(f"in a process of its own this failed: {code}\n{self.errors.read().decode()}")
        return (used.ru_utime + used.ru_stime) * 1e3, wall * 1e3, float(said) / 1024


def _without(environment: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in environment.items() if key != name}
