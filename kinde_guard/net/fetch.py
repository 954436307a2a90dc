"""One bounded HTTP exchange: no redirects, no cookies, no credentials of its own, no content-encoding, 512 KiB.

Used by the key store and by the client half, each in the thread of a :class:`~kinde_guard.net.flight.Flight`, which
also enforces the total time: the time-outs of a connection bound a single read, and a server that drips a byte a second
would never exceed them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import forks
from .attempt import Attempt
from .direct import Direct
from .exchange import CONNECT_TIMEOUT as CONNECT_TIMEOUT
from .exchange import MAX_BODY as MAX_BODY
from .exchange import TOTAL_TIMEOUT as TOTAL_TIMEOUT
from .exchange import FetchFailed as FetchFailed
from .exchange import HttpAnswer as HttpAnswer
from .exchange import one_line as one_line

if TYPE_CHECKING:
    import httpx

    from .tls import Authorities
    from .transports import OverTransport

# A connection is for one exchange: one that a pool had kept could not be watched from its beginning, and would be
# shared with a forked child.
_HEADERS = {"accept-encoding": "identity", "connection": "close", "user-agent": "kinde_guard"}


class Fetcher:
    """Makes exchanges, over *transport* (an ``httpx.BaseTransport``, or one of httpx2's) or over a new connection each.

    Whatever a fetch needs is loaded here, in the caller's thread: a process that forks while another thread is in the
    middle of an import leaves the child waiting for that import for ever. httpx is loaded where a transport is given,
    TLS unless *tls* says that no host is asked over https.
    """

    def __init__(self, transport: httpx.BaseTransport | None = None, *, tls: bool = True) -> None:
        with forks.steady:  # nor does another thread fork meanwhile
            self._way = Direct(tls) if transport is None else _over(transport)

    @property
    def authorities(self) -> Authorities | None:
        """Those that are trusted to vouch for a host; ``None`` where a transport decides, and without TLS."""
        return self._way.authorities

    def send(
        self, method: str, url: str, attempt: Attempt, *, headers: Mapping[str, str], body: bytes = b""
    ) -> HttpAnswer:
        """One request and its whole answer, or :class:`FetchFailed`; or :class:`.flight.Frozen`, if what went wrong may
        be owing to that."""
        try:
            answer = self._way.send(method, url, attempt, {**_HEADERS, **headers}, body)
        except FetchFailed:
            attempt.failed()
            raise
        if answer.status >= 400:  # such as 408, to half a request
            attempt.failed()
        return answer


def _over(transport: httpx.BaseTransport) -> OverTransport:
    from .transports import OverTransport

    return OverTransport(transport)
