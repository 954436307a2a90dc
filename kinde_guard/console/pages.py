"""What a page is, what an action returns, and how either becomes HTML."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .csrf import Stamps
from .forms import SentForm
from .state import ConsoleState

Values = Mapping[str, Any]
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class View:
    """What is to be seen: the *values* for the templates."""

    values: Values = field(default_factory=dict)
    notice: str = ""
    """What has just been done, in a sentence."""
    part: str = ""
    """The template of all that has changed; empty: the page's content."""
    target: str = ""
    """The selector of what *part* replaces, if that is not what the form says."""
    error: Mapping[str, object] | None = None
    """The field that is to blame for what is wrong: ``field`` and ``row``, and the ``text`` that stands at it; ``of``
    is the form's own ``id``, if it sends one."""


Show = Callable[[ConsoleState, SentForm], Values]
Action = Callable[[ConsoleState, SentForm], View | Awaitable[View]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page: *show* gives the values that its template always needs, *actions* are by path."""

    path: str
    title: str
    template: str
    show: Show
    actions: Mapping[str, Action] = field(default_factory=dict)


class Renderer:
    """A renderer of HTML from templates and values, with a stamp for every form."""

    def __init__(self, stamps: Stamps) -> None:
        self._stamps = stamps
        _environment()  # its templates are compiled now, and not while somebody waits for a page

    def render(self, template: str, values: Values) -> str:
        return _environment().get_template(template).render(values, stamp=self._stamps.stamp, run=self._stamps.run)


def marked(text: str) -> Markup:
    """*text* with what stands between backticks as code. All of it is escaped."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(Markup.escape(text))))  # noqa: S704 (escaped before)


@cache
def _environment() -> Environment:
    """Jinja, with everything escaped, and with nothing that is missing passed over."""
    environment = Environment(
        loader=PackageLoader("kinde_guard.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["marked"] = marked
    for name in environment.list_templates():
        environment.get_template(name)
    return environment
