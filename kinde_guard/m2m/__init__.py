"""Machine to machine: :class:`ClientCredentials` gets, holds and renews a token, and is an ``auth=`` for httpx."""

from __future__ import annotations

from .client import ClientCredentials as ClientCredentials
from .token_request import TokenEndpointUnavailable as TokenEndpointUnavailable
from .token_request import TokenRefused as TokenRefused
from .token_request import TokenRequestFailed as TokenRequestFailed
from .token_request import TooManyTokenRequests as TooManyTokenRequests
