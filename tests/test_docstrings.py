"""What ``help()`` and an editor show of a public name: what it is, its options, their units, and what it raises."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import pydoc
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import django_project  # noqa: F401  # Ninja is not loaded without settings
import pytest
from public_names import MODULES, PACKAGE, public_names

import kinde_guard
from kinde_guard import errors
from kinde_guard.tokens.access_token import AccessToken

ERRORS = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
EXAMPLES = {
    "kinde_guard": [name for name in kinde_guard.__all__ if name not in ("Caller", "KindeGuardError")],
    "kinde_guard.asgi": ["GuardMiddleware"],
    "kinde_guard.wsgi": ["GuardMiddleware"],
    "kinde_guard.fastapi": ["KindeGuard", "requires_scope", "requires_org", "requires", "docs_paths", "access_token"],
    "kinde_guard.flask": ["KindeGuard", "requires_permission", "requires_role"],
    "kinde_guard.starlette": ["KindeGuard", "KindeBackend"],
    "kinde_guard.mcp": ["KindeGuard"],
    "kinde_guard.m2m": ["ClientCredentials"],
    "kinde_guard.issuer": ["LocalIssuer"],
    "kinde_guard.revocation": ["Revocations"],
    "kinde_guard.requirements": ["parse"],
    "kinde_guard.testing": ["caller", "trust", "mint", "headers"],
    "kinde_guard.webhooks": ["WebhookReader", "WebhookReceiver"],
}
"""Names whose docstring shows how they are used."""


class Documented(NamedTuple):
    """A public function or class, or a method of one, and all that is said of it where somebody looks it up."""

    name: str
    value: Any
    text: str

    @property
    def parameters(self) -> Iterator[inspect.Parameter]:
        with contextlib.suppress(TypeError, ValueError):  # a property, or what is made by C
            yield from inspect.signature(self.value).parameters.values()


def _all() -> Iterator[Documented]:
    seen: set[int] = set()
    names = [("", name) for name in kinde_guard.__all__]
    names += [(f".{module}", name) for module in MODULES for name in public_names(module)]
    for module, name in names:
        value = getattr(importlib.import_module(f"kinde_guard{module}"), name)
        if id(value) not in seen and (inspect.isclass(value) or inspect.isroutine(value)):
            seen.add(id(value))
            own = value.__doc__ if not inspect.isclass(value) else vars(value).get("__doc__")
            yield Documented(f"{module}.{name}".lstrip("."), value, own or "")
            if inspect.isclass(value):
                yield from _methods(f"{module}.{name}".lstrip("."), value)


def _methods(name: str, value: Any) -> Iterator[Documented]:
    for member, found in vars(value).items():
        function = getattr(found, "__func__", found)
        if not member.startswith("_") and isinstance(function, property) | inspect.isfunction(function):
            yield Documented(f"{name}.{member}", function, inspect.getdoc(getattr(value, member)) or "")


ALL = list(_all())


def _is_made_of_fields(value: Any) -> bool:
    return inspect.isclass(value) and (hasattr(value, "__dataclass_fields__") or issubclass(value, tuple))


def _named(text: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def test_each_says_what_it_is() -> None:
    assert len(ALL) > 400
    made_up = [each.name for each in ALL if each.text.startswith(f"{each.name.rpartition('.')[2]}(")]
    assert [each.name for each in ALL if not each.text] + made_up == []


def test_each_names_its_options() -> None:
    """What is given by name is explained by name. A value's fields are explained where they stand."""
    assert [
        f"{each.name}({parameter.name}=)"
        for each in ALL
        if not _is_made_of_fields(each.value) and not each.text.startswith(":meth:")
        for parameter in each.parameters
        if parameter.kind is parameter.KEYWORD_ONLY and not _named(each.text, parameter.name)
    ] == []


def test_each_says_its_units() -> None:
    assert [
        f"{each.name}({parameter.name})"
        for each in ALL
        if not _is_made_of_fields(each.value) and not each.text.startswith(":meth:")
        for parameter in each.parameters
        if re.search(r"\bfloat\b", str(parameter.annotation)) and not re.search(r"second|\d s\b", each.text)
    ] == []


def _raised_by(value: Any) -> set[str]:
    """What the function itself raises, or the ``__init__`` of a class."""
    if inspect.isclass(value):
        value = vars(value).get("__init__")
    value = value.fget if isinstance(value, property) else value
    if not inspect.isfunction(value) or value.__code__.co_filename.startswith("<"):  # that of a dataclass
        return set()
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(value))))
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    return {each.func.id for each in raised if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)} & ERRORS


def test_each_says_what_it_raises() -> None:
    assert [
        f"{each.name}: {error}"
        for each in ALL
        for error in sorted(_raised_by(each.value))
        if not _named(each.text, error) and not each.text.startswith(":meth:")
    ] == []


@pytest.mark.parametrize(("module", "name"), [(module, name) for module in EXAMPLES for name in EXAMPLES[module]])
def test_it_is_shown_how_it_is_used(module: str, name: str) -> None:
    text = inspect.getdoc(getattr(importlib.import_module(module), name)) or ""
    assert re.search(rf"::\n|``[^`]*{name}\(|``[^`]*{name}\b[^`]*\b", text), text


def test_the_attributes_of_a_token_are_explained_where_they_stand() -> None:
    """A string below each: where Sphinx, pyright and PyCharm look for it."""
    tree = ast.parse(inspect.getsource(AccessToken)).body[0]
    assert isinstance(tree, ast.ClassDef)
    explained = {
        before.target.id: after.value.value
        for before, after in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    }
    assert {name for name in AccessToken.__slots__ if not name.startswith("_")} <= set(explained)
    for name in ("issued_at", "expires_at"):
        assert "Seconds" in str(explained[name])


def _constants(path: Path) -> Iterator[tuple[str, bool]]:
    """Public names that a module assigns, and whether a string below says what they are."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for statement, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign | ast.Assign):
            target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
            if isinstance(target, ast.Name) and not target.id.startswith("_"):
                yield target.id, isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("", "machine user"),
        (".fastapi", "Token OptionalToken TokenOrNone access_token optional_access_token access_token_or_none"),
        *((f".{module}", "requires_auth") for module in ("django", "fastapi", "flask", "mcp", "starlette")),
    ],
)
def test_help_is_about_the_value_and_not_about_its_class(module: str, names: str) -> None:
    for name in names.split():
        value = getattr(importlib.import_module(f"kinde_guard{module}"), name)
        text = inspect.getdoc(value) or ""
        assert text != inspect.getdoc(type(value))
        shown = pydoc.plain(pydoc.render_doc(value))
        assert " ".join(text.split()) in " ".join(shown.split())
        assert "Method resolution order" not in shown


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("fastapi.py", ["Token", "OptionalToken", "TokenOrNone", "access_token"]),
        ("flask.py", ["current_token"]),
        ("requirements/values.py", ["machine", "user"]),
    ],
)
def test_values_are_explained_where_an_editor_looks(file: str, names: list[str]) -> None:
    found = dict(_constants(PACKAGE / file))
    assert [name for name in names if not found.get(name)] == []
