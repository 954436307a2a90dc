"""Keys over real sockets, as a user of the guard has them: an issuer that answers, hangs, breaks and comes back.

Callers come from threads, from asyncio and from trio; the clocks are passed in where a test is not about waiting.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from faults import Behaviour, Exchange, Server, after, answering, hanging, head, sending
from helpers import AUDIENCE, NOW, Time, averdict, b64, jwk, key_set, mint, rsa_key, verdict
from waiting import LONG, in_thread, running, settle, until

from kinde_guard import Guard, KeysUnavailable
from kinde_guard.keys import store
from kinde_guard.net.fetch import MAX_BODY

DAY = 86_400.0
WORLDS = pytest.mark.parametrize("world", ["thread", "asyncio", "trio"])


def guard_of(server: Server, time: Time | None = None) -> Guard:
    return Guard(server.url, audience=AUDIENCE, variables=(), clocks=(time or Time()).clocks)


def token(server: Server, kid: str = "a", number: int = 0) -> str:
    """A good one, for ten days; by *number* another one."""
    return mint({"iss": server.url, "jti": str(number), "exp": int(NOW + 10 * DAY)}, {"kid": kid})


def unknown(server: Server, number: int) -> str:
    """Good but for the signature, which nobody can look at: its kid is not published."""
    _, payload, _ = token(server).split(".")
    return ".".join([b64(f'{{"alg":"RS256","kid":"unknown {number}"}}'.encode()), payload, b64(b"x" * 256)])


def published(*kids: str) -> Behaviour:
    return answering(key_set(*(jwk({"kid": kid}) for kid in kids)))


def verdict_in(world: str, guard: Guard, raw: str) -> str:
    """One verdict, in a thread or in an event loop of its own."""
    if world == "thread":
        return verdict(guard, raw)
    if world == "trio":
        return str(trio.run(averdict, guard, raw))
    return asyncio.run(averdict(guard, raw))


def verdicts_in(world: str, guard: Guard, tokens: list[str]) -> list[str]:
    """One for each token, all at once: a thread each, or a task each in one event loop."""
    if world == "thread":
        with ThreadPoolExecutor(len(tokens)) as pool:
            return list(pool.map(partial(verdict, guard), tokens))
    verdicts: list[str] = []

    async def task(raw: str) -> None:
        verdicts.append(await averdict(guard, raw))

    async def tasks() -> None:
        await asyncio.gather(*map(task, tokens))

    async def trio_tasks() -> None:
        async with trio.open_nursery() as nursery:
            for raw in tokens:
                nursery.start_soon(task, raw)

    if world == "trio":
        trio.run(trio_tasks)
    else:
        asyncio.run(tasks())
    return verdicts


# How often the issuer is asked


@pytest.mark.parametrize(
    "worlds",
    [("thread",) * 200, ("asyncio",) * 200, ("trio",) * 200, ("thread",) * 80 + ("asyncio",) * 60 + ("trio",) * 60],
    ids=["threads", "asyncio", "trio", "all at once"],
)
def test_two_hundred_cold_callers_cost_one_fetch(worlds: tuple[str, ...]) -> None:
    """All of them are let in."""
    answer = threading.Event()
    with Server(after(answer, published("a"))) as server:
        guard, raw = guard_of(server), token(server)
        with ThreadPoolExecutor(3) as pool:
            each = [pool.submit(verdicts_in, w, guard, [raw] * n) for w, n in Counter(worlds).items()]
            assert server.asked.wait(LONG)
            answer.set()
            verdicts = [verdict for part in each for verdict in part.result(LONG)]
        assert verdicts == ["accepted"] * 200
        assert len(server.requests) == 1


@WORLDS
def test_a_thousand_unknown_kids_cost_one_fetch_each_half_minute(world: str) -> None:
    with Server(published("a")) as server:
        time = Time()
        guard, tokens = guard_of(server, time), [unknown(server, number) for number in range(1000)]
        assert verdict(guard, token(server)) == "accepted"
        for fetches in (2, 3):
            for start in range(0, 1000, 100):
                assert verdicts_in(world, guard, tokens[start : start + 100]) == ["unknown_key"] * 100
            assert verdict_in(world, guard, token(server)) == "accepted"
            assert len(server.requests) == fetches
            time.passes(30)


def test_callers_of_a_broken_issuer_cost_one_fetch_each_wait() -> None:
    """Without keys they are told at once to come back; with keys nobody notices."""
    with Server(answering(status=500)) as server:
        time = Time()
        guard, raw = guard_of(server, time), token(server)
        assert verdicts_in("thread", guard, [raw] * 50) == ["again in 1 s"] * 50
        assert len(server.requests) <= 2  # full jitter: the wait may have been next to nothing
        server.behave = published("a")
        time.passes(1)
        assert verdict(guard, raw) == "accepted"
        server.behave = answering(status=500)
        time.passes(600)
        requests = len(server.requests)
        tokens = [unknown(server, number) for number in range(50)]
        assert verdicts_in("thread", guard, tokens) == ["unknown_key"] * 50
        assert verdict(guard, token(server, number=1)) == "accepted"
        assert len(server.requests) <= requests + 2


# Who waits, and how long


@WORLDS
def test_a_known_key_is_used_while_the_issuer_hangs(world: str) -> None:
    """Its caller has the verdict before the fetch is over: the one for an unknown kid, and the one that is due."""
    with Server(published("a")) as server:
        time = Time()
        guard = guard_of(server, time)
        assert verdict(guard, token(server)) == "accepted"
        server.behave, server.asked = hanging, threading.Event()
        stranger = in_thread(lambda: verdict(guard, unknown(server, 1)))
        assert server.asked.wait(LONG)
        assert verdict_in(world, guard, token(server, number=1)) == "accepted"
        assert verdict_in(world, guard, token(server)) == "accepted"  # known itself, too
        assert stranger.is_alive()
        assert not server.deserted.is_set()
        server.over.set()  # the server hangs up
        stranger.join(LONG)
        settle(guard)

        server.over.clear()
        server.asked.clear()
        time.passes(600)
        assert verdict_in(world, guard, token(server, number=2)) == "accepted"
        assert server.asked.wait(LONG)
        assert verdict_in(world, guard, token(server, number=3)) == "accepted"
        assert not server.deserted.is_set()
        assert guard.health()[server.url].state == "stale"


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_an_event_loop_goes_on_while_a_task_waits(loop: str) -> None:
    answer = threading.Event()
    with Server(after(answer, published("a"))) as server:
        guard, raw = guard_of(server), token(server)

        async def other_work() -> None:
            sleep = trio.sleep if loop == "trio" else asyncio.sleep
            while not server.asked.is_set():
                await sleep(0.001)
            answer.set()  # never reached, were the loop waiting

        async def both() -> None:
            await asyncio.gather(guard.averify(raw), other_work())

        async def both_in_trio() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(guard.averify, raw)
                nursery.start_soon(other_work)

        if loop == "trio":
            trio.run(both_in_trio)
        else:
            asyncio.run(both())
        assert verdict(guard, raw) == "accepted"


# What becomes of a broken answer


def unbounded(exchange: Exchange) -> None:
    exchange.send(head())
    for _ in range(1000):  # 32 MiB: not for ever, in case nobody hangs up
        exchange.send(b" " * 0x8000)


BROKEN: dict[str, tuple[Behaviour, str]] = {
    "hangs up": (sending(b""), "RemoteProtocolError: Server disconnected"),
    "truncated": (sending(head(headers={"content-length": "900"}) + b"{"), "RemoteProtocolError: peer closed"),
    "oversized": (answering(b" " * (MAX_BODY + 1)), "the answer is larger than 512 KiB"),
    "oversized, without a length": (unbounded, "the answer is larger than 512 KiB"),
    "gzip": (answering(b"\x1f\x8b", headers={"content-encoding": "gzip"}), "the answer has a content-encoding"),
    "redirect": (answering(status=302, headers={"location": "/"}), "the issuer answered 302 (redirects are not"),
    "400": (answering(status=400), "the issuer answered 400"),
    "403": (answering(status=403), "the issuer answered 403 (a wrong region or subdomain answers 403)"),
    "429": (answering(status=429, headers={"retry-after": "20"}), "the issuer answered 429"),
    "500": (answering(status=500), "the issuer answered 500"),
    "HTML": (answering(b"<html>", headers={"content-type": "text/html"}), "the answer is not JSON"),
    "not UTF-8": (answering(b'{"keys": \xff}'), "the answer is not JSON"),
    "too deep": (answering(b'{"keys":' + b"[" * 200_000), "the answer is not JSON"),
    "wrong shape": (answering(b'{"keys": {}}'), "the answer is not a JWK Set"),
    "empty": (answering(b'{"keys": []}'), "no usable key in the set"),
    "private": (answering(key_set(jwk({"kid": "a", "d": "AQAB"}))), "no usable key in the set"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_takes_nothing_away(name: str) -> None:
    """Without keys there is no telling, and the first request after recovery and the wait is served; with keys nobody
    notices, until they run out a day later; and health says why."""
    behave, problem = BROKEN[name]
    with Server(behave) as server:
        time, cold_time = Time(), Time()
        cold, warm = guard_of(server, cold_time), guard_of(server, time)
        wait = 20 if name == "429" else 1
        assert verdict(cold, token(server)) == f"again in {wait} s"
        assert cold.health()[server.url].state == "never_loaded"
        assert cold.health()[server.url].problem.startswith(problem)

        server.behave = published("a")
        assert verdict(warm, token(server)) == "accepted"
        server.behave = behave
        for seconds, state in ((600, "stale"), (DAY - 601, "stale")):
            time.passes(seconds)
            assert verdict(warm, token(server)) == "accepted"
            settle(warm)
            assert warm.health()[server.url].state == state
            assert warm.health()[server.url].problem.startswith(problem)
        time.passes(1)
        assert verdict(warm, token(server)).startswith("again in ")

        server.behave = published("a")
        for guard, clock, seconds in ((cold, cold_time, wait), (warm, time, 30)):
            clock.passes(seconds)
            assert verdict(guard, token(server)) == "accepted"
            assert guard.health()[server.url].state == "fresh"
            assert guard.health()[server.url].problem == ""


@WORLDS
def test_the_app_starts_before_its_issuer(world: str) -> None:
    """Making a guard asks for nothing; warming it says what a request would be told."""
    with Server(sending(b"")) as server:
        time = Time()
        guard = guard_of(server, time)
        assert server.requests == []
        with pytest.raises(KeysUnavailable) as refusal:
            warm_in(world, guard)
        assert refusal.value.retry_after == 1
        assert verdict_in(world, guard, token(server)) == "again in 1 s"
        assert len(server.requests) == 1
        server.behave = published("a")
        time.passes(1)
        warm_in(world, guard)
        assert len(server.requests) == 2
        assert verdict_in(world, guard, token(server)) == "accepted"
        assert len(server.requests) == 2


def warm_in(world: str, guard: Guard) -> None:
    if world == "thread":
        guard.warm()
    elif world == "asyncio":
        asyncio.run(guard.awarm())
    else:
        trio.run(guard.awarm)


@WORLDS
def test_a_rotation_is_noticed(world: str) -> None:
    """A new key at its first token; an old one's end at the next refresh."""
    with Server(published("a")) as server:
        time = Time()
        guard = guard_of(server, time)
        assert verdict_in(world, guard, token(server, "a")) == "accepted"
        server.behave = published("a", "b")
        assert verdict_in(world, guard, token(server, "b")) == "accepted"
        assert verdict_in(world, guard, token(server, "a")) == "accepted"
        server.behave = published("b")
        time.passes(600)
        assert verdict_in(world, guard, token(server, "a")) == "accepted"  # this is what starts the refresh
        settle(guard)
        assert verdict_in(world, guard, token(server, "a")) == "unknown_key"
        assert verdict_in(world, guard, token(server, "b")) == "accepted"


