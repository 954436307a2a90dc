"""What the tests of your own app need: an issuer, tokens and headers, and callers without cryptography.

Under pytest the fixtures are there without an import: ``kinde_issuer``, ``kinde_token``, ``kinde_api_key``,
``kinde_trust`` and ``kinde_caller``. Each is a thin caller of a function below, which unittest
(``self.enterContext(…)``) can use as well.

There are two ways to test a guarded app, neither of which needs a network, settings or a patch:

* ``trust(app, issuer)``: everything is real but the issuer, which lives in the test. Requests carry tokens.
* ``caller(app, scope="read:users")``: every request *is* this caller, and what the routes demand is judged.

pytest imports this file in every run of every project: it stays cheap, and the names are loaded when asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..hostile import assert_resists_hostile_tokens as assert_resists_hostile_tokens
    from ..issuer import LocalIssuer as LocalIssuer
    from .api_keys import api_keys_for as api_keys_for
    from .api_keys import mint_api_key as mint_api_key
    from .apps import caller as caller
    from .apps import trust as trust
    from .assertions import assert_no_unprotected_routes as assert_no_unprotected_routes
    from .assertions import assert_requires as assert_requires
    from .fastapi import as_caller as as_caller
    from .kinds import KindeApiKey as KindeApiKey
    from .kinds import KindeCaller as KindeCaller
    from .kinds import KindeToken as KindeToken
    from .kinds import KindeTrust as KindeTrust
    from .revoking import revoke as revoke
    from .tokens import caller_token as caller_token
    from .tokens import guard_for as guard_for
    from .tokens import headers as headers
    from .tokens import local_issuer as local_issuer
    from .tokens import mint as mint

pytest_plugins = ["kinde_guard.testing.fixtures"]

_HOME = {
    "KindeApiKey": "kinde_guard.testing.kinds",
    "KindeCaller": "kinde_guard.testing.kinds",
    "KindeToken": "kinde_guard.testing.kinds",
    "KindeTrust": "kinde_guard.testing.kinds",
    "LocalIssuer": "kinde_guard.issuer",
    "assert_no_unprotected_routes": "kinde_guard.testing.assertions",
    "assert_requires": "kinde_guard.testing.assertions",
    "api_keys_for": "kinde_guard.testing.api_keys",
    "as_caller": "kinde_guard.testing.fastapi",
    "assert_resists_hostile_tokens": "kinde_guard.hostile",
    "caller": "kinde_guard.testing.apps",
    "caller_token": "kinde_guard.testing.tokens",
    "guard_for": "kinde_guard.testing.tokens",
    "headers": "kinde_guard.testing.tokens",
    "local_issuer": "kinde_guard.testing.tokens",
    "mint": "kinde_guard.testing.tokens",
    "mint_api_key": "kinde_guard.testing.api_keys",
    "revoke": "kinde_guard.testing.revoking",
    "trust": "kinde_guard.testing.apps",
}
__all__ = sorted(_HOME)


# No __dir__: pytest asks its plugins for everything they list, and would load it all. Type checkers know the names from
# above, and would take this for a promise that whatever name is written exists.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
