"""What a user of ``kinde_guard.asgi`` writes; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from kinde_guard import AccessToken, Guard, machine, scope
from kinde_guard.asgi import GuardMiddleware

Message = MutableMapping[str, Any]


async def api(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    token: AccessToken = scope["kinde_guard.token"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": token.subject.encode()})


guard = Guard("acme.kinde.com", audience="https://api.acme.com")
application = GuardMiddleware(api, guard, public=["/healthz"], requires=scope("read:users") | machine)
GuardMiddleware(api, healthz="/healthz", readyz="/readyz", resource="https://api.acme.com")
application.guard = Guard("acme.kinde.com", audience="https://api.acme.com", leeway=5)

GuardMiddleware(api, publik=["/healthz"])  # type: ignore[call-arg]
GuardMiddleware(api, audience="https://api.acme.com")  # type: ignore[call-arg]
GuardMiddleware(api, guard, requires="read:users")  # type: ignore[arg-type]
GuardMiddleware(print, guard)  # type: ignore[arg-type]