def test_two_issuers_do_not_wait_for_each_other() -> None:
    """Each has its own keys, its own fetch and its own troubles."""
    with Server(published("a")) as good, Server(hanging) as bad:
        guard = Guard([good.url, bad.url], audience=AUDIENCE, variables=(), clocks=Time().clocks)
        stranded = in_thread(lambda: verdict(guard, token(bad)))
        assert bad.asked.wait(LONG)
        assert verdict(guard, token(good)) == "accepted"
        assert stranded.is_alive()
        forged = mint({"iss": good.url}, {"kid": "a"}, key=rsa_key("a stranger's"))
        assert verdict(guard, forged) == "bad_signature"
        bad.over.set()
        stranded.join(LONG)
        assert {url: health.state for url, health in guard.health().items()} == {
            good.url: "fresh",
            bad.url: "never_loaded",
        }


# The end of a process

LAST_REQUEST = """
import asyncio, sys
from kinde_guard.net import exchange

exchange.TOTAL_TIMEOUT = 1000  # before anything else is loaded

from kinde_guard import Guard

async def main():
    guard = Guard(sys.argv[1], audience=sys.argv[2])
    request = asyncio.create_task(guard.averify(sys.argv[3]))
    await asyncio.to_thread(sys.stdin.readline)
    request.cancel()

asyncio.run(main())
"""


