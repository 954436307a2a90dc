"""The site: built strictly, every public name in its reference, and nothing in it that is loaded from elsewhere."""

from __future__ import annotations

import inspect
import io
import re
from pathlib import Path
from typing import Any

import django_project  # noqa: F401  # Ninja is not loaded without settings
import pytest
from public_names import MODULES, public_names

import kinde_guard

pytest.importorskip("sphinx", reason="the site is built by Sphinx: dependency group docs")
from sphinx.util.inventory import InventoryFile

pytest_plugins = ["built_site"]


@pytest.fixture(scope="module")
def documented(site: Path) -> set[str]:
    inventory = InventoryFile.loads(site.joinpath("objects.inv").read_bytes(), uri="")
    return {name for kind, names in inventory.data.items() if kind.startswith("py:") for name in names}


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module: str, documented: set[str]) -> None:
    short = {name.rpartition(".")[2] for name in documented}
    assert [name for name in public_names(module) if name not in short] == []


@pytest.mark.parametrize("name", kinde_guard.__all__)
def test_every_first_name_says_what_it_is(name: str) -> None:
    value: Any = getattr(kinde_guard, name)
    assert inspect.getdoc(value)


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """The site works without a network: pages, fonts, styles, the search."""
    loading = re.compile(
        r"""<(?:script|link|img|iframe)[^>]*?(?:src|href)=["']?(https?:)?//|@import|url\(["']?https?:"""
    )
    files = [path for kind in ("*.html", "*.css") for path in site.rglob(kind)]
    assert len(files) > 20
    assert [path.name for path in files if loading.search(path.read_text(encoding="utf-8"))] == []


def test_a_package_index_shows_the_whole_readme() -> None:
    """By the renderer that indexes use, which drops what it does not trust: no warning, nothing lost, no dead link."""
    markdown = pytest.importorskip("readme_renderer.markdown", reason="dependency group docs")
    text, said = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8"), io.StringIO()
    shown = markdown.render(text, stream=said)
    assert said.getvalue() == ""
    assert shown.count("<pre") == text.count("```") // 2
    assert shown.count("<table>") == len(re.findall(r"^\|[-|]+\|$", text, re.MULTILINE))
    assert re.findall(r"<h2[^>]*>([^<]+)", shown) == re.findall(r"^## (.+)$", text, re.MULTILINE)
    links = re.findall(r'(?:href|src)="([^"]+)"', shown)
    assert "https://kinde.com" in links
    assert [link for link in links if not link.startswith("https://") and f'id="{link[1:]}"' not in shown] == []
