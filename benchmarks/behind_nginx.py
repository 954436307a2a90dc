"""Forward auth behind a real nginx with what ``kinde-guard forward-auth --print nginx`` writes: what a request's whole
way costs, nginx and the service that it asks together."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kinde_guard.cli.forward_auth.printed import Wiring, printed

from .apps import FORWARD_AUTH, claims
from .bench import Bench
from .report import Table
from .serve import CALLERS, WHY_NOT, can_be_loaded, compared
from .server import Server, end, free_port, running, until_it_answers, uvicorn

WHAT = "forward auth behind nginx"
MOST = 1.4
_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {printed}
    }}
    server {{
        listen 127.0.0.1:{app};
        return 200 '{{"ok": true}}';
    }}
}}
"""


@dataclass(frozen=True)
class Behind:
    """nginx, and the service behind it."""

    nginx: Server
    service: Server

    @property
    def url(self) -> str:
        return self.nginx.url

    def cpu_seconds(self) -> float:
        return self.nginx.cpu_seconds() + self.service.cpu_seconds()

    def pin(self, processor: int) -> None:
        self.nginx.pin(processor)
        self.service.pin(processor)


def table(bench: Bench) -> Table:
    """No figures where nginx or ``wrk`` is missing."""
    if shutil.which("nginx") is None or not can_be_loaded():
        return Table(WHAT, [], [], notes=[f"{WHY_NOT} And it needs nginx."])
    return compared(bench, WHAT, MOST, lambda front: _started(bench, front))


@contextmanager
def _started(bench: Bench, front: str) -> Iterator[Behind]:
    site, port = bench.site, free_port()
    tokens = site.tokens("M2M", CALLERS)
    wanted = {"stack": FORWARD_AUTH, "front": front, "jwks_url": site.jwks_url}
    wanted |= {"issuer": site.issuer.url, "audience": site.audience}
    with ExitStack() as exits:
        command = [*uvicorn(port), "--lifespan", "off"]
        service = exits.enter_context(running(command, wanted, port, tokens))
        nginx = exits.enter_context(_nginx(f"http://127.0.0.1:{port}"))
        until_it_answers(nginx, tokens)
        yield Behind(nginx, service)


@contextmanager
def _nginx(service: str) -> Iterator[Server]:
    port, app = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        text = printed("nginx", Wiring((f"scope:{claims.SCOPE}",), service, "", f"http://127.0.0.1:{app}"))
        configuration = Path(folder, "nginx.conf")
        configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, app=app, printed=text))
        command = ["nginx", "-c", str(configuration), "-p", folder, "-e", f"{folder}/error.log"]
        process = subprocess.Popen(command)
        try:
            yield Server(process, "nginx", port)
        finally:
            end(process)
