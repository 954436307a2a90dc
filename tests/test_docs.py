"""The site: built strictly, every public name in its reference, and nothing in it that is loaded from elsewhere."""

from __future__ import annotations

import inspect
import io
import pkgutil
import re
from pathlib import Path
from typing import Any

import django_project  # noqa: F401  # Ninja is not loaded without settings
import pytest
from public_names import MODULES, OF_ADAPTERS, bases_of_ours, members_inside, module_named, public_members, public_names

import kinde_guard

pytest.importorskip("sphinx", reason="the site is built by Sphinx: dependency group docs")
from sphinx.util.inventory import InventoryFile

pytest_plugins = ["built_site"]


@pytest.fixture(scope="module")
def documented(site: Path) -> set[str]:
    inventory = InventoryFile.loads(site.joinpath("objects.inv").read_bytes(), uri="")
    return {name for kind, names in inventory.data.items() if kind.startswith("py:") for name in names}


def _full(module: str, name: str) -> str:
    return ".".join(filter(None, ("kinde_guard", module, name)))


def _public() -> dict[str, Any]:
    """Every name that users import, in full, and what it stands for."""
    found = {
        _full(module, name): getattr(module_named(module), name)
        for module in ("", *MODULES, *OF_ADAPTERS)
        for name in public_names(module)
    }
    # The same type, spelt out so that webhooks are not loaded for it.
    return {**found, "kinde_guard.adapters.OnEvent": found["kinde_guard.webhooks.OnEvent"]}


PUBLIC = _public()


def _names_of(value: object) -> list[str]:
    """What is imported from several places has one entry."""
    return [name for name, other in PUBLIC.items() if other is value]


@pytest.mark.parametrize("module", ["", *MODULES, *OF_ADAPTERS])
def test_every_public_name_is_in_the_reference(module: str, documented: set[str]) -> None:
    """By the full name that it is imported by."""
    names = [_full(module, name) for name in public_names(module)]
    assert [name for name in names if documented.isdisjoint(_names_of(PUBLIC[name]))] == []


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if inspect.isclass(value)])
def test_every_member_is_in_the_reference(name: str, documented: set[str]) -> None:
    """What comes from a base of ours is with that base, if that has an entry; else with the class itself."""
    places = [place for base in bases_of_ours(PUBLIC[name]) for place in _names_of(base)]
    members = public_members(PUBLIC[name])
    assert [member for member in members if documented.isdisjoint(f"{place}.{member}" for place in places)] == []


def test_what_our_own_files_alone_use_is_not_in_the_reference(documented: set[str]) -> None:
    classes = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
    inside = {f"{name}.{member}" for name, value in classes.items() for member in members_inside(value)}
    assert "kinde_guard.fastapi.KindeGuard.check" in inside
    assert inside & documented == set()


def test_what_is_in_the_reference_is_public(documented: set[str]) -> None:
    """It can be imported by the name that its entry has; and of functions and classes, it is one of those that are."""
    modules = {name for name in documented if inspect.ismodule(_imported(name))}
    members = {name for name in documented if name.rpartition(".")[0] in documented - modules}
    found = {name: _imported(name) for name in documented - modules - members}
    public = {id(value) for value in PUBLIC.values()}
    assert [name for name, value in found.items() if value is None] == []
    assert [
        name
        for name, value in found.items()
        if inspect.isroutine(value) or inspect.isclass(value)
        if id(value) not in public
    ] == []


def _imported(name: str) -> Any:
    """What has this full name; ``None`` if nothing has."""
    try:
        return pkgutil.resolve_name(name)
    except (AttributeError, ImportError):
        return None


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
