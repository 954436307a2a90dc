"""Machine to machine: :class:`ClientCredentials` gets, holds and renews a token, and is an ``auth=`` for httpx.

:class:`RequestsAuth` and :func:`aiohttp_middleware` put the same token on the requests of other libraries; each of
these is imported when its name is asked for (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .client import ClientCredentials as ClientCredentials
from .token_request import TokenEndpointUnavailable as TokenEndpointUnavailable
from .token_request import TokenRefused as TokenRefused
from .token_request import TokenRequestFailed as TokenRequestFailed
from .token_request import TooManyTokenRequests as TooManyTokenRequests

if TYPE_CHECKING:
    from .for_aiohttp import aiohttp_middleware as aiohttp_middleware
    from .for_requests import RequestsAuth as RequestsAuth

_HOME = {"RequestsAuth": "for_requests", "aiohttp_middleware": "for_aiohttp"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
