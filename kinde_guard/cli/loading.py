"""Getting at an app by its name, as servers do, without any settings."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from ..errors import ConfigurationError

_DOMAINS = ("KINDE_DOMAIN", "KINDE_ISSUER_URL", "KINDE_HOST")


def load(name: str) -> tuple[Any, Any]:
    """The module and the app in it that *name* says: ``module:app``, ``module:create_app()``. What the module prints
    goes to stderr."""
    module_name, _, attribute = name.partition(":")
    module_name = module_name.removesuffix(".py").strip("./").replace("/", ".")
    if not module_name or not attribute:
        raise ConfigurationError(f"name the app as module:app, such as api:app, and not as {name!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    with contextlib.redirect_stdout(sys.stderr), _any_settings():
        module = _module(module_name)
        return module, _found(module, attribute)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{name}.".startswith(f"{missing.name}."):
            raise  # it is there, and needs one that is not
        raise ConfigurationError(f"there is no module {missing.name!r} in this directory or environment") from None


def _found(module: Any, attribute: str) -> Any:
    found = module
    for part in attribute.removesuffix("()").split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"{module.__name__} has no {attribute!r}: name the app in it, such as app")
        found = getattr(found, part)
    return found() if attribute.endswith("()") else found


@contextlib.contextmanager
def _any_settings() -> Iterator[None]:
    """Some apps read their settings when they are made. Which ones does not matter here, where none are used."""
    missing = {} if any(map(os.environ.get, _DOMAINS)) else {"KINDE_DOMAIN": "no-settings.invalid"}
    if not os.environ.get("KINDE_AUDIENCE"):
        missing["KINDE_AUDIENCE"] = "https://no-settings.invalid/audience"
    before = {name: os.environ.get(name) for name in missing}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
