"""``python -m benchmarks [verify hostile mix request serve start scale revocation api_keys adapters] [soak]
[--quick]``; the soak only if named.

Run where the peers are not installed it runs itself again with them, under ``uv run --isolated --group bench``, which
leaves the project's own environment alone. Without uv, or without a network, it says which peers there are not.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from . import chart, report
from .bench import Bench
from .measure import FULL, QUICK
from .report import Report
from .tokens import Site

NAMES = ("verify", "hostile", "mix", "request", "serve", "start", "scale", "revocation", "api_keys", "adapters")
SOAK = "soak"
AGAIN = "BENCHMARKS_RUN_AGAIN"
NEEDED = ("auth0_api_python", "authlib", "fastmcp", "httptools", "joserfc", "matplotlib", "oxyjwt", "uvloop")


def main(arguments: Sequence[str]) -> int:
    """Run, print, and keep the results under ``benchmarks/results``; the exit code."""
    options = _parser().parse_args(arguments)
    if not options.as_is and AGAIN not in os.environ:
        _run_again_with_peers(arguments)
    names = [name for name in (*NAMES, SOAK) if name in options.names] or list(NAMES)
    began, facts = time.monotonic(), report.machine()
    print(f"kinde_guard benchmarks, {'quick' if options.quick else 'full'}: {json.dumps(facts)}")
    with Site() as site:
        bench = Bench(site, QUICK if options.quick else FULL)
        reports = [_report(name, bench) for name in names]
        facts["not measured"] = dict(bench.found.missing) if "found" in bench.__dict__ else {}
    facts["seconds"] = round(time.monotonic() - began)
    print(report.summary(reports))
    for line in _kept("-".join(names) if options.names else "all", reports, facts):
        print(line)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="kinde_guard beside its peers.")
    nothing: list[str] = []  # argparse looks for the default, too, among the choices
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        choices=[*NAMES, SOAK, nothing],
        help=f"of {', '.join(NAMES)} (all of these if none is named), and {SOAK}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds: under a minute and a half, and less certain"
    )
    parser.add_argument("--as-is", action="store_true", help="measure the peers that are installed, and install none")
    return parser


def _report(name: str, bench: Bench) -> Report:
    result: Report = importlib.import_module(f".{name}", __package__).run(bench)
    bench.progress.clear()
    for table in result.tables:
        print(table, flush=True)
    return result


def _kept(name: str, reports: Sequence[Report], facts: dict[str, object]) -> list[str]:
    document, picture = (report.RESULTS / f"{name}{suffix}" for suffix in (".json", ".png"))
    report.save(document, reports, facts)
    problem = chart.draw(picture, reports)
    seen = f"no chart: {problem}" if problem else os.path.relpath(picture)
    return [f"took {facts['seconds']} s; {os.path.relpath(document)}, {seen}"]


def _run_again_with_peers(arguments: Sequence[str]) -> None:
    """Become this program in an environment that has the peers, if they are not in this one and uv can make it."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    uv = os.environ.get("UV") or shutil.which("uv")
    if not missing or uv is None:
        return
    print(f"not installed here: {', '.join(missing)}; asking uv for them", file=sys.stderr, flush=True)
    project = Path(__file__).parent.parent
    run = [uv, "run", "--isolated", "--group", "bench", "--project", str(project), "--python", sys.executable, "python"]
    if subprocess.run([*run, "-c", ""], stdout=sys.stderr).returncode:
        print("uv could not install them: going on without", file=sys.stderr, flush=True)
        return
    os.execve(uv, [*run, "-m", "benchmarks", *arguments], {**os.environ, AGAIN: "1"})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
