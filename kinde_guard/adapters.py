"""What an adapter for a web framework is made of; ``tests/test_adapters.py`` is one of forty lines.

An adapter translates, and decides nothing itself:

1. :func:`asgi_scope.authenticate`, :func:`asgi_scope.aauthenticate` or :func:`wsgi_environ.authenticate` says whose the
   request is: from *all* its Authorization values, remembered for the request and the guard that was asked. A framework
   with neither scope nor environ asks the :class:`Authenticator` itself.
2. :func:`judge` raises if the token does not meet the requirement, which is :meth:`~Requirement.bound` to the path
   parameters of the route before.
3. :func:`answer` turns what was raised into status, headers and body, which go out unchanged.

:class:`Decorators` makes every ``requires_…`` out of one class of the adapter's. That class refuses with
:func:`check_function` what is no function, adds what stands below to its own requirement (:func:`stacked`), wraps the
:func:`innermost` function and leaves a :func:`mark`. When the app starts, an endpoint that is :func:`misplaced` is a
:class:`~kinde_guard.ConfigurationError`: its requirement would not be enforced. :class:`PublicPaths` are the paths that
need no token, :class:`Pages` the health checks and the metadata that are answered before one is asked for.
"""

from __future__ import annotations

from .authenticator import Authenticator
from .requirements import Requirement
from .web import asgi_scope, wsgi_environ
from .web.asgi_scope import Attached
from .web.bearer import Answer, answer, token_from
from .web.decorators import Decorators, check_function, innermost, mark, misplaced, stacked
from .web.layers import judge, passed
from .web.paths import PublicPaths
from .web.well_known import Page, Pages

__all__ = [
    "Answer",
    "Attached",
    "Authenticator",
    "Decorators",
    "Page",
    "Pages",
    "PublicPaths",
    "Requirement",
    "answer",
    "asgi_scope",
    "check_function",
    "innermost",
    "judge",
    "mark",
    "misplaced",
    "passed",
    "stacked",
    "token_from",
    "wsgi_environ",
]
