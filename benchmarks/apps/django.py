"""Django, REST framework and Ninja: a view each; by hand with a decorator, an authentication class, a bearer class."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

from django.conf import settings

from kinde_guard import Guard

from ..peers import Verify
from . import claims

MIDDLEWARE = "kinde_guard.django.KindeGuardMiddleware"
Wsgi = Callable[[dict[str, Any], Any], Any]


def apps(guard: Guard, verifiers: dict[str, Verify], nothing: str, ours: str) -> dict[str, dict[str, Wsgi]]:
    """By framework and by what is in front of the view. Settings are for the whole process: nothing else is made."""
    _set_up(guard)
    from django.core.wsgi import get_wsgi_application
    from django.urls import path

    from . import django_views as views

    ways = {
        nothing: views.open_views(),
        ours: views.Views(views.guarded, views.GuardedView.as_view(), views.guarded_operation()),
        **{name: views.by_hand(name, verify, claims.SCOPE) for name, verify in verifiers.items()},
    }
    found: dict[str, dict[str, Any]] = {
        "Django": {name: way.view for name, way in ways.items()},
        "Django REST framework": {name: way.api_view for name, way in ways.items()},
        "Django Ninja": {name: way.operation for name, way in ways.items()},
    }
    urls: list[Any] = []
    made: dict[str, dict[str, str]] = {}
    for number, (framework, cases) in enumerate(found.items()):
        for case, (name, view) in enumerate(cases.items()):
            urls.append(path(f"{number}/{case}", view))
            made.setdefault(framework, {})[name] = f"/{number}/{case}"
    settings.ROOT_URLCONF = type("Urls", (), {"urlpatterns": urls})
    settings.MIDDLEWARE = []
    bare = get_wsgi_application()
    settings.MIDDLEWARE = [MIDDLEWARE]
    behind = get_wsgi_application()
    return {
        framework: {
            name: functools.partial(_at, where, behind if name == ours and framework == "Django" else bare)
            for name, where in cases.items()
        }
        for framework, cases in made.items()
    }


def _at(path: str, app: Wsgi, environ: dict[str, Any], start_response: Any) -> Any:
    environ["PATH_INFO"], environ["wsgi.input"] = path, io.BytesIO()
    return app(environ, start_response)


def _set_up(guard: Guard) -> None:
    if not settings.configured:
        import django

        settings.configure(
            ALLOWED_HOSTS=["*"],
            INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
            LOGGING_CONFIG=None,
            REST_FRAMEWORK={"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]},
            SECRET_KEY="made up",
        )
        django.setup()
    settings.KINDE_GUARD = {"guard": guard}
    from kinde_guard.web import django_guard

    django_guard._made.clear()
