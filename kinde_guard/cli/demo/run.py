"""One run of the demo: a local Kinde and an API, both served on loopback, and a client that calls them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx

from ...guard import Guard
from ...issuer import LocalIssuer
from ...m2m import ClientCredentials, TokenEndpointUnavailable, TokenRequestFailed
from ...revocation import Revocations
from ..screen import Screen
from ..serving import listen, serving, url_of
from .api import protected_api
from .printing_transport import PrintingTransport

AUDIENCE = "https://api.example.com"
OTHER_AUDIENCE = "https://billing.example.com"
SCOPES = ("read:users", "write:flags")
_CODE = re.compile(r'error="(\w+)"')


@dataclass(frozen=True, slots=True)
class Result:
    """One question of the demo, the right answer and the one that came."""

    what: str
    expected: str
    seen: str

    @property
    def right(self) -> bool:
        return self.expected == self.seen


class ApiLogHandler(logging.Handler):
    """A handler of the API's log that shows each refusal, and remembers the reason of the last."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.INFO)
        self._screen = screen
        self.reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        reason = getattr(record, "reason", None)
        if reason is not None:
            self.reason = reason
            self._screen.line("API's log", f"{record.levelname} {record.getMessage()}", style="magenta")


class DemoRun:
    """One run of the demo: the local Kinde and the API that it serves, the client that calls them, each answer."""

    def __init__(self, screen: Screen, resources: ExitStack) -> None:
        self.screen = screen
        self.results: list[Result] = []
        self._resources = resources
        self._log = ApiLogHandler(screen)
        self._kinde_served = resources.enter_context(ExitStack())
        sock = self._kinde_served.enter_context(listen(0))
        self._port = sock.getsockname()[1]
        self.kinde = LocalIssuer(url_of(sock))
        self._kinde_served.enter_context(serving(self.kinde.asgi, sock))
        self.app = self.kinde.add_app("Nightly report")
        resources.enter_context(_listening_to_guards(self._log))
        self.api = self.serve_api("API")

    def serve_api(self, name: str, revocations: Revocations | None = None) -> httpx.Client:
        """Start an API with a guard of its own, whose keys are still to be fetched; a client for it."""
        transport = PrintingTransport(self.screen, name, "Kinde")
        guard = Guard(self.kinde.url, audience=AUDIENCE, transport=transport, revocations=revocations, variables=[{}])
        sock = self._resources.enter_context(listen(0))
        self._resources.enter_context(serving(protected_api(guard), sock))
        client = PrintingTransport(self.screen, "client", name)
        return self._resources.enter_context(httpx.Client(base_url=url_of(sock), transport=client, trust_env=False))

    @contextmanager
    def kinde_is_down(self) -> Iterator[None]:
        """The local Kinde's server stops, and comes back on the same port."""
        self._kinde_served.close()
        yield
        sock = self._kinde_served.enter_context(listen(self._port))
        self._kinde_served.enter_context(serving(self.kinde.asgi, sock))

    def get_token(self, what: str, expected: str = "a token", *, audience: str = AUDIENCE, scopes: str = "") -> str:
        """A token by client credentials; empty if there is none."""
        credentials = ClientCredentials(
            self.kinde.url,
            client_id=self.app.client_id,
            client_secret=self.app.client_secret,
            audience=audience,
            scopes=scopes or None,
            shared=False,
            transport=PrintingTransport(self.screen, "client", "Kinde"),
        )
        try:
            text, seen = credentials.token(), "a token"
        except TokenRequestFailed as failed:
            text, seen = "", "no answer" if isinstance(failed, TokenEndpointUnavailable) else failed.error
        self.note(what, expected, seen)
        return text

    def call(
        self, what: str, expected: str, request: str = "GET /users", *, token: str = "", api: httpx.Client | None = None
    ) -> int:
        """Send *request* to the API, with *token* if there is one, and note the answer. In how many seconds the same is
        to be tried again, if the answer says so."""
        method, path = request.split()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._log.reason = ""
        try:
            response = (api or self.api).request(method, path, headers=headers)
        except httpx.HTTPError:
            self.note(what, expected, "no answer")
            return 1
        self.note(what, expected, _seen(response, self._log.reason))
        return int(response.headers.get("Retry-After", 1))

    def note(self, what: str, expected: str, seen: str) -> None:
        """Keep it for the table at the end."""
        self.results.append(Result(what, expected, seen))


def _seen(response: httpx.Response, reason: str) -> str:
    """The status, the reason in the log, and the error code of the challenge if it does not go with these."""
    found = _CODE.search(response.headers.get("WWW-Authenticate", ""))
    code = found[1] if found else ""
    fits = code == ({401: "invalid_token", 403: "insufficient_scope"}.get(response.status_code, "") if reason else "")
    return f"{response.status_code} {reason}{'' if fits else f' with error={code}'}".strip()


@contextmanager
def _listening_to_guards(handler: logging.Handler) -> Iterator[None]:
    logger = logging.getLogger("kinde_guard")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
