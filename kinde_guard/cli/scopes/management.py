"""An API and its scopes in Kinde, by the Management API.

docs.kinde.com/developer-tools/kinde-api/connect-to-kinde-api
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from ...m2m import ClientCredentials, TokenRequestFailed
from ...m2m.token_request import Application
from ...net import flight, joining
from ...net.attempt import Attempt
from ...net.fetch import TOTAL_TIMEOUT, Fetcher, FetchFailed, HttpAnswer, one_line

_TO_READ = ("read:apis", "read:api_scopes")
_TO_ADD = "create:api_scopes"


class ManagementFailed(Exception):
    """What Kinde does not answer, or refuses: a code for programs, a sentence for people, and whether another try may
    help."""

    def __init__(self, error: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.error = error
        self.message = message
        self.retryable = retryable


class KindeApi(NamedTuple):
    """An API as it is registered in Kinde."""

    id: str
    audience: str
    scopes: tuple[str, ...]


class ManagementApi:
    """The Management API of one domain, asked as a machine-to-machine application; *adds*: it adds scopes, too."""

    def __init__(self, app: Application, transport: httpx.BaseTransport | None, *, adds: bool) -> None:
        self._app = app
        self._wanted = [*_TO_READ, *([_TO_ADD] if adds else [])]
        self._credentials = ClientCredentials(
            app.issuer,
            client_id=app.client_id,
            client_secret=app.secret,
            audience=f"{app.issuer}/api",
            scopes=self._wanted,
            shared=False,
            transport=transport,
        )
        self._fetcher = Fetcher(transport, tls=app.issuer.startswith("https:"))

    def api(self, audience: str) -> KindeApi:
        """The API with that audience."""
        apis = [api for api in _members(self._ask("GET", "apis"), "apis") if isinstance(api.get("id"), str)]
        found = next((api for api in apis if api.get("audience") == audience), None)
        if found is None:
            known = ", ".join(str(api.get("audience")) for api in apis if not api.get("is_management_api"))
            raise ManagementFailed(
                "unknown_api",
                f"no API of {self._app.issuer} has the audience {audience!r} (there are: {known or 'none'}): register "
                "it in Kinde (Settings, APIs), or give another --audience",
            )
        scopes = _members(self._ask("GET", f"apis/{quote(found['id'], safe='')}/scopes"), "scopes")
        return KindeApi(found["id"], audience, tuple(str(scope["key"]) for scope in scopes if "key" in scope))

    def add(self, api: KindeApi, scope: str) -> None:
        """Give *api* one more scope."""
        self._ask("POST", f"apis/{quote(api.id, safe='')}/scopes", {"key": scope})

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        answer = self._answer(method, f"{self._app.issuer}/api/v1/{path}", body)
        if answer.status >= 400:
            raise self._failed(answer, method, path)
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise ManagementFailed("unexpected_answer", f"{self._app.issuer}/api/v1/{path} sent no JSON object")
        return document

    def _answer(self, method: str, url: str, body: dict[str, str] | None) -> HttpAnswer:
        """At most 5 s, whatever happens."""
        headers = {"accept": "application/json", "authorization": f"Bearer {self._token()}"}
        if body is not None:
            headers["content-type"] = "application/json"
        content = b"" if body is None else json.dumps(body).encode()
        landed: list[HttpAnswer | str] = []

        def land(answer: HttpAnswer | str) -> flight.Callback:
            landed.append(answer)
            return lambda: None

        call: flight.Flight[HttpAnswer | str] = flight.Flight(land, one_line, deadline=TOTAL_TIMEOUT)
        send = partial(self._send, method, url, headers, content)
        joining.join(call.start(send), TOTAL_TIMEOUT + 1)
        answer = landed[0] if landed else "no whole answer in time"
        if isinstance(answer, str):
            raise ManagementFailed("no_answer", f"no whole answer from {self._app.issuer}: {answer}", retryable=True)
        return answer

    def _send(self, method: str, url: str, headers: dict[str, str], body: bytes, attempt: Attempt) -> HttpAnswer | str:
        try:
            return self._fetcher.send(method, url, attempt, headers=headers, body=body)
        except FetchFailed as error:
            return str(error)

    def _token(self) -> str:
        try:
            return self._credentials.token()
        except TokenRequestFailed as failed:
            message = failed.message
            if failed.error in ("invalid_scope", "unauthorized_client"):
                message = (
                    f"application {self._app.client_id} may not look at the APIs of {self._app.issuer}: in Kinde, open "
                    "the application, then APIs, authorise it for the Kinde Management API, and switch on there "
                    f"{', '.join(self._wanted)} (Manage scopes)"
                )
            raise ManagementFailed(failed.error, message, retryable=failed.retryable) from None

    def _failed(self, answer: HttpAnswer, method: str, path: str) -> ManagementFailed:
        where = f"{self._app.issuer}/api/v1/{path}"
        if answer.status == 429 or answer.status >= 500:
            return ManagementFailed("no_answer", f"{where} answered {answer.status}: try again later", retryable=True)
        if method == "POST":
            return ManagementFailed(
                "not_added",
                f"Kinde does not add the scope ({where} answered {answer.status}): scopes of one's own need the Plus "
                "plan, and have 64 characters at most",
            )
        return ManagementFailed(
            "refused",
            f"{where} answered {answer.status}: see in Kinde that the application is authorised for the Kinde "
            f"Management API with {', '.join(self._wanted)}",
        )


def _members(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = document.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