def test_a_process_ends_while_a_fetch_is_under_way() -> None:
    """Without waiting for its end, and without a word: its loop is closed, its request was cancelled, its issuer
    hangs."""
    with Server(hanging) as server:
        command = [sys.executable, "-W", "error", "-c", LAST_REQUEST, server.url, AUDIENCE]
        raw = mint({"iss": server.url, "exp": int(time.time()) + 3600, "iat": int(time.time())})
        with running([*command, raw]) as process:
            assert server.asked.wait(LONG)
            assert process.communicate("go on\n", timeout=LONG) == ("", "")
        assert process.returncode == 0


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN])
def test_a_network_that_wants_a_proxy_is_told_of(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    """Where a proxy is named and a host cannot be reached, that is said beside it; its password is not."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "Name or service not known")

    for each in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for domain, variable, told in (
        ("acme.kinde.com", name, True),
        ("acme.kinde.com", "NO_PROXY", False),
        ("http://localhost:9400", name, False),  # nobody's network
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "http://someone:hush@proxy:3128")
            guard = Guard(domain, audience="a", variables=())
            with pytest.raises(KeysUnavailable):
                guard.warm()
        (health,) = guard.health().values()
        assert "Name or service not known" in health.problem
        assert (f"({name} is set, and no proxy is taken from the environment" in health.problem) is told
        assert "hush" not in health.problem


# Names that are not looked up, and many issuers


def test_while_a_name_is_looked_up_no_second_thread_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each deadline that passes would leave one more behind. Health says what hangs; and once the name is there, so are
    the keys."""
    hanging, resolve, asked = threading.Event(), socket.getaddrinfo, []

    def getaddrinfo(host: str, *args: object, **named: object) -> object:
        asked.append(host)
        assert hanging.wait(LONG)
        return resolve(host, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(store, "TOTAL_TIMEOUT", 0.1)
    with Server(published("a")) as server:
        url, clock = f"http://localhost:{server.port}", Time()
        guard = Guard(url, audience=AUDIENCE, variables=(), clocks=clock.clocks)
        raw = mint({"iss": url}, {"kid": "a"})
        before = set(threading.enumerate())
        for attempt in range(5):
            assert verdict(guard, raw).startswith("again in ")
            still = "still " if attempt else ""
            assert guard.health()[url].problem == (
                f"TimeoutError: no whole answer within 0.1 s: the look-up of localhost {still}hangs"
            )
            clock.passes(30)
        until(lambda: len(set(threading.enumerate()) - before) == 1)
        assert asked == ["localhost"]
        guard._stores[url]._flight._deadline = LONG
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(verdict, guard, raw)
            until(lambda: guard._stores[url]._flight.under_way is not None)
            hanging.set()
            assert waiting.result(LONG) == "accepted"
        assert guard.health()[url].problem == ""


@WORLDS
def test_four_hundred_issuers_are_loaded_by_few_threads(world: str) -> None:
    """Each has its keys in the end, and none is given up because it had to wait for its turn."""
    body, most, lock = key_set(jwk({"kid": "a"})), 0, threading.Lock()
    tasks = Path("/proc/self/task")

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal most
        with lock:
            most = max(most, threading.active_count(), len(list(tasks.iterdir())) if tasks.exists() else 0)
        threading.Event().wait(0.01)
        return httpx.Response(200, content=body)

    before = max(threading.active_count(), len(list(tasks.iterdir())) if tasks.exists() else 0)
    domains = [f"tenant-{number}.kinde.com" for number in range(400)]
    guard = Guard(domains, audience=AUDIENCE, variables=(), transport=httpx.MockTransport(answer))
    if world == "thread":
        guard.warm()
    elif world == "trio":
        trio.run(guard.awarm)
    else:
        asyncio.run(guard.awarm())
    assert {health.state for health in guard.health().values()} == {"fresh"}
    assert most - before <= 2 * 32 + 2  # each with the one that has it started, the watchdog, and a bit


# A process that is frozen in the middle of a fetch

FROZEN = """
import sys, time
from kinde_guard import Guard, InvalidToken, KeysUnavailable
from kinde_guard.keys import store
from kinde_guard.net import flight, joining
from kinde_guard.net.clocks import Clocks, ageing

store.TOTAL_TIMEOUT, flight.FREEZE, joining.FREEZE = 1.0, 0.5, 0.5
url, old, new = sys.argv[1:]
ahead = 0.0
guard = Guard(url, audience="https://api.example.com", variables=(),
              clocks=Clocks(wall=lambda: float(NOW), monotonic=lambda: ageing() + ahead))
guard.warm()
print("warm", flush=True)
sys.stdin.readline()
ahead = 600.0
guard.verify(old)  # and has the keys refreshed
sys.stdin.readline()
for _ in range(2):
    try:
        print(guard.verify(new).client_id is not None, flush=True)
        break
    except (InvalidToken, KeysUnavailable) as refusal:
        print(refusal, guard.health()[url].problem, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped here")
@pytest.mark.parametrize("cut", ["hangs", "is gone", "has answered before the rotation"])
@pytest.mark.parametrize("seconds", [0.8, 2.5], ids=["short", "beyond the deadline"])
def test_what_a_freeze_has_cut_is_no_failed_fetch(cut: str, seconds: float) -> None:
    """A function between two requests, a paused machine, a laptop: when it goes on, the key that was rotated meanwhile
    is found for the first token that it signed; if an answer has come that was good when it was given, for the second.
    """
    with Server(published("a")) as server:
        arguments = [server.url, token(server), token(server, "b")]
        script = FROZEN.replace("NOW", str(NOW)).replace("https://api.example.com", AUDIENCE)
        with running([sys.executable, "-c", script, *arguments]) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "warm\n"
            frozen = threading.Event()
            end = {"hangs": hanging, "is gone": sending(b""), "has answered before the rotation": published("a")}[cut]
            server.asked, server.behave = threading.Event(), after(frozen, end)
            process.stdin.write("refresh\n")
            process.stdin.flush()
            assert server.asked.wait(LONG)
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)  # until it stands still, which may take a moment
            server.behave = published("a", "b")
            frozen.set()
            time.sleep(seconds)
            process.send_signal(signal.SIGCONT)
            said, _ = process.communicate("now\n", timeout=LONG)
        refused = cut == "has answered before the rotation" and said.startswith("unknown_key \n")
        assert said == ("unknown_key \nTrue\n" if refused else "True\n")
