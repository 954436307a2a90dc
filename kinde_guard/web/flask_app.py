"""The class that a guarded Flask app is of: the one it was made of, with this one before it.

``app.wsgi_app`` is where people put middleware, which answers before any function of the app is asked. Only the app
object itself comes earlier. So it chooses the way of each request, and the functions of the app decide as ever.
"""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from ..adapters import wsgi_environ
from ..errors import AuthError, Unavailable
from .flask_refusal import EXTENSION, refused
from .flask_routes import layers_in_front

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask import Request
    from flask.ctx import AppContext
    from flask.typing import ResponseReturnValue

_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]
ANSWERED = "kinde_guard.answered"
"""In the environ, from when on the answer is being made and nothing can be refused any more."""


class GuardedApp(Flask):
    """Sends strangers past what stands in ``app.wsgi_app``, and makes every refusal in a view one of Flask's."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: object) -> None:
        """The classes of users' apps have been made once: what they do then is not done again."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        attached = self.extensions[EXTENSION]
        if attached.leaves_all_to_flask:
            return super().__call__(environ, start_response)
        items = _answer(self, attached, environ, start_response)
        return wsgi_environ.until_over(attached.guard, environ, items) if attached.close_expired else items

    def preprocess_request(self, *ctx: AppContext) -> ResponseReturnValue | None:
        """A preflight that Flask answers by itself is answered at once: no function of the app runs for a stranger."""
        answer: Any = True  # so is a refusal
        try:
            attached = self.extensions[EXTENSION]
            if attached.public is not None and attached.is_strangers_preflight(_request()):
                answer = self.make_default_options_response(*ctx)
            else:
                answer = super().preprocess_request(*ctx)
            return answer  # type: ignore[no-any-return]
        except (AuthError, Unavailable) as error:
            raise refused(error) from None
        finally:
            if answer is not None:
                _request().environ[ANSWERED] = True

    def dispatch_request(self, *ctx: AppContext) -> ResponseReturnValue:
        current = _request()
        try:
            attached = self.extensions[EXTENSION]
            if attached.covered:
                attached.check_covered(current)
            if attached.preflights.passes:
                attached.check_put_off(current)
            return super().dispatch_request(*ctx)
        except (AuthError, Unavailable) as error:
            raise refused(error) from None
        finally:
            current.environ[ANSWERED] = True


def put_in_front(app: Flask) -> None:
    """Make *app* a :class:`GuardedApp`; whatever looks at its class finds the names that were there before."""
    app.__class__ = _guarded(type(app))  # type: ignore[arg-type]  # a class can be hashed


def is_automatic_options(current: Request) -> bool:
    """Whether Flask itself answers the request, with the methods that there are; as Flask finds it out."""
    return current.method == "OPTIONS" and getattr(current.url_rule, "provide_automatic_options", False)


def past_front(app: Flask) -> WSGIApplication:
    """The way of a refused request: Flask's own, past whatever stands in front. What answers nobody, and only sees to
    it that the app knows who calls, stays."""
    way: Any = types.MethodType(Flask.wsgi_app, app)
    for layer in reversed(layers_in_front(app)):
        if type(layer) is ProxyFix:
            layer = copy.copy(layer)
            layer.app = way
            way = layer
    return way  # type: ignore[no-any-return]


def _answer(app: GuardedApp, attached: Any, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer on the way that is right for this request; no method, as the app is of a class of its user's too."""
    received = None if attached.webhooks is None else attached.webhook_answer(environ)
    if received is not None:
        return wsgi_environ.send_page(received, start_response)
    page = None if attached.pages is None else attached.page(app, environ)
    if page is not None:
        return wsgi_environ.send_page(page, start_response)
    if attached.public is not None:
        start_response = wsgi_environ.private_to_caller(environ, start_response)
    opens = attached.public is None or not _has_front(app) or attached.opens(environ)
    if opens and attached.is_sound(app):
        return super(GuardedApp, app).__call__(environ, start_response)
    return attached.past_front(app)(environ, start_response)  # type: ignore[no-any-return]


@functools.cache
def _guarded(kind: type[Flask]) -> type[Flask]:
    same = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return types.new_class(kind.__name__, (GuardedApp, kind), {}, lambda body: body.update(same, __slots__=()))


def _has_front(app: Flask) -> bool:
    """Whether anything stands between the app object and Flask: a class of the user's may, too."""
    kind: Any = type(app).__bases__[1]
    return "wsgi_app" in app.__dict__ or kind.wsgi_app is not Flask.wsgi_app or kind.__call__ is not Flask.__call__
