"""What a user of ``kinde_guard.wsgi`` writes; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from kinde_guard import AccessToken, Guard, permission
from kinde_guard.wsgi import GuardMiddleware


def api(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    token: AccessToken = environ["kinde_guard.token"]
    start_response("200 OK", [])
    return [token.subject.encode()]


guard = Guard("acme.kinde.com", audience="https://api.acme.com")
application = GuardMiddleware(api, guard, public=["/healthz"], requires=permission("users:read"))
GuardMiddleware(api, pass_preflights=True)
application.guard.warm()

GuardMiddleware(api, publik=["/healthz"])  # type: ignore[call-arg]
GuardMiddleware(api, audience="https://api.acme.com")  # type: ignore[call-arg]
GuardMiddleware(api, guard, pass_preflights="no")  # type: ignore[arg-type]
GuardMiddleware(api, "acme.kinde.com")  # type: ignore[arg-type]
