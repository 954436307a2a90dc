"""A page of another origin calls a guarded API: the preflights are a real browser's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser import Page, Visitor
from helpers import Issuer, guard_of, mint
from servers import served
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from kinde_guard.asgi import GuardMiddleware
from kinde_guard.starlette import KindeGuard

pytest_plugins = ["browser"]

CALL = """async ([url, token]) => {
    const headers = token ? {Authorization: `Bearer ${token}`, "X-Asked": "1"} : {"X-Asked": "1"}
    const answer = await fetch(url, {method: "PUT", headers})
    return [answer.status, await answer.json()]
}"""
asked: list[str] = []


async def users(request: Request) -> Response:
    asked.append(request.method)
    return JSONResponse(["Ada"])


async def page_of_another_origin(request: Request) -> Response:
    return HTMLResponse("<!doctype html><title>another origin</title><link rel=icon href=data:>")


def api() -> Starlette:
    return Starlette(routes=[Route("/users", users, methods=["PUT", "OPTIONS"])])


def cors_before(cors: dict[str, Any]) -> Any:
    app = api()
    app.add_middleware(CORSMiddleware, **cors)
    KindeGuard(app, guard=guard_of(Issuer()), public=[])
    return app


def cors_after(cors: dict[str, Any]) -> Any:
    app = api()
    KindeGuard(app, guard=guard_of(Issuer()), public=[])
    app.add_middleware(CORSMiddleware, **cors)
    return app


def cors_around(cors: dict[str, Any]) -> Any:
    return CORSMiddleware(GuardMiddleware(api(), guard_of(Issuer())), **cors)


def cors_inside(cors: dict[str, Any]) -> Any:
    app = api()
    app.add_middleware(CORSMiddleware, **cors)
    return GuardMiddleware(app, guard_of(Issuer()), pass_preflights=True)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    with served(Starlette(routes=[Route("/", page_of_another_origin)])) as address:
        yield f"http://{address}"


@pytest.fixture
def page(visitor: Visitor, elsewhere: str) -> Page:
    page = visitor.page()
    page.context.unroute_all()  # while requests are looked at on their way, Playwright answers preflights itself
    page.goto(elsewhere)
    asked.clear()
    return page


@pytest.mark.parametrize("order", [cors_before, cors_after, cors_around, cors_inside])
def test_a_page_of_another_origin(order: Callable[..., Any], page: Page, elsewhere: str, visitor: Visitor) -> None:
    """It is let in with a token; and reads why not, where CORS middleware is outside of the guard."""
    cors = {"allow_origins": [elsewhere], "allow_methods": ["PUT"], "allow_headers": ["Authorization", "X-Asked"]}
    with served(order(cors)) as address:
        url = f"http://{address}/users"
        assert page.evaluate(CALL, [url, mint()]) == [200, ["Ada"]]
        assert asked == ["PUT"]
        if order is cors_inside:
            visitor.expect_error("blocked by CORS policy: No 'Access-Control-Allow-Origin' header is present")
            visitor.expect_error("net::ERR_FAILED")
            assert page.evaluate(f"asked => ({CALL})(asked).catch(error => error.name)", [url, ""]) == "TypeError"
        else:
            visitor.expect_error("401")
            status, problem = page.evaluate(CALL, [url, ""])
            assert (status, problem["error"]) == (401, "missing_token")
        assert asked == ["PUT"]


def test_without_cors(page: Page, visitor: Visitor) -> None:
    """The browser's preflight is refused, and nothing has run."""
    app = api()
    KindeGuard(app, guard=guard_of(Issuer()), public=[])
    visitor.expect_error("blocked by CORS policy: Response to preflight request doesn't pass")
    visitor.expect_error("net::ERR_FAILED")
    with served(app) as address:
        asking = [f"http://{address}/users", mint()]
        assert page.evaluate(f"asked => ({CALL})(asked).catch(error => error.name)", asking) == "TypeError"
    assert asked == []
