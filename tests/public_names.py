"""The names that users import: for the tests of the reference, and of what ``help()`` says."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import kinde_guard

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


def public_names(module: str) -> Iterator[str]:
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
