"""System checks: ``manage.py check`` and ``runserver`` find what else is found when the server has started."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error

from ..errors import ConfigurationError
from .django_guard import MEND, MIDDLEWARE, guard_of_project, hidden_cors
from .django_urls import endpoints, is_ours, mistakes, place_of, served


def check_settings(app_configs: object = None, **_: Any) -> list[CheckMessage]:
    """``KINDE_GUARD`` can be read: a misspelt member, a public path that is none."""
    try:
        guard_of_project()
    except ConfigurationError as error:
        return [Error(str(error), id="kinde_guard.E001")]
    return []


def check_environment(app_configs: object = None, **_: Any) -> list[CheckMessage]:
    """Check, with ``--deploy``, that the domain and the audience are there, and are some."""
    try:
        guard_of_project().ready()
    except ConfigurationError as error:
        return [Error(str(error), id="kinde_guard.E002")]
    return []


def check_middleware(app_configs: object = None, **_: Any) -> list[CheckMessage]:
    """CORS middleware stands above the guard's, a cache below it."""
    if check_settings():
        return []
    return [*_hidden_cors(), *_caches_above()]


def check_views(app_configs: object = None, **_: Any) -> list[CheckMessage]:
    """What views demand is enforced."""
    return [
        *(Error(mistake, id="kinde_guard.E003") for mistake in mistakes()),
        *_without_middleware(),
        *_never_let_in(),
    ]


def _hidden_cors() -> Iterator[CheckMessage]:
    for name in hidden_cors(guard_of_project()):
        yield checks.Warning(f"{name} stands below the guard, which refuses preflights", MEND, id="kinde_guard.W001")


def _caches_above() -> Iterator[CheckMessage]:
    found = settings.MIDDLEWARE
    for name in found[: found.index(MIDDLEWARE)] if MIDDLEWARE in found else ():
        if "cache" in name.lower() and "UpdateCache" not in name:
            text = f"{name} stands above the guard, and so may answer callers without a token out of the cache"
            yield checks.Warning(text, f"put it below {MIDDLEWARE!r} in MIDDLEWARE", id="kinde_guard.W002")


def _without_middleware() -> Iterator[CheckMessage]:
    if MIDDLEWARE in settings.MIDDLEWARE:
        return
    for path, view in endpoints():
        for part in served(view):
            if any(map(is_ours, part.functions)):
                yield Error(
                    f"{place_of(part.functions[-1])}, at {path!r}, demands a token, and nothing answers for it: each "
                    "request ends as a 500",
                    hint=f"add {MIDDLEWARE!r} to MIDDLEWARE",
                    id="kinde_guard.E004",
                )


def _never_let_in() -> Iterator[CheckMessage]:
    for path, view in endpoints():
        for part in served(view):
            if part.conditions and not part.takes_token:
                yield checks.Warning(
                    f"{place_of(part.functions[-1])}, at {path!r}, lets nobody in: its permission classes demand a "
                    "token, and none of its authentication classes reads one",
                    "add kinde_guard.drf.KindeAuthentication to its authentication_classes",
                    id="kinde_guard.W003",
                )
