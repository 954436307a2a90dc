"""Real servers on loopback: one that is the command, and others that run beside it in threads."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import uvicorn

from ..errors import ConfigurationError

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
HOST = "127.0.0.1"


def listen(port: int, host: str = HOST) -> socket.socket:
    """A socket that queues connections from now on; port 0 picks one. What cannot be used: ConfigurationError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY where the protocol is given: without it each answer on a kept connection waits 40 ms.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":  # elsewhere it would share the port with whoever has it
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise ConfigurationError(
            f"port {port} of {host} cannot be used ({error.strerror}): stop what uses it, or choose another with --port"
        ) from None
    return sock


def url_of(sock: socket.socket) -> str:
    """The URL at which a browser or a client finds it."""
    return f"http://{HOST}:{sock.getsockname()[1]}"


def serve(app: App, sock: socket.socket) -> None:
    """Serve until a signal ends it; Ctrl-C raises ``KeyboardInterrupt`` once everything is closed."""
    _server(app).run(sockets=[sock])


@contextmanager
def serving(app: App, sock: socket.socket) -> Iterator[None]:
    """Serve meanwhile, in a thread; afterwards nobody answers there any more."""
    server = _server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="kinde_guard-server", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        if not server.started:
            raise RuntimeError("the server did not start")
        yield
    finally:
        server.should_exit = True
        thread.join(5)
        sock.close()


def reporting(app: App, report: Callable[[str, str, int], None]) -> App:
    """*app*, which calls *report* with method, path (percent-encoded) and status of each answer."""

    async def answering(scope: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                report(scope["method"], scope["raw_path"].decode("ascii", "replace"), message["status"])
            await send(message)

        await app(scope, receive, sending)

    return answering


def _server(app: App) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="error",
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=1,
        date_header=False,
    )
    return uvicorn.Server(config)
