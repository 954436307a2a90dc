"""The site: built strictly, every public name in its reference, and nothing in it that is loaded from elsewhere."""

from __future__ import annotations

import importlib
import inspect
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django_project  # noqa: F401  # Ninja is not loaded without settings
import pytest

import kinde_guard

pytest.importorskip("sphinx", reason="the site is built by Sphinx: dependency group docs")
from sphinx.util.inventory import InventoryFile

pytest_plugins = ["built_site"]
PACKAGE = Path(kinde_guard.__file__).parent
PRIVATE = {"cli", "console", "keys", "net", "tokens", "web", "__main__"}
"""Folders and modules that nobody imports."""
ONLY = {
    "asgi": ("GuardMiddleware",),
    "wsgi": ("GuardMiddleware",),
    "guard": ("Guard", "GuardSettings"),
    "requirements": ("parse",),
    "settings": (),
    "ext_authz": ("Authorization", "served"),
}
"""Modules with more in them than users need: what these import from there."""
MODULES = sorted(
    path.stem
    for path in PACKAGE.iterdir()
    if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem not in {*PRIVATE, "__init__"}
)


@pytest.fixture(scope="module")
def documented(site: Path) -> set[str]:
    inventory = InventoryFile.loads(site.joinpath("objects.inv").read_bytes(), uri="")
    return {name for kind, names in inventory.data.items() if kind.startswith("py:") for name in names}


def _public_names(module: str) -> Iterator[str]:
    """What ``__all__`` lists; where there is none, what the module itself defines."""
    if module in ONLY:
        yield from ONLY[module]
        return
    found = importlib.import_module(f"kinde_guard.{module}")
    for name in getattr(found, "__all__", None) or vars(found):
        value = getattr(found, name)
        own = getattr(value, "__module__", "").startswith(found.__name__)
        if (
            not name.startswith("_")
            and (own or hasattr(found, "__all__"))
            and (inspect.isclass(value) or callable(value))
        ):
            yield name


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module: str, documented: set[str]) -> None:
    short = {name.rpartition(".")[2] for name in documented}
    assert [name for name in _public_names(module) if name not in short] == []


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
