"""Routes of a Django project: views, class-based ones, those of REST framework and of Ninja."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from ..web import decorators
from ..web.django_guard import MIDDLEWARE, guard_of_project
from ..web.django_urls import Served, endpoints, is_ours, served
from .declared import declared_by, place_of
from .front import Declared, Front, ProtectedRoute, combined


def routes(front: Front) -> Iterator[ProtectedRoute]:
    """Every route in ``ROOT_URLCONF``, and what stands in front of the guard in ``MIDDLEWARE``."""
    above, front = _behind_middleware(front)
    yield from (front.outside(name) for name in above)
    if MIDDLEWARE in settings.MIDDLEWARE:
        yield from front.answered_by(guard_of_project())
    parts = [(path, part) for path, view in endpoints() for part in served(view)]
    guarded = decorators.guarded_by(function for _, part in parts for function in part.functions)
    for path, part in parts:
        yield from front.routes(path, part.methods, _declared(part, guarded), place_of(part.functions[-1]))


def _behind_middleware(front: Front) -> tuple[list[str], Front]:
    """What is asked before the guard, if that demands anything, and what then stands in front of the views."""
    if MIDDLEWARE not in settings.MIDDLEWARE:
        return [], front
    attached = guard_of_project()
    above = settings.MIDDLEWARE[: settings.MIDDLEWARE.index(MIDDLEWARE)]
    passes = attached.preflights.passes
    front = front.behind(attached.public, attached=True, passes_preflights=passes)
    if any("cors" in name.lower() for name in settings.MIDDLEWARE):
        front = front.behind_cors()
    return ([] if attached.public is None else above), front


def _declared(part: Served, guarded: set[int]) -> Declared:
    """What decorators declare, which alone can be in the wrong place, and what REST framework and Ninja demand."""
    found = part.demands()
    misplaced = [declared_by(function, guarded) for function in part.decorated()]
    unmet = [*part.lost, *(each.demand for each in misplaced if each.misplaced and each.demand is not None)]
    return Declared(
        combined([*unmet, *found]) if unmet or found else None,
        optional=part.takes_token and not found,
        needs_guard=any(map(is_ours, part.functions)),
        misplaced=bool(part.lost) or any(each.misplaced for each in misplaced),
    )
