"""Ways to send a case: an httpx client or a Starlette test client, a Flask test client, or a socket to a URL.

Each is asked to send exactly the bytes of the case. Where a client refuses to, an attacker with another one would not
get further either: servers refuse such headers too.
"""

from __future__ import annotations

import http.client
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..routes.layers import is_a
from .cases import Benign, Hostile, Pairs

TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer; or, with status 0, what happened instead of one."""

    status: int
    headers: Pairs
    body: bytes = b""

    @property
    def challenges(self) -> list[str]:
        """The values of its WWW-Authenticate headers."""
        return [value for name, value in self.headers if name.lower() == "www-authenticate"]


class NotSendable(Exception):
    """The client would not send this."""


Ask = Callable[[Hostile | Benign], Seen]
_Send = Callable[[str, str, Pairs, bytes], Seen]


@contextmanager
def asking(client: Any, path: str, method: str) -> Iterator[Ask]:
    """A function that sends a case to *path* of *client*'s app."""
    send = _sender(client)

    def ask(case: Hostile | Benign) -> Seen:
        if isinstance(case, Benign):
            return send(method, path, case.headers, b"")
        target = f"{path}{'&' if '?' in path else '?'}{case.query}" if case.query else path
        return send(case.method or method, target, case.headers, case.body)

    with _one_event_loop(client):
        yield ask


def takes_api_keys(client: Any) -> bool:
    """Whether *client*'s app takes Kinde's API keys, as far as that can be seen from here."""
    guards = (getattr(found, "guard", None) for found in _guarded_by(client))
    return any(getattr(guard, "api_keys", None) is not None for guard in guards)


def webhook_path_of(client: Any) -> str | None:
    """The path that *client*'s app takes webhooks at, as far as that can be seen from here."""
    for found in _guarded_by(client):
        path = getattr(getattr(found, "webhooks", None), "path", None)
        if isinstance(path, str):
            return path
    return None


def _guarded_by(client: Any) -> Iterator[Any]:
    """Where *client*'s app may keep its guard."""
    app = getattr(client, "app", None) or getattr(client, "application", None)
    extensions = getattr(app, "extensions", None)
    yield extensions.get("kinde_guard") if isinstance(extensions, dict) else None
    yield getattr(getattr(app, "state", None), "kinde_guard", None)
    yield _of_django(client, app)
    yield app


def _of_django(client: Any, app: Any) -> Any:
    """What guards the Django project, if it is one that has a guard."""
    if not is_djangos(client) and not is_a(app, "django.core.handlers.base", "BaseHandler"):
        return None
    from ..web.django_guard import guard_of_project

    with suppress(ConfigurationError):
        return guard_of_project()
    return None


def _sender(client: Any) -> _Send:
    if isinstance(client, str):
        return _to_url(client)
    if hasattr(client, "open") and hasattr(client, "application"):
        return _through_werkzeug(client)
    if is_djangos(client):
        return _through_django(client)
    if hasattr(client, "request") and not inspect.iscoroutinefunction(client.request):
        return _through_httpx(client)
    raise ConfigurationError(
        f"{type(client).__name__} is no client known here: give a Starlette or FastAPI TestClient, "
        "a Flask or Django test client, an httpx.Client, or the app's URL as text"
    )


def is_djangos(client: Any) -> bool:
    """Whether it is Django's test client, or one that is derived from it."""
    return hasattr(client, "generic") and hasattr(client, "handler") and not inspect.iscoroutinefunction(client.request)


@contextmanager
def _one_event_loop(client: Any) -> Iterator[None]:
    """Starlette's test client starts a thread and a loop for each request unless it has a portal to one."""
    if getattr(client, "portal", client) is not None or not hasattr(client, "async_backend"):
        yield
        return
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal(**client.async_backend) as client.portal:
        try:
            yield
        finally:
            client.portal = None


def _through_httpx(client: Any) -> _Send:
    def send(method: str, target: str, headers: Pairs, body: bytes) -> Seen:
        pairs = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        try:
            answer = client.request(method, target, headers=pairs, content=body or None)
        except Exception as error:
            if type(error).__name__ == "LocalProtocolError":  # httpx's and httpx2's
                raise NotSendable from None
            return _raised(error)
        return Seen(answer.status_code, list(answer.headers.multi_items()), answer.content)

    return send


def _through_werkzeug(client: Any) -> _Send:
    app = client.application
    # With a cookie jar, even an empty one, werkzeug's client drops the Cookie header that it is given.
    bare = app.test_client(use_cookies=False) if hasattr(app, "test_client") else type(client)(app, use_cookies=False)

    def send(method: str, target: str, headers: Pairs, body: bytes) -> Seen:
        # werkzeug's own Headers refuse line breaks before the app sees any.
        environ = _as_environ(headers)
        try:
            answer = bare.open(target, method=method, environ_overrides=environ, data=body or None)
        except Exception as error:
            return _raised(error)
        return Seen(answer.status_code, list(answer.headers), answer.get_data())

    return send


def _through_django(client: Any) -> _Send:
    def send(method: str, target: str, headers: Pairs, body: bytes) -> Seen:
        try:
            answer = client.generic(method, target, body, **_as_environ(headers))
        except Exception as error:
            return _raised(error)
        return Seen(answer.status_code, list(answer.items()), b"".join(answer))

    return send


def _as_environ(headers: Pairs) -> dict[str, str]:
    """The environ, as a WSGI server would hand the headers on."""
    environ: dict[str, str] = {}
    for name, value in headers:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _to_url(url: str) -> _Send:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{url!r} is no http URL, such as 'http://127.0.0.1:8000'")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    host, port, prefix = parts.hostname, parts.port, parts.path.rstrip("/")

    def send(method: str, target: str, headers: Pairs, body: bytes) -> Seen:
        connection = kind(host, port, timeout=TIMEOUT)
        try:
            _put(connection, method, prefix + target, headers, body)
            answer = connection.getresponse()
            return Seen(answer.status, answer.getheaders(), answer.read())
        except (OSError, http.client.HTTPException) as error:
            return _raised(error)
        finally:
            connection.close()

    return send


def _put(connection: http.client.HTTPConnection, method: str, target: str, headers: Pairs, body: bytes) -> None:
    if any({"\r", "\n"} & set(value) for _, value in headers):
        raise NotSendable  # on the wire it would be another header, or a space (RFC 9112 §5.2)
    connection.putrequest(method, target)
    for name, value in headers:
        connection.putheader(name, value.encode("latin-1"))
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body or None)


def _raised(error: Exception) -> Seen:
    """Test clients hand on what the app raises: a server would have answered 500, or not at all."""
    return Seen(0, [], f"{type(error).__name__} was raised".encode())
