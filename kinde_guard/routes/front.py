"""What stands in front of a route, and the judgement on it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from ..requirements import AllOf, Requirement, Scopes, authenticated, scope
from ..web.gate import Gate
from ..web.paths import PublicPaths

Kind = Literal["protected", "public", "optional", "unprotected", "misplaced", "outside"]

NOT_AROUND = (
    "its decorator is above the route's, so nothing enforces it: write @requires_…(…) below the route decorator"
)
ANSWERS_OPTIONS = "runs for OPTIONS as well: with pass_preflights=True whoever calls it a preflight would be let in"
LET_THROUGH = "pass_preflights=True lets whatever calls itself a preflight through, and this runs for OPTIONS"
OPENED = "stands in front of the app's routes; on public paths strangers come to it, too"
NO_GUARD = (
    "no guard is attached to its app, so it answers 500: call KindeGuard(app), or in Django add KindeGuardMiddleware"
)


@dataclass(frozen=True, slots=True)
class ProtectedRoute:
    """One route, and what it demands: ``demand`` is ``None`` if that is nothing.

    *protected* demands a token, *optional* takes one, *public* is open on purpose, *unprotected* is open and nobody
    said so, *misplaced* declares a demand that is not enforced; ``note`` says why. *outside* is no route, but
    middleware that a request comes to before it comes to the guard.
    """

    path: str
    methods: tuple[str, ...]
    demand: Requirement | None
    kind: Kind
    where: str
    note: str = ""

    def __str__(self) -> str:
        return f"{' '.join(self.methods) or 'ANY'} {self.path}"

    def allowed_by(self, public: PublicPaths) -> ProtectedRoute:
        """An open route that *public* covers is open on purpose."""
        allowed = self.kind == "unprotected" and (self.path in public.patterns or public.cover(self.path))
        return replace(self, kind="public") if allowed else self


@dataclass(frozen=True, slots=True)
class Declared:
    """What a route says itself."""

    demand: Requirement | None = None
    optional: bool = False
    needs_guard: bool = True
    misplaced: bool = False
    answers_options: bool = True
    """If it is asked with OPTIONS."""


@dataclass(frozen=True, slots=True)
class Front:
    """All that stands in front of a part of an app, and where that part is mounted."""

    prefix: str = ""
    attached: bool = False
    gates: tuple[Gate, ...] = ()
    answers_preflights: bool = False

    def below(self, path: str) -> Front:
        """What stands in front of the part that is mounted at *path*."""
        return replace(self, prefix=self.prefix + path.rstrip("/"))

    def behind(
        self,
        public: PublicPaths | None,
        requires: Requirement = authenticated,
        *,
        attached: bool,
        passes_preflights: bool = False,
    ) -> Front:
        """One more layer: a gate unless *public* is ``None``, and a guard for what is within if it is *attached*."""
        gate = () if public is None else (Gate(self.prefix, public, requires, passes_preflights),)
        return replace(self, attached=self.attached or attached, gates=(*self.gates, *gate))

    def behind_cors(self) -> Front:
        """One more layer, which no preflight comes through."""
        return replace(self, answers_preflights=True)

    def answered_by(self, guarding: Any) -> Iterator[ProtectedRoute]:
        """What a guard in front of an app answers itself: the pages of :mod:`kinde_guard.web.well_known`, and webhooks,
        which are let in by their signatures."""
        place = f"{type(guarding).__module__}.{type(guarding).__qualname__}"
        for path in () if guarding.pages is None else guarding.pages.paths:
            yield ProtectedRoute(self.prefix + path, ("GET",), None, "public", place)
        if guarding.webhooks is not None:
            yield ProtectedRoute(self.prefix + guarding.webhooks.path, ("POST",), None, "public", place)

    def outside(self, where: str) -> ProtectedRoute:
        """Middleware that stands outside of all gates."""
        return ProtectedRoute(f"{self.prefix}/*", (), None, "outside", where)

    def layer(self, where: str) -> ProtectedRoute:
        """Middleware in front of an app: outside of all gates, or behind some."""
        if not self.gates:
            return self.outside(where)
        note = OPENED if any(gate.public.patterns for gate in self.gates) else ""
        demand = combined(gate.requires for gate in self.gates)
        return ProtectedRoute(f"{self.prefix}/*", (), demand, "protected", where, note)

    def routes(self, path: str, methods: Iterable[str], declared: Declared, where: str) -> Iterator[ProtectedRoute]:
        """The judgement; on OPTIONS one of its own, where that is another."""
        route = self._route(path, methods, declared, where)
        if not self._is_asked_with_options(route, declared):
            yield route
        elif not all(gate.passes_preflights for gate in self._shut(route.path)):
            yield replace(route, note=ANSWERS_OPTIONS)
        else:
            if route.methods != ("OPTIONS",):
                yield replace(route, methods=tuple(method for method in route.methods if method != "OPTIONS"))
            yield ProtectedRoute(route.path, ("OPTIONS",), None, "unprotected", where, LET_THROUGH)

    def _is_asked_with_options(self, route: ProtectedRoute, declared: Declared) -> bool:
        """Whether only a gate is between a preflight and the handler."""
        by_gate_alone = route.kind == "protected" and declared.demand is None and not self.answers_preflights
        return by_gate_alone and declared.answers_options and ("OPTIONS" in route.methods or not route.methods)

    def _shut(self, path: str) -> list[Gate]:
        return [gate for gate in self.gates if not gate.opens(path)]

    def _route(self, path: str, methods: Iterable[str], declared: Declared, where: str) -> ProtectedRoute:
        path = self.prefix + path or "/"
        shut = [gate.requires for gate in self._shut(path)]
        own = [] if declared.demand is None else [declared.demand]
        demand = combined([*shut, *own]) if shut or own else None
        kind, note = self._kind(declared, demand, bool(shut))
        return ProtectedRoute(path, tuple(sorted(methods)), demand, kind, where, note)

    def _kind(self, declared: Declared, demand: Requirement | None, shut: bool) -> tuple[Kind, str]:
        demands_itself = declared.demand is not None or declared.optional
        if declared.misplaced:
            return "misplaced", NOT_AROUND
        if demands_itself and declared.needs_guard and not self.attached:
            return "misplaced", NO_GUARD
        if declared.optional and not shut:
            return "optional", ""
        if demand is not None:
            return "protected", ""
        return ("public" if self.gates else "unprotected"), ""


class Walk(Protocol):
    """How every route of *app* is found, which may be *mounted* in another."""

    def __call__(self, app: Any, front: Front, *, mounted: bool = False) -> Iterator[ProtectedRoute]: ...


def combined(demands: Iterable[Requirement]) -> Requirement:
    """All of *demands* as one that is easy to read: every scope once, and nothing twice."""
    parts = list(_parts(demands))
    names = dict.fromkeys(name for part in parts if isinstance(part, Scopes) for name in part.names)
    others = {str(part): part for part in parts if not isinstance(part, Scopes)}
    every = (*([scope(*names)] if names else []), *others.values())
    return every[0] if len(every) == 1 else AllOf(every)


def _parts(demands: Iterable[Requirement]) -> Iterator[Requirement]:
    for demand in demands:
        if isinstance(demand, AllOf):
            yield from _parts(demand.parts)
        else:
            yield demand
