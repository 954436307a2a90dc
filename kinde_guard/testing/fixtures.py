"""The fixtures. What they need is imported when one of them is used, for pytest reads this file in every run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .. import AccessToken, Guard
    from ..issuer import LocalIssuer
    from .kinds import KindeApiKey, KindeCaller, KindeToken, KindeTrust


@pytest.fixture
def kinde_issuer() -> LocalIssuer:
    """A local Kinde for this test: ``.audience``, ``.rotate()``, ``.down = True``, ``.transport`` …"""
    from .tokens import local_issuer

    return local_issuer()


@pytest.fixture
def kinde_token(kinde_issuer: LocalIssuer) -> KindeToken:
    """``kinde_token(scope="read:users")``: the text of an access token by ``kinde_issuer``.

    With ``subject``, ``permissions``, ``roles`` or ``feature_flags`` it is a user's, else a machine-to-machine app's.
    Wrong ones by name: ``kinde_token(preset="expired")``.
    """
    from .tokens import mint

    def token(**options: Any) -> str:
        return mint(kinde_issuer, **options)

    return token


@pytest.fixture
def kinde_api_key(kinde_issuer: LocalIssuer) -> KindeApiKey:
    """``kinde_api_key(scope="read:users")``: the text of an API key by ``kinde_issuer``.

    With ``subject`` it is a user's, with ``org_code`` an organization's. ``kinde_issuer.revoke_api_key(key)`` ends it.
    """
    from .api_keys import mint_api_key

    def api_key(**options: Any) -> str:
        return mint_api_key(kinde_issuer, **options)

    return api_key


@pytest.fixture
def kinde_trust(kinde_issuer: LocalIssuer, _kinde_replaced: ExitStack) -> KindeTrust:
    """``kinde_trust(app)``: until the end of the test *app* trusts ``kinde_issuer``, and nobody else."""
    from .apps import trust

    def trusted(app: Any, **settings: Any) -> Guard:
        return _kinde_replaced.enter_context(trust(app, kinde_issuer, **settings))

    return trusted


@pytest.fixture
def kinde_caller(_kinde_replaced: ExitStack) -> KindeCaller:
    """``kinde_caller(app, scope="read:users")``: until the end of the test every request to *app* is this caller.

    No token, no keys; what routes demand is judged. Called again, it is another caller from then on.
    """
    from .apps import caller

    def called_by(app: Any, **options: Any) -> AccessToken:
        return _kinde_replaced.enter_context(caller(app, **options))

    return called_by


@pytest.fixture
def _kinde_replaced() -> Iterator[ExitStack]:
    """One pile for both: what was put in last is taken out first, in whichever order a test calls them."""
    with ExitStack() as replaced:
        yield replaced
