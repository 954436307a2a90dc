"""The tables as a picture. matplotlib is one of the peers' group, and there is no picture without it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from .report import Report, Table

OURS, OTHERS, NEUTRAL = "#0b6e4f", "#9aa5b1", "#3d4f60"
WIDE, ROW, AROUND = 6.5, 0.3, 1.4
"""Inches: on a page and on a phone the letters are as large as the text around them, or nearly so."""


def draw(path: Path, reports: Sequence[Report]) -> str:
    """Draw *reports* to *path*; the reason if there is nothing to see."""
    tables = [table for report in reports for table in report.tables if table.charted is not None]
    if not tables:
        return "none of the tables is for drawing"
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        return "matplotlib is not installed"
    matplotlib.use("agg")
    plots = importlib.import_module("matplotlib.pyplot")
    heights = [AROUND + ROW * len(_drawn(table)) for table in tables]
    figure, axes = plots.subplots(
        len(tables), 1, figsize=(WIDE, sum(heights)), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for place, table in zip(axes.flat, tables, strict=True):
        _draw(place, table)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plots.close(figure)
    return ""


def _draw(place: Any, table: Table) -> None:
    column = table.charted or 0
    rows = _drawn(table)
    names, lengths = [name for name, _ in rows], [length for _, length in rows]
    bars = place.barh(names, lengths, color=[_colour(name) for name in names])
    place.bar_label(bars, fmt="%.2f", padding=3, fontsize=11)
    place.set_xscale("log")
    place.xaxis.set_major_formatter("{x:g}")
    place.xaxis.set_minor_formatter("")
    place.margins(x=0.2)
    place.invert_yaxis()
    place.set_title(fill(table.title, 42), fontsize=12)
    place.set_xlabel(table.columns[column], fontsize=11)
    place.tick_params(labelsize=11)
    if table.bars and "x " in table.columns[column]:  # bars are ratios; what is drawn may be something else
        place.axvline(table.bars[0].limit, color="#c0392b", linestyle="--", linewidth=1)


def _drawn(table: Table) -> list[tuple[str, float]]:
    """The rows that have a length."""
    column = table.charted or 0
    return [(name, value) for name, values in table.rows if isinstance(value := values[column], float) and value > 0]


def _colour(name: str) -> str:
    if name.startswith("kinde_guard"):
        return OURS
    return NEUTRAL if name.startswith(("bare", "no-op", "cryptography", "python")) else OTHERS
