"""What is written for maintainers is true: each file, folder and module that it names is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kinde_guard"
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md")
WINGS = sorted(found.name for found in PACKAGE.iterdir() if (found / "__init__.py").exists())


def _text(page: str) -> str:
    return ROOT.joinpath(page).read_text(encoding="utf-8")


def _rows() -> Iterator[tuple[str, str]]:
    """Each row of the table of wings: the wing, and what is said of it."""
    return iter(re.findall(r"^\| `(\w+)/` \| (.*) \|$", _text("ARCHITECTURE.md"), re.M))


def _paths() -> Iterator[Any]:
    for page in PAGES:
        for path in dict.fromkeys(
            re.findall(r"`(?:[^`]* )?((?:\.?\w+/)*\w+\.(?:py|md)|\.ci/run|(?:\w+/)+)`", _text(page))
        ):
            yield pytest.param(path, id=f"{page}: {path}")


@pytest.mark.parametrize("path", list(_paths()))
def test_every_path_is_there(path: str) -> None:
    within = (ROOT / path, PACKAGE / path, *(PACKAGE / wing / path for wing in WINGS))
    assert any(found.exists() for found in within)


def test_every_wing_has_a_row() -> None:
    assert sorted(wing for wing, _ in _rows()) == WINGS


@pytest.mark.parametrize(
    ("wing", "module"), [(wing, name) for wing, said in _rows() for name in re.findall(r"`(\w+)`", said)]
)
def test_every_module_of_a_wing_is_there(wing: str, module: str) -> None:
    assert (PACKAGE / wing / f"{module}.py").exists() or module == "kinde-guard"


@pytest.mark.parametrize(
    "module", sorted(set(re.findall(r"(?<![\w/])((?:web|tokens|keys|net)/\w+)", _text("ARCHITECTURE.md"))))
)
def test_every_room_on_a_way_is_there(module: str) -> None:
    assert (PACKAGE / f"{module}.py").exists()


@pytest.mark.parametrize("module", sorted(file.stem for file in PACKAGE.glob("[a-z]*.py")))
def test_what_stands_at_the_root_is_public_and_named(module: str) -> None:
    public = _text("ARCHITECTURE.md").partition("## What is public")[2].partition("\n## ")[0]
    assert f"`{module}`" in public


def test_what_is_public_is_what_the_reference_has() -> None:
    public, *_ = _text("ARCHITECTURE.md").partition("## What is public")[2].partition("\nEach has a page")
    pages = {page.stem for page in ROOT.joinpath("docs", "reference").glob("*.md")} - {"index", "kinde_guard"}
    assert set(re.findall(r"`(\w+)`", public)) == pages


def test_contributing_is_short() -> None:
    assert len(_text("CONTRIBUTING.md").splitlines()) <= 60
