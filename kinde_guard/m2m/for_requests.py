"""The token on the requests of ``requests``: the library is imported here alone, and only when it is asked for."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

try:
    from requests import PreparedRequest, Response
    from requests.auth import AuthBase
except ModuleNotFoundError as missing:
    raise ImportError("RequestsAuth needs requests: pip install requests", name=missing.name) from missing

from .client import ClientCredentials
from .holder import Sent
from .origins import Origin, origin
from .token_request import Held

_IN_MEMORY = (bytes, str, type(None))  # what a request has made of its body; files and generators are read once
_NOWHERE = Origin("", "")


class RequestsAuth(AuthBase):
    """An ``auth=`` for ``requests``: the token of *credentials*, by the same rules as with httpx.

    One for all sessions and threads. The token goes to https and to loopback or, with ``ClientCredentials(api=…)``, to
    that one origin; a redirect to another origin never takes it along. A 401 to a token older than 60 s is met once
    with another token, where the body is in memory (bytes, text, form, multipart; no file, no generator). Where there
    is no token, the request raises :class:`TokenRequestFailed` and is not sent.

    A ``PreparedRequest`` keeps the token that it was prepared with: prepare it when it is to be sent.
    """

    def __init__(self, credentials: ClientCredentials) -> None:
        self._holder = credentials.holder

    def __repr__(self) -> str:
        return f"<RequestsAuth {self._holder!r}>"

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Sign the request *r*, and look at its answer."""
        if self._holder.origins.carry(_origin_of(r.url)):
            held = self._holder.get()
            r.headers["Authorization"] = held.authorization
            r.register_hook("response", partial(self._answered, held))
        return r

    def _answered(self, held: Held, response: Response, **options: Any) -> Response:
        """A hook of requests: the answer, or that to the request sent once more. Redirects are followed with a copy of
        the request, this hook included."""
        other = self._holder.other_for(held, _sent(response))
        if other is not None:
            refused, response = response, _again(response, other, options)
            response.history.append(refused)
            self._holder.judge(other, response.status_code)
        if _leads_elsewhere(response):
            response.request.headers.pop("Authorization", None)
        return response


def _again(refused: Response, other: Held, options: dict[str, Any]) -> Response:
    """*refused* is closed unread: its body may have no end, and nobody has asked for it."""
    request = refused.request
    request.headers["Authorization"] = other.authorization
    refused.close()
    response: Response = refused.connection.send(request, **options)
    return response


def _sent(response: Response) -> Sent:
    request = response.request
    return Sent(
        response.status_code,
        _origin_of(request.url),
        request.headers.get("Authorization"),
        repeatable=isinstance(request.body, _IN_MEMORY),
    )


def _leads_elsewhere(response: Response) -> bool:
    """Whether it is a redirect to another origin. requests itself takes http to https at one host for the same."""
    return response.is_redirect and _origin_of(response.url, response.headers["Location"]) != _origin_of(response.url)


def _origin_of(url: str | None, location: str = "") -> Origin:
    """Read as requests reads it when it connects; what cannot be read is nowhere, which gets no token."""
    try:
        parts = urlsplit(urljoin(url or "", location))
        return origin(parts.scheme, parts.hostname or "", parts.port)
    except ValueError:
        return _NOWHERE
