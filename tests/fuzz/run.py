"""Fuzz the package: ``python tests/fuzz/run.py [target …] [--seconds 10]``, with the dependency group ``fuzz``.

Each target has a process of its own. An exception that is no verdict ends it; the input is then in the folder that is
named, and ``--again FILE`` gives it to the target once more.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NAMES = ("bearer", "jws", "jwks", "settings", "verify", "signed", "changed")
MOST_BYTES = 20_000
MOST_MS = 20.0
"""The bound on the CPU time of an input, at the 99.9th percentile, with the coverage instrumentation in it."""


def main() -> int:
    arguments = _arguments()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: uv run --group fuzz python tests/fuzz/run.py", file=sys.stderr)
        return 2
    if arguments.child:
        return fuzz(arguments.targets[0], arguments.seconds, arguments.again)
    findings = [name for name in arguments.targets or NAMES if not _run(name, arguments)]
    print(f"findings in: {', '.join(findings)}" if findings else "no findings")
    return 1 if findings else 0


def fuzz(name: str, seconds: float, again: str | None) -> int:
    """Runs until the time is up; leaves with status 1 if inputs took too long, and with libFuzzer's at a finding."""
    atheris: Any = importlib.import_module("atheris")  # it has no type stubs, and need not be installed
    sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]
    with atheris.instrument_imports(include=["kinde_guard"]):
        targets = importlib.import_module("fuzz_targets")
    watch = targets.Watch()
    target = targets.TARGETS[name](watch)
    if again is not None:
        target(Path(again).read_bytes())
        return 0
    watch.times = watch.times[:0]  # what came before is making the guard
    folder = tempfile.mkdtemp(prefix=f"kinde-guard-fuzz-{name}-")
    for number, seed in enumerate(targets.seeds(name)):
        (Path(folder) / f"seed-{number}").write_bytes(seed)
    end, executions = time.monotonic() + seconds, 0

    def once(data: bytes) -> None:
        nonlocal executions
        target(data)
        executions += 1
        if time.monotonic() > end:
            sys.stdout.flush()
            os._exit(_report(name, executions, sorted(watch.times)))  # libFuzzer would not return to us

    options = [f"-artifact_prefix={folder}/", f"-max_len={MOST_BYTES}", "-timeout=5", "-verbosity=0"]
    # Not atheris.Mutate itself, which is another function once atheris.Fuzz has loaded libFuzzer.
    custom = targets.mutator(name, lambda data, most: atheris.Mutate(data, most))
    atheris.Setup([sys.argv[0], *options, folder], once, custom_mutator=custom)
    atheris.Fuzz()
    return 1


def _report(name: str, executions: int, times: list[int]) -> int:
    middle, high = (times[int(len(times) * part)] / 1e6 for part in (0.5, 0.999))
    print(
        f"{name}: {executions} executions, CPU time of a call: median {middle:.3f} ms, p99.9 {high:.3f} ms,"
        f" most {times[-1] / 1e6:.3f} ms",
        flush=True,
    )
    if high > MOST_MS:
        print(f"{name}: p99.9 is above {MOST_MS:.0f} ms", flush=True)
        return 1
    return 0


def _run(name: str, arguments: argparse.Namespace) -> bool:
    command = [sys.executable, __file__, "--child", "--seconds", str(arguments.seconds), name]
    if arguments.again:
        command += ["--again", arguments.again]
    return subprocess.run(command, check=False).returncode == 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fuzz the package with atheris.")
    parser.add_argument("targets", nargs="*", choices=(*NAMES, []), metavar="target", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seconds", type=float, default=10, help="for each target (10)")
    parser.add_argument("--again", metavar="FILE", help="give this input to the target, once")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
