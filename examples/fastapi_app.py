"""A FastAPI app behind kinde_guard, configured by the environment alone (KINDE_DOMAIN, KINDE_AUDIENCE).

uvicorn examples.fastapi_app:app
"""

import os

from fastapi import FastAPI, WebSocket

from kinde_guard.fastapi import KindeGuard, Token, docs_paths, requires_auth, requires_org, requires_scope

client_id = os.environ.get("KINDE_CLIENT_ID")  # a front-end app's: with it, /docs is open, and one can sign in there
app = FastAPI(title="Example API")
docs = docs_paths(app) if client_id else ()
# Every other path demands a valid token, unknown paths included.
KindeGuard(app, public=["/healthz", *docs], swagger_client_id=client_id)


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/me")
def me(token: Token) -> dict[str, object]:
    return {"subject": token.subject, "client_id": token.client_id, "scopes": sorted(token.scopes)}


@app.get("/users")
@requires_scope("read:users")
def users() -> list[dict[str, str]]:
    return [{"id": "kp_1", "name": "Ada"}, {"id": "kp_2", "name": "Grace"}]


@app.post("/flags", status_code=201)
@requires_scope("write:flags")
def create_flag(flag: dict[str, bool]) -> dict[str, bool]:
    return flag


@app.get("/orgs/{org_code}/report")
@requires_org(path="org_code")
def report(org_code: str) -> dict[str, str]:
    return {"org_code": org_code, "report": "all is well"}


@app.websocket("/ws")
@requires_auth
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
