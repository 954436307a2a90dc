"""The benchmarks run, say what they measured, and hold the peers to what they must refuse. No test looks at a time."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import clean_environment
from waiting import LONG

from benchmarks import __main__ as command
from benchmarks import apps, chart, mix, peers, report, serve, server, start
from benchmarks.bench import Bench
from benchmarks.measure import Case, Effort, Progress, Spread, interleave
from benchmarks.report import Bar, Report, Table
from benchmarks.tokens import USER_TOKEN, Site

TINY = Effort(
    name="tiny",
    rounds=2,
    calls=3,
    tokens=64,
    callers=10,
    requests=60,
    serve_runs=1,
    serve_seconds=1,
    starts=1,
    cached=(5, 10),
    keys=(1, 3),
    issuers=(1, 2),
    threads=(1, 2),
    thread_rounds=1,
    thread_calls=6,
    moments=2,
)
QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def bench(site: Site) -> Bench:
    return Bench(site, TINY, QUIET, alone=True)


@pytest.mark.parametrize("name", ["hostile", "mix", "request", "scale", "revocation", "api_keys"])
def test_each_benchmark_measures_what_is_there(bench: Bench, name: str) -> None:
    """Without peers there are figures of bare verify and of the guard, and bars that say met or not."""
    measure(bench, name)


def test_what_adapters_cost_is_measured_in_a_process_of_its_own() -> None:
    """The benchmark sets Django up, and has loggers keep silent, for whatever comes after it."""
    tests = Path(__file__).parent
    code = "import test_benchmarks; test_benchmarks.measure_alone('adapters')"
    path = {"PYTHONPATH": f"{tests}:{tests.parent}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean_environment() | path, capture_output=True, text=True, timeout=LONG
    )
    assert done.returncode == 0, done.stderr


def measure_alone(name: str) -> None:
    with Site() as site:
        measure(Bench(site, TINY, QUIET, alone=True), name)


def measure(bench: Bench, name: str) -> None:
    result: Report = importlib.import_module(f"benchmarks.{name}").run(bench)
    assert result.name == name
    for table in result.tables:
        assert table.rows or table.notes, table.title
        assert all(len(values) == len(table.columns) for _, values in table.rows)
        assert str(table)
    assert result.bars
    assert all("met" in str(bar).lower() or "UNCLEAR" in str(bar) for bar in result.bars)


def test_what_hostile_tokens_cost_is_measured_of_forged_ones(bench: Bench) -> None:
    """Of all sizes that a token may have, and none is let in; feature flags and permissions are never too many."""
    (table,) = importlib.import_module("benchmarks.hostile").run(bench).tables
    reasons = {name: values[-1] for name, values in table.rows}
    assert set(reasons.values()) == {"bad_signature", "malformed"}
    for name in ("a usual one", "1,400 permissions", "420 feature flags"):
        assert reasons[name] == "bad_signature"


def test_without_wrk_the_servers_are_skipped_in_words(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "Skipped: it needs Linux and wrk" in str(serve.run(bench).tables[0])


def test_a_server_serves_the_app_that_is_asked_for_and_ends(site: Site) -> None:
    """A process of its own, whose CPU time can be read; it has answered each of the tokens."""
    port = server.free_port()
    wanted = {"stack": "Starlette", "front": "kinde_guard", "jwks_url": site.jwks_url}
    wanted |= {"issuer": site.issuer.url, "audience": site.audience}
    with server.running(server.uvicorn(port), wanted, port, site.tokens("M2M", 2)) as running:
        assert running.cpu_seconds() > 0
    assert running.process.returncode is not None


def test_a_start_is_a_process_of_its_own(tmp_path: Path) -> None:
    """It reads the settings, and what goes wrong in it is shown."""
    with open(tmp_path / "errors", "w+b") as errors:
        starts = start.Starts('{"a": 1}', str(tmp_path), errors)
        assert all(figure > 0 for figure in starts.start(start.READ + "assert s['a'] == 1"))
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            starts.start("1 / 0")


def test_the_start_is_held_to_that_of_pyjwt() -> None:
    (bar,) = start._bars({start.OURS: [60.0, 1.0, 1.0], start.PYJWT: [80.0, 1.0, 1.0]})
    assert str(bar).startswith("met      from nothing to the first verified token: 0.75 x PyJWT + PyJWKClient (bar ≤ 1")
    assert not start._bars({start.OURS: [60.0, 1.0, 1.0]})


def test_what_every_start_runs_is_python() -> None:
    for _, code in [*start.IMPORTS.values(), *start.FIRST.values()]:
        compile(start.READ + code + start.MEMORY, "start", "exec")


@pytest.mark.parametrize("stack", apps.STACKS)
def test_apps_by_hand_let_in_and_refuse(site: Site, stack: str) -> None:
    """Each of them is an honest one: what is measured beside the guard checks tokens too."""
    from benchmarks.peers.pyjwt import with_key
    from benchmarks.request import asgi_requests, check, event_loop, wsgi_requests

    requests = wsgi_requests if stack == "Flask" else asgi_requests
    with event_loop() as loop:
        check(requests, apps.by_hand(stack, with_key(site)), loop, site, demands=True)
        check(requests, apps.nothing(stack), loop, site, demands=False)
        with pytest.raises(RuntimeError):
            check(requests, apps.nothing(stack), loop, site, demands=True)


def test_a_peer_is_marked_with_the_bad_tokens_it_accepts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyJWT, set up as here, accepts none of the everyday ones and some of the hostile ones; who only looks for dots
    accepts whatever has two."""
    careless = {"careless": peers.InProcess(lambda token: token.split(".")[2])}
    monkeypatch.setattr(peers, "MODULES", ("pyjwt", "joserfc"))
    monkeypatch.setattr("benchmarks.peers.joserfc.peers", lambda site: careless)
    found = peers.find(site)
    accepted = {peer.name: peer.wrongly_accepts for peer in found.peers}
    assert accepted == {"PyJWT decode": (), "PyJWT + PyJWKClient": (), "careless": tuple(site.bad())}
    assert not found.missing
    counted = {peer.name: peer.hostile_accepted for peer in found.peers}
    assert 0 < counted["PyJWT decode"] < counted["careless"] <= found.hostile == len(site.hostile())
    assert not any(peer.is_strict for peer in found.peers)
    assert found.peers[0].note == f"accepts: {counted['PyJWT decode']} hostile tokens"


