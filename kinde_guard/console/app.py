"""The console as an ASGI app: its own pages, and the local Kinde behind them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import ConfigurationError
from ..issuer import LocalIssuer
from . import api_keys, keys, mint, people, setup
from .chooser import chooser
from .csrf import Stamps
from .files import Files
from .forms import MAX_FORM, MEDIA_TYPE, FieldError, SentForm
from .guarding import Guarded
from .live import begin_anew, live
from .pages import Action, Page, Renderer, View
from .state import ConsoleState

PAGES = (mint.PAGE, keys.PAGE, api_keys.PAGE, people.PAGE, setup.PAGE)
STATIC = "/static"
_NUMBER = re.compile(r"[0-9]{1,15}")
_STALE = (
    "This page is from an earlier run of the local Kinde: load it again. Its keys, client ids and secrets are new, too."
)
Endpoint = Callable[[Request], Awaitable[Response]]


class Console:
    """The pages, for this machine alone; whatever is not theirs is answered by *issuer*. Its sign-ins get a page."""

    def __init__(self, issuer: LocalIssuer, *, behind: ASGIApp | None = None) -> None:
        """*behind* is an app that answers in place of ``issuer.asgi``."""
        stamps = Stamps()
        renderer = Renderer(stamps)
        endpoints = PageEndpoints(ConsoleState(issuer), stamps, renderer).endpoints()
        issuer.chooser = chooser(renderer)
        routes = [Route(path, endpoint, methods=["GET", "POST"]) for path, endpoint in endpoints.items()]
        files = Route(f"{STATIC}/{{name}}", Files().answer)
        self._paths = frozenset(endpoints)
        self._pages = Guarded(Router([*routes, files], redirect_slashes=False))
        self._behind = behind or issuer.asgi

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and (scope["path"] in self._paths or scope["path"].startswith(f"{STATIC}/"))
        await (self._pages if ours else self._behind)(scope, receive, send)


class PageEndpoints:
    """The endpoints of the pages and of their forms, by path: each reads a request, acts, and shows a page."""

    def __init__(self, state: ConsoleState, stamps: Stamps, renderer: Renderer) -> None:
        self._state, self._stamps, self._renderer = state, stamps, renderer

    def endpoints(self) -> Mapping[str, Endpoint]:
        """The endpoints by path."""
        pages = {page.path: self._page(page) for page in PAGES}
        actions = {path: self._action(path, page, action) for page in PAGES for path, action in page.actions.items()}
        return {**pages, **actions, "/events": self._events}

    def _page(self, page: Page) -> Endpoint:
        async def show(request: Request) -> Response:
            return self._shown(request, page, SentForm(), View())

        return show

    def _action(self, path: str, page: Page, action: Action) -> Endpoint:
        async def act(request: Request) -> Response:
            if request.method != "POST":  # a link, or the address of an answer loaded again
                return RedirectResponse(page.path, 303)
            form = SentForm()
            try:
                form = SentForm.read(await _body(request))
                if not self._stamps.holds(path, form.text("stamp")):
                    return self._shown(request, page, form, View(notice=_STALE), 403)
                view = await _done(action, self._state, form)
            except ClientDisconnect:
                return Response(status_code=400)
            except ConfigurationError as error:
                return self._shown(request, page, form, _refused(error, form), 422)
            return self._shown(request, page, form, view)

        return act

    async def _events(self, request: Request) -> Response:
        """What is new since an entry; nothing, if nothing is. A page of an earlier run is told so."""
        asked, issuer, render = request.query_params, self._state.issuer, self._renderer.render
        text, run = asked.get("since", "0"), self._stamps.run
        since, last = int(text) if _NUMBER.fullmatch(text) else 0, issuer.journal.last
        earlier = asked.get("run", run) != run
        if since == last and not earlier:
            return Response(status_code=204)
        anew = earlier or begin_anew(since, last)
        values = {
            "issuer": issuer,
            "oob": True,
            "notice": _STALE,
            "wrong": True,
            "error": None,
            **live(issuer, 0 if anew else since),
        }
        html = render("events.html", values) + render("beside.html" if earlier else "state.html", values)
        return HTMLResponse(html, headers={"hx-retarget": "#events", "hx-reswap": "innerHTML"} if anew else None)

    def _shown(self, request: Request, page: Page, form: SentForm, view: View, status: int = 200) -> Response:
        """A whole page; for htmx what has changed, and if something is wrong, that alone."""
        state, render, wrong = self._state, self._renderer.render, status != 200
        values = {"issuer": state.issuer, "pages": PAGES, "page": page, "notice": view.notice, "wrong": wrong}
        values |= {"error": view.error, **live(state.issuer)}
        form = form if wrong or view.part else SentForm()  # what has been done need not be done again
        if "hx-request" not in request.headers:
            return HTMLResponse(render("layout.html", {**values, **page.show(state, form), **view.values}), status)
        beside = render("beside.html", values)
        if wrong:
            return HTMLResponse(beside, status, {"hx-reswap": "none"})
        if not view.part:
            return HTMLResponse(render(page.template, {**values, **page.show(state, form), **view.values}) + beside)
        headers = {"hx-retarget": view.target} if view.target else None
        part = render(view.part, {**values, **view.values})
        return HTMLResponse(part + beside if view.notice else part, headers=headers)


async def _done(action: Action, state: ConsoleState, form: SentForm) -> View:
    """What comes of the action; one that is no coroutine may take its time, in a thread of its own."""
    if inspect.iscoroutinefunction(action):
        return cast(View, await action(state, form))
    return cast(View, await run_in_threadpool(action, state, form))


def _refused(error: ConfigurationError, form: SentForm) -> View:
    """What is wrong in a sentence, and the field that it stands at, if one is to blame."""
    problem = str(error)
    text = f"{problem[:1].upper()}{problem[1:]}."
    if not isinstance(error, FieldError):
        return View(notice=text)
    return View(notice=text, error={"field": error.field, "row": error.row, "text": text, "of": form.text("id")})


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise ConfigurationError(f"the content type must be {MEDIA_TYPE}")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM:
            raise ConfigurationError(f"the form is larger than {MAX_FORM // 1024} KiB")
    return body
