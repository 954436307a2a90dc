"""The settings that are given to an adapter: a ready guard or what one is made of, never both, and nothing misspelt."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from ..errors import ConfigurationError
from ..guard import Guard
from ..settings.elsewhere import mend_of

Init = TypeVar("Init", bound=Callable[..., None])


def check_given(guard: Guard | None, settings: Mapping[str, object], adapter: Callable[..., object]) -> None:
    """Raise :class:`ConfigurationError` if both *guard* and *settings* are given to *adapter*, or a setting is
    misspelt."""
    known = _settings_of(Guard)
    for name in settings:
        if name not in known:
            raise ConfigurationError(_unknown(adapter, name, known | _settings_of(adapter)))
    if guard is not None and settings:
        raise ConfigurationError(
            f"guard= has its settings already: give either guard= or {', '.join(settings)}=, and not both"
        )


def guard_has_settings(init: Init) -> Init:
    """The ``__init__`` of an adapter, *init*, that takes a ready guard alone. It raises
    :class:`~kinde_guard.ConfigurationError` where it is given a setting of one, and says where that belongs."""
    known = _settings_of(init)

    @functools.wraps(init)
    def checking(self: object, *args: Any, **options: Any) -> None:
        name = next((name for name in options if name not in known), None)
        if name in _settings_of(Guard):
            word = type(self).__name__
            raise ConfigurationError(f"{name} is a setting of the guard: write {word}(app, Guard({name}=…))")
        if name is not None:
            raise ConfigurationError(_unknown(type(self), name, known))
        init(self, *args, **options)

    return cast(Init, checking)


def _settings_of(made: Callable[..., object]) -> set[str]:
    parameters = inspect.signature(made).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD} - {"self"}


def _unknown(adapter: Callable[..., object], name: str, known: set[str]) -> str:
    return f"{adapter.__name__} has no setting {name!r}: {mend_of(name, sorted(known - {'app'}))}"
