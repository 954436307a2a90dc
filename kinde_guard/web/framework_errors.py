"""Errors of ours that are exceptions of somebody else's as well: ``except`` and handlers find them as either. Pure."""

from __future__ import annotations

import functools
from typing import Any

from ..errors import KindeGuardError


def as_framework_error(error: KindeGuardError, base: type[Exception]) -> Any:
    """*error*, which is a *base* as well; that one's ``__init__`` has yet to be called."""
    return error.anew(_mixed(type(error), base))  # type: ignore[arg-type]  # a class can be hashed


@functools.cache
def _mixed(kind: type[KindeGuardError], base: type[Exception]) -> type[KindeGuardError]:
    return type(kind.__name__, (kind, base), {"__module__": kind.__module__})
