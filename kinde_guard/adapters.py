"""What an adapter for a web framework is made of: our own use nothing else of the inside, and neither need others.

An adapter translates, and decides nothing itself. The page of this module in the reference shows one of forty lines. In
the order in which an adapter comes to need them:

**When it is made.**

- :class:`Authenticator` is what it needs of a guard; :class:`~kinde_guard.Guard` is one, and so is a test's stand-in.
- :class:`Attached` is the guard in front of an ASGI app, which may be made when the app starts; each request finds it
  in its scope.
- :func:`check_given` refuses settings that are misspelt, or given beside a guard; :func:`guard_has_settings` is for
  those who take a ready guard alone.
- :class:`PublicPaths` are the paths that need no token.
- :class:`Preflights` is what becomes of CORS preflights: they are refused, unless an app is known to answer each one.
- :class:`WebhookEndpoint` is the path that Kinde's webhooks come to, which are taken before all else:
  ``asgi_scope.received``, ``wsgi_environ.webhook_answer``. :data:`OnEvent` is what is called with each event.
- :class:`WellKnownPages` are the health checks and the metadata (RFC 9728), which are answered before a token is asked
  for; :class:`WellKnownPage` is one such answer.

**For each request.** Whose it is, then whether that caller may, then the answer.

- :mod:`asgi_scope` and :mod:`wsgi_environ` know how a request and an answer look. ``asgi_scope.recognise``,
  ``.authenticate``, ``.aauthenticate`` and ``wsgi_environ.authenticate`` return the :class:`AccessToken` of a request,
  from *all* its Authorization values; the verdict is remembered for the request and the guard that was asked.
- :func:`token_from` takes the token out of Authorization values. Needed by those alone who have no guard to ask.
- :class:`Requirement` is what a route demands; ``bound(…)`` to the path parameters of the route, it can be judged.
- :func:`judge` raises if the token does not meet it; :func:`passed` notes that it does, for what is further in.
- :func:`requirements_around` are those that have been judged further out; :func:`with_requirements_around` adds one to
  them, as a challenge speaks for all of a resource (RFC 6750 §3).
- :data:`Refusal` is what is raised: an :class:`~kinde_guard.AuthError` or :class:`~kinde_guard.errors.Unavailable`.
- :func:`answer` turns it into an :class:`Answer`: status, headers and body, which go out unchanged.
- :func:`as_framework_error` makes it an exception of the framework's as well, for frameworks whose views raise.

**For decorators.** They are spelled alike in every framework.

- :class:`Decorators` makes every ``requires_…`` out of one class of the adapter's.
- :func:`needs_function` is for that class's ``__call__``: it says what is wrong with ``@requires_auth()``.
- :func:`check_function` refuses what cannot be decorated; :func:`checked_requirement` what is no requirement.
- :func:`stacked` adds the requirements of decorators further in; :func:`innermost` is the function that they wrap.
- :func:`mark` notes on a wrapper what it enforces, and on what it wraps what has to be enforced.

**When the app starts.** A requirement that is written and not enforced is a :class:`~kinde_guard.ConfigurationError`.

- :func:`misplaced` says whether an endpoint carries one; :func:`guarded_by` are the functions that may be held by
  others, because something guards them; :func:`unmet` is the requirement.
- :func:`enforced` is what the decorators around an endpoint enforce, :func:`made_by` the adapter that they are of;
  :func:`within` goes through whatever a function wraps.
- :class:`Once` tells who is the first, where something is to be said once, and checks run in many threads.
- :mod:`cors` finds CORS middleware behind a guard, where no preflight comes to it.
- :func:`way_in` looks through middleware, :func:`named` asks an object for an attribute without waking it.
- :class:`Gate` is what stands in front of a part of an app and demands a token there.
- :func:`is_resource_of_its_own` says whether such a part has nothing to do with the metadata of the whole.
- :mod:`openapi` adds to an OpenAPI document what operations demand and how they refuse.

**Where python-socketio calls.** Its ``connect`` handlers refuse by an exception of their own.

- :func:`closing_error` makes an error one that ends the connection; :func:`misuse_error` is a
  :class:`~kinde_guard.ConfigurationError` that does.
"""

from __future__ import annotations

from .authenticator import Authenticator
from .net.once import Once
from .requirements import Requirement
from .tokens.access_token import AccessToken
from .web import asgi_scope, cors, openapi, wsgi_environ
from .web.asgi_scope import Attached
from .web.attributes import named
from .web.bearer import Answer, Refusal, answer, token_from
from .web.cors import Preflights
from .web.decorators import (
    Decorators,
    check_function,
    checked_requirement,
    enforced,
    guarded_by,
    innermost,
    made_by,
    mark,
    misplaced,
    needs_function,
    stacked,
    unmet,
    within,
)
from .web.framework_errors import as_framework_error
from .web.gate import Gate
from .web.given_settings import check_given, guard_has_settings
from .web.judging import is_resource_of_its_own, judge, passed, requirements_around, with_requirements_around
from .web.paths import PublicPaths
from .web.socketio_refusal import closing_error, misuse_error
from .web.way_in import way_in
from .web.webhook_endpoint import OnEvent, WebhookEndpoint
from .web.well_known import WellKnownPage, WellKnownPages

__all__ = [
    "AccessToken",
    "Answer",
    "Attached",
    "Authenticator",
    "Decorators",
    "Gate",
    "OnEvent",
    "Once",
    "Preflights",
    "PublicPaths",
    "Refusal",
    "Requirement",
    "WebhookEndpoint",
    "WellKnownPage",
    "WellKnownPages",
    "answer",
    "as_framework_error",
    "asgi_scope",
    "check_function",
    "check_given",
    "checked_requirement",
    "closing_error",
    "cors",
    "enforced",
    "guard_has_settings",
    "guarded_by",
    "innermost",
    "is_resource_of_its_own",
    "judge",
    "made_by",
    "mark",
    "misplaced",
    "misuse_error",
    "named",
    "needs_function",
    "openapi",
    "passed",
    "requirements_around",
    "stacked",
    "token_from",
    "unmet",
    "way_in",
    "with_requirements_around",
    "within",
    "wsgi_environ",
]
