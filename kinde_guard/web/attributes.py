"""Looking at objects of others without waking them. Pure.

Start-up looks through whatever a route, a closure or a middleware holds: mocks and RPC clients, which have an answer
for every name; lazy settings, which are loaded when they are asked for anything; proxies for a request that is not
there yet, which raise. None of these is asked for what it does not have itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import GetSetDescriptorType
from typing import Any

_NONE: Mapping[str, Any] = {}


def own(thing: Any) -> Mapping[str, Any]:
    """What *thing* keeps itself, as it is now; nothing where its class works that out, as a proxy's does."""
    for kind in type(thing).__mro__:
        where = vars(kind).get("__dict__")
        if where is not None:
            # What Python has made for the class; another thread may be at work on the object.
            return dict(where.__get__(thing)) if isinstance(where, GetSetDescriptorType) else _NONE
    return _NONE


def named(thing: Any, name: str) -> Any:
    """What *thing* has by this *name*, ``None`` if nothing: its class is not asked to make something up."""
    if makes_up(thing) and not any(name in vars(kind) for kind in type(thing).__mro__):
        return own(thing).get(name)
    return asked(thing, name)


def asked(thing: Any, name: str) -> Any:
    """What *thing* says that it has by this *name*; ``None`` also if it raises."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def makes_up(thing: Any) -> bool:
    """Whether it has attributes that nobody has given it."""
    return hasattr(type(thing), "__getattr__")
