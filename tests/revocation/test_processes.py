"""Revocations in several processes: real servers, forks, and an end of the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from helpers import Issuer, fork, guard_of
from redis_server import RedisServer, running_redis
from waiting import LONG, running, until

from benchmarks.fleet import Kind, Standing, fleet
from benchmarks.paced import Pace
from kinde_guard.revocation import Revocations
from kinde_guard.revocation.entry import Marks

FLASK = "servers_flask:app --log-level warning --timeout 300"
FASTAPI = "servers_fastapi:app --log-level warning --timeout 300"
SERVING = {
    "preload": Kind(f"gunicorn --workers 2 --preload {FLASK}", workers=2, warm="before"),
    "gevent": Kind(f"gunicorn --worker-class gevent {FLASK}"),
    "uvicorn": Kind("uvicorn --workers 2 servers_starlette:app --log-level warning", workers=2),
    "uvicorn's workers": Kind(
        f"gunicorn --workers 2 --worker-class uvicorn.workers.UvicornWorker {FASTAPI}", workers=2
    ),
    "trio": Kind("hypercorn --worker-class trio servers_fastapi:app"),
}
if find_spec("uvloop"):
    SERVING["uvloop"] = Kind("uvicorn --loop uvloop servers_fastapi:app --log-level warning")
ISSUER = "https://acme.kinde.com"
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="gunicorn forks, and sockets are handed on")


@pytest.fixture(scope="module")
def redis_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def standing(redis_of_all: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Standing]]:
    pace = Pace(tmp_path_factory.mktemp("pace") / "pace")
    variables = {"PACE": str(pace.path), "KINDE_REVOCATIONS_URL": redis_of_all.url, "FETCH_TIMEOUT": "60"}
    with fleet(SERVING, tmp_path_factory.mktemp("logs"), **variables) as servers:
        yield servers


def statuses(server: Standing, raw: str, times: int = 12) -> set[int]:
    """Each on a connection of its own, so that every process is asked."""
    headers = {"Authorization": f"Bearer {raw}"}
    return {httpx.get(f"{server.url}/users", headers=headers, timeout=LONG).status_code for _ in range(times)}


@pytest.mark.parametrize("name", SERVING)
def test_every_process_of_a_server_refuses_and_lets_in_again(
    standing: dict[str, Standing], redis_of_all: RedisServer, name: str
) -> None:
    server = standing[name]
    raw = server.issuer.m2m_token(scope="read:users")
    assert statuses(server, raw) == {200}
    tool = Revocations(redis_of_all.url).bind([server.issuer.url])
    until(lambda: len(tool.workers()) >= server.kind.workers)
    claims = server.issuer.m2m_claims(scope="read:users")
    entry = tool.revoke_client(str(claims["azp"]))
    until(lambda: not tool.reached().behind)
    assert statuses(server, raw) == {401}
    tool.lift(entry)
    until(lambda: not tool.reached().behind)
    assert statuses(server, raw) == {200}


WORKER = """
import sys
from kinde_guard.revocation import Revocations
from kinde_guard.revocation.entry import Marks
revocations = Revocations(sys.argv[1]).bind(["https://acme.kinde.com"])
revocations.load_behind()
for line in sys.stdin:
    marks = [Marks("", f"kp_{number}", None, None, None, 0.0) for number in range(int(line))]
    print(sum(revocations.copy.refusal(each) is not None for each in marks), flush=True)
"""


def test_no_process_misses_any(redis_server: RedisServer) -> None:
    command = [sys.executable, "-c", WORKER, redis_server.url]
    tool = Revocations(redis_server.url).bind([ISSUER])
    with running(command, cwd=ROOT) as one, running(command, cwd=ROOT) as two, running(command, cwd=ROOT) as three:
        until(lambda: len(tool.workers()) == 3)
        for number in range(300):
            tool.revoke_subject(f"kp_{number}")
        until(lambda: len(tool.reached().applied) == 3)
        for process in (one, two, three):
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("301\n")
            process.stdin.flush()
            assert process.stdout.readline() == "300\n"


def test_the_interpreter_ends_while_the_thread_waits(redis_server: RedisServer) -> None:
    code = (
        "import sys; from kinde_guard.revocation import Revocations;"
        "it = Revocations(sys.argv[1]).bind(['https://acme.kinde.com']);"
        "news = it.load_behind(); news and news.result(60);"
        "print(it.health().state)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, redis_server.url], capture_output=True, text=True, timeout=LONG, cwd=ROOT
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "fresh\n", "")


def test_the_thread_imports_nothing(redis_server: RedisServer) -> None:
    """A fork in the middle of an import leaves the child waiting for ever."""
    code = (
        "import sys; from kinde_guard.revocation import Revocations;"
        "it = Revocations(sys.argv[1]).bind(['https://acme.kinde.com']); before = set(sys.modules);"
        "news = it.load_behind(); news and news.result(60); it.revoke_subject('kp_1'); import time; time.sleep(1.2);"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, redis_server.url], capture_output=True, text=True, timeout=LONG, cwd=ROOT
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_forks_in_the_middle_of_waiting_for_news(redis_server: RedisServer) -> None:
    """Each child goes on from its parent's copy, in a thread of its own, and so does the parent."""
    revocations = Revocations(redis_server.url)
    guard = guard_of(Issuer(), revocations=revocations)
    revocations.bind([ISSUER])
    revocations.load_behind()
    until(lambda: revocations.health().state == "fresh")
    revocations.revoke_subject("kp_before")
    children = []
    for number in range(12):
        time.sleep(0.003 * number)
        child = fork()
        if child == 0:
            status = 1
            try:
                held = _refuses(revocations, "kp_before")
                guard.load_behind()
                until(lambda: _refuses(revocations, "kp_after"))
                status = 0 if held and revocations.health().state == "fresh" else 2
            finally:
                os._exit(status)
        children.append(child)
    tool = Revocations(redis_server.url).bind([ISSUER])
    until(lambda: len(tool.workers()) == 13)
    tool.revoke_subject("kp_after")
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 12
    until(lambda: _refuses(revocations, "kp_after"))
    revocations.close()


def _refuses(revocations: Revocations, subject: str) -> bool:
    return revocations.copy.refusal(Marks("", subject, None, None, None, 0.0)) is not None
