"""A token on its way to somebody's API: from this process, to this machine alone, and not for long."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

import httpx
from markupsafe import Markup

from ..settings import is_loopback
from .decoded import pretty
from .forms import FieldError
from .state import Target

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
TIMEOUT = 5.0
MAX_BODY = 64 * 1024
WIDTH = 140
_DESCRIPTION = re.compile(r'error_description="([^"]*)"')
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 §2.1: what can be sent as one


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """What came back: nothing, if there is a *problem*."""

    status: int = 0
    phrase: str = ""
    milliseconds: float = 0.0
    challenge: str = ""
    headers: Mapping[str, str] | None = None
    body: str | Markup = ""
    note: str = ""
    """What the body does not show of itself."""
    problem: str = ""

    @property
    def summary(self) -> str:
        """The answer in a line."""
        if self.problem:
            return self.problem
        found = _DESCRIPTION.search(self.challenge)
        return f"{self.status} {self.phrase}{f': {found[1]}' if found else ''}"


def checked(target: Target) -> Target:
    """*target*, if a token may be sent there: an http or https URL of this machine."""
    if target.method not in METHODS:
        raise FieldError(f"the method must be one of {', '.join(METHODS)}", "method")
    try:
        url = httpx.URL(target.url if "://" in target.url else f"http://{target.url}")
        here = is_loopback(url.host) and (url.port is None or 0 < url.port < 65_536)
    except (httpx.InvalidURL, UnicodeError):  # the host is read when it is asked for
        raise FieldError("the address is not a URL", "url") from None
    if url.scheme not in ("http", "https") or not here or url.userinfo:
        raise FieldError(
            "the address must be an http or https URL of this machine, such as http://127.0.0.1:8000/users", "url"
        )
    return replace(target, url=str(url))


async def send(target: Target, token: str) -> ApiAnswer:
    """Send the request; it takes :data:`TIMEOUT` seconds at most, whatever the API does. Redirects are shown, not
    followed."""
    if not _TOKEN.fullmatch(token):
        return ApiAnswer(problem="it is not sent, as it has characters that no token has")
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _sent(target, token)
    except TimeoutError:
        return ApiAnswer(problem=f"the API has not given a whole answer within {TIMEOUT:g} s")
    except httpx.ConnectError as error:
        where = httpx.URL(target.url).netloc.decode("ascii")
        if _is_of_tls(error):
            return ApiAnswer(problem=f"the server at {where} does not speak TLS: try http instead of https")
        return ApiAnswer(problem=f"nobody answers at {where}: is the API running?")
    except httpx.RemoteProtocolError:
        other = ": if it wants TLS, write https" if target.url.startswith("http:") else ""
        return ApiAnswer(problem=f"the server hung up, or it does not speak HTTP{other}")
    except httpx.HTTPError as error:
        return ApiAnswer(problem=f"the API gave no answer ({type(error).__name__})")


async def _sent(target: Target, token: str) -> ApiAnswer:
    headers = {"authorization": f"Bearer {token}", "accept-encoding": "identity", "user-agent": "kinde-guard-console"}
    if target.body:
        headers["content-type"] = "application/json"
    start = time.perf_counter()
    # No certificate is asked for: nobody but this machine can be at the other end, and development has what it has.
    client = httpx.AsyncClient(verify=False, trust_env=False, follow_redirects=False, timeout=TIMEOUT)  # noqa: S501
    request = client.stream(target.method, target.url, headers=headers, content=target.body or None)
    async with client, request as response:
        body = b""
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_BODY:
                break
    return _read(response, body, time.perf_counter() - start)


def _is_of_tls(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None


def _read(response: httpx.Response, body: bytes, seconds: float) -> ApiAnswer:
    shown, note = _shown(response, body[:MAX_BODY])
    more = f"These are the first {MAX_BODY // 1024} KiB." if len(body) > MAX_BODY else ""
    return ApiAnswer(
        status=response.status_code,
        phrase=_phrase(response.status_code),
        milliseconds=seconds * 1000,
        challenge=", ".join(response.headers.get_list("www-authenticate")),
        headers=dict(response.headers),
        body=shown,
        note=" ".join(filter(None, [note, more])),
    )


def _shown(response: httpx.Response, body: bytes) -> tuple[str | Markup, str]:
    encoding = response.headers.get("content-encoding", "")
    if encoding:
        return "", f"The body is packed ({encoding}): {len(body)} bytes."
    try:
        text = body.decode("utf-8", "strict" if len(body) < MAX_BODY else "ignore")
    except UnicodeDecodeError:
        return "", f"The body is not text: {len(body)} bytes."
    try:
        return pretty(json.loads(text), width=WIDTH), ""
    except (ValueError, RecursionError):
        return text, "" if text else "The body is empty."


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
