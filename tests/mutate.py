"""Mutation tests: ``python tests/mutate.py [module …] [--seconds 600]``, with the dependency group ``mutation``.

Every module is mutated in a copy of the tree, one small change at a time, and its own test files are run against the
change. A change that no test notices is shown: it is a missing test, or makes no difference that could be tested.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = {
    "tokens/cache": ("tokens/test_cache.py",),
    "web/bearer": ("web/test_bearer.py",),
    "tokens/rules": ("tokens/test_rules.py",),
    "tokens/jws": ("tokens/test_jws.py",),
    "keys/key_set": ("keys/test_key_set.py", "keys/test_schedule.py", "keys/test_seeds.py"),
    "keys/seeding": ("keys/test_seeds.py",),
    "settings/seeds": ("keys/test_seeds.py", "cli/test_keys_command.py"),
    "guard": ("test_guard.py", "keys/test_bad_signatures.py", "test_events.py", "test_log_lines.py"),
    "keys/store": ("keys/test_store.py", "keys/test_schedule.py", "net/test_clocks.py"),
    "net/flight": ("net/test_flight.py",),
    "net/joining": ("net/test_flight.py",),
    "webhooks/reader": ("webhooks/test_webhook_reader.py",),
    "webhooks/receiver": ("webhooks/test_webhook_receiver.py",),
    "webhooks/ledger": ("webhooks/test_webhook_receiver.py",),
    "web/paths": ("web/test_paths.py",),
    "web/decorators": ("web/test_decorators.py", "web/test_misplaced.py"),
}
"""By module, as a path in the package without its ``.py``: the files that are to notice what is done to it."""
CONFIGURATION = """
[tool.mutmut]
source_paths = ["kinde_guard"]
only_mutate = ["kinde_guard/{module}.py"]
pytest_add_cli_args_test_selection = [{tests}]
pytest_add_cli_args = ["-n0", "-p", "no:cacheprovider"]
timeout_multiplier = 5.0
timeout_constant = 5.0
track_dependencies = false
use_git_change_detection = false
"""


def main() -> int:
    """How many modules have survivors is not the exit status: whether one matters is for people to say."""
    parser = argparse.ArgumentParser(description="Mutate a copy of the core, and see whether its tests notice.")
    parser.add_argument("modules", nargs="*", metavar="module", help=f"of {', '.join(TESTS)}; all if none is named")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="of the mutants' names, such as '*check_times*'")
    parser.add_argument("--seconds", type=float, default=600, help="at most so long for each module (600)")
    arguments = parser.parse_args()
    unknown = set(arguments.modules) - set(TESTS)
    if unknown:
        parser.error(f"no tests are listed for {', '.join(sorted(unknown))}: choose from {', '.join(TESTS)}")
    if importlib.util.find_spec("mutmut") is None:
        print("mutmut is not installed: uv run --group mutation python tests/mutate.py", file=sys.stderr)
        return 2
    os.nice(10)
    for module in arguments.modules or TESTS:
        with tempfile.TemporaryDirectory(prefix="kinde-guard-mutants-") as folder:
            mutate(module, Path(folder), arguments.only, arguments.seconds)
    return 0


def mutate(module: str, folder: Path, only: str, seconds: float) -> None:
    """Run the mutants of *module* in *folder*, and print how they fared."""
    copy(module, folder)
    # Not where all are meant: tests would then be named one by one, and some have names that pytest does not take back.
    names = () if only == "*" else (f"kinde_guard.{module.replace('/', '.')}.{only}",)
    start = time.monotonic()
    printed = bounded("run", "--max-children", "1", *names, folder=folder, seconds=seconds)
    verdicts = results(folder)
    if set(verdicts.values()) <= {"not checked"}:
        print(f"{module}: no mutant was run:\n{printed[-2000:]}", flush=True)
        return
    count = ", ".join(f"{number} {verdict}" for verdict, number in Counter(verdicts.values()).most_common())
    print(f"{module}: {len(verdicts)} mutants in {time.monotonic() - start:.0f} s: {count}", flush=True)
    wording = 0
    for name, verdict in verdicts.items():
        if verdict not in ("killed", "timeout", "not checked"):  # a change that makes a test hang is noticed
            shown = bounded("show", name, folder=folder)
            if is_wording(shown):
                wording += 1
            else:
                print(f"\n{shown}", flush=True)
    print(f"{module}: {wording} more that change the wording of a hint alone\n", flush=True)


def is_wording(diff: str) -> bool:
    """Whether *diff* does no more than shout, or put XX around, a text of several words: no test pins those down."""
    before, after = (
        "".join(line[1:] for line in diff.splitlines() if re.match(rf"{sign}(?!{sign})", line)) for sign in ("-", r"\+")
    )
    return before.casefold() == after.replace("XX", "").casefold() and re.search(r'"[^"]* [^"]*"', before) is not None


def copy(module: str, folder: Path) -> None:
    """What the tests of *module* need; only this copy is ever changed."""
    for name in ("kinde_guard", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    tests = ", ".join(f'"tests/{name}"' for name in TESTS[module])
    text = (ROOT / "pyproject.toml").read_text() + CONFIGURATION.format(module=module, tests=tests)
    (folder / "pyproject.toml").write_text(text)


def results(folder: Path) -> dict[str, str]:
    """By mutant: killed, survived, timeout, no tests, not checked, …"""
    lines = (line.strip().rpartition(": ") for line in bounded("results", "--all", "true", folder=folder).splitlines())
    return {name: verdict for name, colon, verdict in lines if colon and name.startswith("kinde_guard.")}


def bounded(*command: str, folder: Path, seconds: float = 60) -> str:
    """What mutmut prints, interrupted with all that it started after *seconds*; what it has found by then is kept."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mutmut", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


if __name__ == "__main__":
    raise SystemExit(main())