def test_hostile_tokens_are_refused_by_the_guard(site: Site) -> None:
    guard = peers.InProcess(site.guard().verify)
    assert guard.accepts(site.m2m().decode())
    assert not any(map(guard.accepts, site.hostile()))
    assert len(site.hostile()) > 500


def test_a_peer_that_is_not_installed_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MODULES", ("authlib",))
    monkeypatch.setitem(sys.modules, "authlib.deprecate", None)
    found = peers.find(site)
    assert not found.peers
    assert found.missing["authlib"].startswith("not installed")


def test_tokens_are_of_the_sizes_they_are_said_to_have(site: Site) -> None:
    user = site.tokens("user", 1)[0]
    assert abs(len(user) - USER_TOKEN) <= 2
    assert len({*site.tokens("M2M", 20)}) == 20


def test_traffic_renews_every_token_once_and_favours_the_busy(site: Site) -> None:
    """Zipf: the first of ten callers asks more often than the last; nobody goes back to an old token."""
    before, after = mix.traffic(site, callers=10, requests=2_000, exponent=1.0)
    tokens = site.tokens("M2M", 20)
    assert set(before) == set(tokens[:10])
    assert set(after) == set(tokens)
    assert before.count(tokens[0]) > 3 * before.count(tokens[9])
    for old, new in zip(tokens[:10], tokens[10:], strict=True):
        seen = [token for token in after if token in (old, new)]
        assert seen == sorted(seen, key=[old, new].index)


def test_ratios_are_taken_within_rounds() -> None:
    """A machine that is ten times as slow in one round changes no ratio."""
    slow = iter([1, 10, 1, 1, 10, 1] * 2)
    spells: dict[int, float] = {}

    def run(cost: float) -> Any:
        return lambda first, count: cost * spells.setdefault(first, next(slow))

    samples = interleave([Case("base", run(2.0)), Case("other", run(6.0))], 5, 10, QUIET, "", even=False)
    assert samples.ratio("other", "base") == Spread(3.0, 3.0, 3.0)
    assert samples.added("other", "base", "base").median == 2.0


@pytest.mark.parametrize(
    ("bar", "met", "said"),
    [
        (Bar("a", 1.4, 1.5), True, "met      a: 1.4 x bare verify (bar ≤ 1.5)"),
        (Bar("a", 1.6, 1.5, aim=1.3), False, "NOT MET  a: 1.6 x bare verify (bar ≤ 1.5, aim 1.30)"),
        (Bar("a", 0.8, 0.7, at_least=True, unit="of one's"), True, "met      a: 0.8 of one's (bar ≥ 0.7)"),
        (
            Bar("a", 0.1, 0.2, doubt="a busy machine"),
            False,
            "UNCLEAR  a: 0.1 x bare verify (bar ≤ 0.2); a busy machine",
        ),
    ],
)
def test_a_bar_says_whether_it_is_met(bar: Bar, met: bool, said: str) -> None:
    assert bar.met is met
    assert str(bar) == said


def test_the_command_prints_and_keeps_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "QUICK", TINY)
    monkeypatch.setattr(peers, "MODULES", ("pyjwt",))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert command.main(["verify", "--quick", "--as-is"]) == 0
    printed = capsys.readouterr().out
    assert "PyJWT + PyJWKClient" in printed
    assert "bars met" in printed
    assert "no chart: matplotlib is not installed" in printed
    kept = json.loads((tmp_path / "verify.json").read_text())
    assert {bar["benchmark"] for bar in kept["bars"]} == {"verify"}
    assert kept["reports"][0]["tables"][0]["rows"]


def test_a_chart_needs_something_to_draw(tmp_path: Path) -> None:
    assert chart.draw(tmp_path / "a.png", [Report("a", [Table("a", [], [])])]) == "none of the tables is for drawing"
