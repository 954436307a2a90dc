"""A Starlette app behind kinde_guard, configured by the environment alone (KINDE_DOMAIN, KINDE_AUDIENCE).

uvicorn examples.starlette_app:app
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from kinde_guard.starlette import KindeGuard, requires_auth, requires_org, requires_scope


async def healthz(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


@requires_auth
async def me(request: Request) -> JSONResponse:
    token = request.user.token
    return JSONResponse({"subject": token.subject, "client_id": token.client_id, "scopes": sorted(token.scopes)})


@requires_scope("read:users")
async def users(request: Request) -> JSONResponse:
    return JSONResponse([{"id": "kp_1", "name": "Ada"}, {"id": "kp_2", "name": "Grace"}])


@requires_scope("write:flags")
async def create_flag(request: Request) -> JSONResponse:
    return JSONResponse(await request.json(), status_code=201)


@requires_org(path="org_code")
async def report(request: Request) -> JSONResponse:
    return JSONResponse({"org_code": request.path_params["org_code"], "report": "all is well"})


@requires_auth
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


app = Starlette(
    routes=[
        Route("/healthz", healthz),
        Route("/me", me),
        Route("/users", users),
        Route("/flags", create_flag, methods=["POST"]),
        Route("/orgs/{org_code}/report", report),
        WebSocketRoute("/ws", echo),
    ]
)
KindeGuard(app, public=["/healthz"])  # every other path demands a valid token, unknown paths included
