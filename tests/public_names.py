"""The names that users import: for the tests of the reference, and of what ``help()`` says."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

import kinde_guard

PACKAGE = Path(kinde_guard.__file__).parent
PRIVATE = {"cli", "console", "keys", "net", "tokens", "web", "__main__"}
"""Folders and modules that nobody imports."""
ONLY = {
    "asgi": ("GuardMiddleware",),
    "wsgi": ("GuardMiddleware",),
    "guard": ("CacheStats", "Guard", "GuardSettings", "IssuerHealth"),
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
OF_ADAPTERS = tuple(f"adapters.{name}" for name in ("asgi_scope", "cors", "openapi", "wsgi_environ"))
"""Modules that adapters get from ``kinde_guard.adapters``, and nobody imports from where they are."""
INSIDE = {
    "AppGuard": "all_requirements check requirements_of start",
    "KindeGuardMiddleware": "async_capable process_exception sync_capable",
    "KindeProvider": "check gate_for offer operations_of",
    "Provider": "kinde_resource own_paths settings",
    "Tenant": "count_api_key_verification count_jwks_fetch count_token_request put_fault",
    "Unavailable": "what",
}
"""Members, by the class that has them, which are public among our files alone."""


def public_names(module: str) -> Iterator[str]:
    """What ``__all__`` lists; where there is none, the functions and classes that the module itself defines."""
    if module in ONLY:
        yield from ONLY[module]
        return
    found = module_named(module)
    if hasattr(found, "__all__"):
        yield from found.__all__
        return
    for name in dir(found):  # with what is loaded when it is asked for
        value = getattr(found, name)
        own = getattr(value, "__module__", "").startswith(found.__name__)
        if not name.startswith("_") and own and (inspect.isclass(value) or callable(value)):
            yield name


def module_named(module: str) -> Any:
    """The one that is imported as ``kinde_guard.…``; ``kinde_guard`` itself has no name."""
    outer, _, inner = module.partition(".")
    found = importlib.import_module(f"kinde_guard.{outer}" if outer else "kinde_guard")
    return getattr(found, inner) if inner else found


def public_members(kind: type) -> list[str]:
    """The members of ours that a public class has, inherited ones included: methods, properties, fields, and what
    ``__init__`` puts into an instance and explains."""
    found: dict[str, None] = {}
    for base in bases_of_ours(kind):
        names = [*vars(base), *inspect.get_annotations(base), *_explained_by_init(base)]
        found |= dict.fromkeys(name for name in names if not name.startswith("_"))
    return [name for name in found if name not in members_inside(kind)]


def members_inside(kind: type) -> set[str]:
    """Those of its members that are in INSIDE."""
    return {name for base in bases_of_ours(kind) for name in INSIDE.get(base.__name__, "").split()}


def bases_of_ours(kind: type) -> list[type]:
    """*kind* itself, and the classes of this package that it is made of."""
    return [base for base in kind.__mro__ if base.__module__.startswith("kinde_guard")]


def _explained_by_init(kind: type) -> Iterator[str]:
    """What ``__init__`` sets, with a string below that says what it is."""
    made = vars(kind).get("__init__")
    if inspect.isfunction(made) and not made.__code__.co_filename.startswith("<"):  # that of a dataclass
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(made)))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        for statement, after in itertools.pairwise(tree.body):
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                yield from (node.attr for node in ast.walk(statement) if _is_set(node))


def _is_set(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
