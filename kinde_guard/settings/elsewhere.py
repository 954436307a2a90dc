"""How people who come from another library call a guard's settings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, TypeVar, cast

Init = TypeVar("Init", bound=Callable[..., None])

_HERE = {
    "issuer": "write domain=…",
    "issuers": "write domain=[…]",
    "issuer_url": "write domain=…",
    "kinde_domain": "write domain=…",
    "audiences": "write audience=[…]",
    "aud": "write audience=…",
    "jwks_uri": "write jwks_url=…",
    "jwk_set": "write jwks=…",
    "algorithm": "write algorithms=[…]; Kinde signs with RS256, and that is the default",
    "lifespan": "the issuer says how long its keys may be kept",
    "options": "there is no way to turn a check off",
    "verify": "there is no way to turn a check off",
    "verify_signature": "there is no way to turn a check off",
    "verify_aud": "there is no way to turn a check off",
    "verify_exp": "there is no way to turn a check off",
    "key": "there is no secret: the keys are fetched from the issuer",
    "secret": "there is no secret: the keys are fetched from the issuer",
    "client_secret": "there is no secret: the keys are fetched from the issuer",
}


def naming_its_settings(init: Init) -> Init:
    """*init*, which says how a setting is called here where it is given one that it does not know: a ``TypeError``."""
    code = cast(FunctionType, init).__code__
    known = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]

    @functools.wraps(init)
    def checking(self: object, *args: Any, **settings: Any) -> None:
        for name in settings:
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no setting {name!r}: {mend_of(name, known)}")
        init(self, *args, **settings)

    return cast(Init, checking)


def mend_of(name: str, known: Sequence[str]) -> str:
    """What to write in place of *name*, which is none of *known*."""
    from difflib import get_close_matches  # only here: where all is well it need not be loaded

    near = get_close_matches(name, known, 1)
    return _HERE.get(name) or (f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}")
