"""What a benchmark says: tables, and bars that are met or not; printed, and kept as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .measure import Samples, Spread

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "auth0-api-python",
    "authlib",
    "cryptography",
    "fastapi",
    "fastmcp",
    "flask",
    "gunicorn",
    "joserfc",
    "oxyjwt",
    "pyjwt",
    "ryjwt",
    "starlette",
    "uvicorn",
)
Value = float | str | None


@dataclass(frozen=True, slots=True)
class Bar:
    """What has to be reached: at most *limit*, or at least."""

    what: str
    measured: float
    limit: float
    at_least: bool = False
    unit: str = "x bare verify"
    aim: float | None = None
    doubt: str = ""
    """Why the measurement says nothing either way; empty if it does."""

    @property
    def met(self) -> bool:
        return not self.doubt and self._reached

    @property
    def _reached(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        aim = "" if self.aim is None else f", aim {self.aim:.2f}"
        bound = f"{'≥' if self.at_least else '≤'} {self.limit:.3g}{aim}"
        verdict = "UNCLEAR" if self.doubt else "met    " if self.met else "NOT MET"
        doubt = f"; {self.doubt}" if self.doubt else ""
        return f"{verdict}  {self.what}: {self.measured:.3g} {self.unit} (bar {bound}){doubt}"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a name and a value for each of *columns*, the bars they are held to, and what has to be known of it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Value]]]
    bars: Sequence[Bar] = ()
    notes: Sequence[str] = ()
    charted: int | None = None
    """The column to draw."""

    def __str__(self) -> str:
        cells = [["", *self.columns], *([name, *map(_shown, values)] for name, values in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [f"\n## {self.title}", ""]
        for name, *values in cells:
            shown = [
                name.ljust(widths[0]),
                *(_padded(value, width) for value, width in zip(values, widths[1:], strict=True)),
            ]
            lines.append("  ".join(shown).rstrip())
        lines += ["", *map(str, self.bars), *self.notes]
        return "\n".join(lines).rstrip()


@dataclass(frozen=True, slots=True)
class Report:
    """The tables of one benchmark."""

    name: str
    tables: Sequence[Table] = field(default_factory=list)

    @property
    def bars(self) -> list[Bar]:
        return [bar for table in self.tables for bar in table.bars]


def ratio_rows(samples: Samples, base: str, notes: Mapping[str, str]) -> list[tuple[str, list[Value]]]:
    """For each case its multiple of *base* with quartiles, its microseconds, and a note; the cheapest first."""
    ratios = {name: samples.ratio(name, base) for name in samples.seconds}
    order = sorted(ratios, key=lambda name: ratios[name].median)
    return [(name, [*_figures(ratios[name]), samples.micros(name), notes.get(name, "")]) for name in order]


RATIO_COLUMNS = ("x bare", "quartiles", "CPU µs", "")


def _figures(ratio: Spread) -> list[Value]:
    return [ratio.median, f"{_shown(ratio.low)}-{_shown(ratio.high)}"]


def _shown(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _padded(value: str, width: int) -> str:
    numeric = value[:1].isdigit() or value == "-"
    return value.rjust(width) if numeric else value.ljust(width)


def summary(reports: Iterable[Report]) -> str:
    """Every bar once more."""
    bars = [(report.name, bar) for report in reports for bar in report.bars]
    met = sum(bar.met for _, bar in bars)
    lines = [f"{name:8} {bar}" for name, bar in bars]
    return "\n".join(["\n## Bars", "", *lines, "", f"{met} of {len(bars)} bars met"])


def save(path: Path, reports: Sequence[Report], facts: Mapping[str, Any]) -> None:
    """Everything as JSON."""
    bars = [{**asdict(bar), "met": bar.met, "benchmark": report.name} for report in reports for bar in report.bars]
    document = {**facts, "bars": bars, "reports": [asdict(report) for report in reports]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "packages": {name: installed for name in PACKAGES if (installed := _version(name))},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
