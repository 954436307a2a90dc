"""A peer in another process: one line of JSON asks, one answers, and CPU time is taken over there.

So slices of Node and of other Pythons take turns with slices of this process.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..measure import Run

LIMIT = 60  # seconds that a worker has to end


class Worker:
    """*command* with its settings as JSON; ``list``, ``check``, ``load`` and ``run`` are what it is asked."""

    def __init__(self, command: Sequence[str], settings: object) -> None:
        self._process = subprocess.Popen(
            [*command, json.dumps(settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._loaded: dict[int, tuple[str, Sequence[bytes]]] = {}

    def ask(self, **question: Any) -> Any:
        """The answer; raises :class:`ImportError` if the process has ended, as it does without its library."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._process.stdout.readline()
        if not line:
            raise ImportError(f"its process has ended ({self._process.wait(LIMIT)})")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def ways(self) -> list[InWorker]:
        """What it can measure."""
        return [InWorker(self, way["name"], way["remembers"]) for way in self.ask(do="list")["ways"]]

    def load(self, tokens: Sequence[bytes]) -> str:
        """Send *tokens*, each distinct one once; the name under which they are known over there."""
        if id(tokens) not in self._loaded:
            distinct = list(dict.fromkeys(tokens))
            numbers = {token: number for number, token in enumerate(distinct)}
            name = str(len(self._loaded))
            order = [numbers[token] for token in tokens]
            self.ask(do="load", set=name, tokens=[token.decode() for token in distinct], order=order)
            self._loaded[id(tokens)] = name, tokens  # held on to, so that the id stays its own
        return self._loaded[id(tokens)][0]

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@dataclass(frozen=True)
class InWorker:
    """A way of using a library over there."""

    worker: Worker
    name: str
    remembers: bool

    def accepts(self, token: str) -> bool:
        return bool(self.worker.ask(do="check", way=self.name, token=token)["accepted"])

    def runs(self, tokens: Sequence[bytes]) -> Run:
        known_as = self.worker.load(tokens)

        def run(first: int, count: int) -> float:
            answer = self.worker.ask(do="run", way=self.name, set=known_as, first=first, count=count)
            return float(answer["ns"]) / count / 1e9

        return run
