"""Pure ASGI middleware in front of any app: whatever is not public demands a valid token.

    application = GuardMiddleware(application, public=["/healthz"])

A request is refused before its body is read. The verified token is ``scope["kinde_guard.token"]``. WebSockets are
guarded too; lifespan is passed on. No framework is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable

from .adapters import (
    Attached,
    OnEvent,
    PublicPaths,
    Requirement,
    WebhookEndpoint,
    WellKnownPages,
    asgi_scope,
    checked_requirement,
    guard_has_settings,
    judge,
    passed,
)
from .errors import AuthError, ConfigurationError, Unavailable
from .guard import Guard
from .requirements import authenticated

__all__ = [
    "IN_FORCE",
    "ASGIApp",
    "Attached",
    "GuardMiddleware",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "aauthenticate",
    "answered",
    "attach",
    "authenticate",
    "authorization",
    "can_answer",
    "guard_in_force",
    "is_cors_preflight",
    "is_open",
    "metadata_url",
    "nearest",
    "note_refusal",
    "path_of",
    "private_to_caller",
    "recognise",
    "refuse",
    "run_lifespan",
]

# Adapters of others stand on these; new ones take them from kinde_guard.adapters.
IN_FORCE = asgi_scope.IN_FORCE
ASGIApp = asgi_scope.ASGIApp
Message = asgi_scope.Message
Receive = asgi_scope.Receive
Scope = asgi_scope.Scope
Send = asgi_scope.Send
aauthenticate = asgi_scope.aauthenticate
answered = asgi_scope.answered
attach = asgi_scope.attach
authenticate = asgi_scope.authenticate
authorization = asgi_scope.authorization
can_answer = asgi_scope.can_answer
guard_in_force = asgi_scope.guard_in_force
is_cors_preflight = asgi_scope.is_cors_preflight
is_open = asgi_scope.is_open
metadata_url = asgi_scope.metadata_url
nearest = asgi_scope.nearest
note_refusal = asgi_scope.note_refusal
path_of = asgi_scope.path_of
private_to_caller = asgi_scope.private_to_caller
recognise = asgi_scope.recognise
refuse = asgi_scope.refuse
run_lifespan = asgi_scope.run_lifespan


class GuardMiddleware(Attached):
    """Wraps an ASGI app, and demands a valid token on every path that is not *public*: ``app = GuardMiddleware(app,
    public=["/healthz"])``. The token is ``scope["kinde_guard.token"]``.

    *requires* is what each token has to have besides. Without *guard* it makes one from ``KINDE_DOMAIN`` and
    ``KINDE_AUDIENCE`` when the app starts; a mistake there stops the server.

    *healthz* and *readyz* are paths of health checks. *resource* is the https URL of this API: its metadata (RFC 9728)
    is served then, and challenges name it. CORS middleware belongs around this one: *pass_preflights* lets CORS
    preflights through, to an app that answers every one itself and runs no handler for it. Kinde's webhooks come to the
    path *webhooks*, and *on_event* is called with each event (:mod:`kinde_guard.webhooks`). With *close_expired*,
    WebSockets and streams end when their token expires or is revoked.

    Raises :class:`~kinde_guard.ConfigurationError`.
    """

    @guard_has_settings
    def __init__(
        self,
        app: ASGIApp,
        guard: Guard | None = None,
        *,
        public: Iterable[str] = (),
        requires: Requirement | None = None,
        healthz: str | None = None,
        readyz: str | None = None,
        resource: str | None = None,
        pass_preflights: bool = False,
        webhooks: str | None = None,
        on_event: OnEvent | None = None,
        close_expired: bool = False,
    ) -> None:
        if not callable(app):
            raise ConfigurationError(f"GuardMiddleware(app, …) takes an ASGI app first, not {app!r}")
        super().__init__(guard, {}, pass_preflights)
        self.app = app
        self.public = PublicPaths(public)
        self.pages = WellKnownPages.of(healthz, readyz, resource)
        self.webhooks = WebhookEndpoint.of(webhooks, on_event, self.pages)
        self.close_expired = close_expired
        # No route has been chosen yet, so there are no path parameters to compare with.
        self.requires = authenticated if requires is None else checked_requirement(requires).bound({})
        self._may_be_open = bool(self.public.patterns) or self.preflights.passes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await run_lifespan(self.app, self._start, scope, receive, send)
        scope[IN_FORCE] = self
        if self.webhooks is not None and await asgi_scope.received(self, scope, receive, send):
            return None
        if self.pages is not None and await answered(self, self._requirements, scope, send):
            return None
        if not (self._may_be_open and is_open(scope, self.public, self.preflights)):
            guard = self.guard or self.ready()
            try:
                token = recognise(scope, guard) or await aauthenticate(scope, guard)
                if self.requires is not authenticated:
                    judge(guard, token, self.requires, scope)
                    passed(self.requires, scope)
            except (AuthError, Unavailable) as refusal:
                self._note_refusal(scope)
                return await refuse(refusal, scope, send)
            send = private_to_caller(send)
        if self.close_expired:
            return await asgi_scope.serve(self, self.app, scope, receive, send)
        await self.app(scope, receive, send)
        return None

    def _requirements(self) -> list[Requirement]:
        return [self.requires]

    def _start(self) -> None:
        self.begin()
        self.preflights.check(self.app, self.public)

    def _note_refusal(self, scope: Scope) -> None:
        if is_cors_preflight(scope):
            self.preflights.check(self.app, self.public)  # not every server tells of its start
            self.preflights.refused()
