"""Real reverse proxies on loopback, each with the configuration that ``kinde-guard forward-auth --print`` writes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from waiting import LONG, until

_NGINX = """
daemon off;
{as_who}
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        {printed}
    }}
}}
"""
_TRAEFIK = ["--entrypoints.web.address=127.0.0.1:{port}", "--providers.file.filename={config}", "--log.level=ERROR"]


def program(proxy: str) -> str:
    """Where it is; the test is skipped where it is not."""
    found = _envoy() if proxy == "envoy" else shutil.which(proxy) or shutil.which(proxy, path=str(_scripts()))
    if found is None:
        where = "apt-get install nginx-light caddy" if proxy in ("nginx", "caddy") else "uv sync --group proxies"
        pytest.skip(f"there is no {proxy} here: {where}")
    return found


@contextmanager
def in_front(proxy: str, printed: str, folder: Path) -> Iterator[str]:
    """*proxy* with the configuration *printed*; gives its host and port."""
    port = free_port()
    config = folder / {"caddy": "Caddyfile", "nginx": "nginx.conf"}.get(proxy, "config.yaml")
    # Started by root, nginx works as nobody, who cannot write a large body into a folder of pytest's.
    as_who = "user root;" if os.name == "posix" and os.getuid() == 0 else ""
    config.write_text(
        _NGINX.format(folder=folder, port=port, printed=printed, as_who=as_who)
        if proxy == "nginx"
        else _at(port, printed)
    )
    command = [program(proxy), *_arguments(proxy, config, port)]
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "PATH": "/usr/bin:/bin"}
    with (
        folder.joinpath("log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=home) as process,
    ):
        try:
            until(lambda: answers(port) or process.poll() is not None)
            assert process.poll() is None, folder.joinpath("log").read_text()[-4000:]
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(LONG)
            process.kill()


def stricter_for_admin(proxy: str, printed: str, stricter: str) -> str:
    """One configuration of two that were printed: *stricter* for what is under ``/admin``, *printed* for all else."""
    if proxy == "nginx":
        theirs = stricter.replace("location / {", "location /admin {")
        return printed + theirs.replace("kinde_guard", "kinde_guard_admin")
    if proxy == "caddy":
        return f":8080 {{\nhandle /admin* {_inside(stricter)}\nhandle {_inside(printed)}\n}}\n"
    ours, of_admin = yaml.safe_load(printed), yaml.safe_load(stricter)
    if proxy == "traefik":
        http, admin = ours["http"], of_admin["http"]
        http["middlewares"]["admin"] = admin["middlewares"]["kinde-guard"]
        http["routers"]["admin"] = {"rule": "PathPrefix(`/admin`)", "middlewares": ["admin"], "service": "api"}
    else:
        (route,) = _routes_of_envoy(of_admin)
        _routes_of_envoy(ours).insert(0, {**route, "match": {"prefix": "/admin"}})
    return str(yaml.safe_dump(ours))


def _inside(caddyfile: str) -> str:
    """What the site does, in its braces."""
    return caddyfile[caddyfile.index("{") :]


def _routes_of_envoy(configuration: Any) -> list[Any]:
    (chain,) = configuration["static_resources"]["listeners"][0]["filter_chains"]
    routes: list[Any] = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    return routes


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(port: int) -> bool:
    with closing(socket.socket()) as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _at(port: int, printed: str) -> str:
    """At a port of the test's own, and without what wants a network."""
    own = printed.replace("port_value: 8080", f"port_value: {port}").replace(":8080 {", f"http://127.0.0.1:{port} {{")
    return "{\n\tadmin off\n}\n" + own if "forward_auth" in own else own


def _arguments(proxy: str, config: Path, port: int) -> list[str]:
    if proxy == "traefik":
        return [argument.format(port=port, config=config) for argument in _TRAEFIK]
    if proxy == "envoy":
        return ["-c", str(config), "--log-level", "error", "--use-dynamic-base-id", "--concurrency", "1"]
    if proxy == "caddy":
        return ["run", "--config", str(config), "--adapter", "caddyfile"]
    return ["-c", str(config), "-p", str(config.parent), "-e", str(config.parent / "error.log")]


def _envoy() -> str | None:
    found = importlib.util.find_spec("envoy")
    for folder in (found.submodule_search_locations or ()) if found else ():
        if Path(folder, "_bin", "envoy").exists():
            return str(Path(folder, "_bin", "envoy"))
    return None


def _scripts() -> Path:
    return Path(sys.executable).parent
