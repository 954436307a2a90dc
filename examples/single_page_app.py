"""A single-page app that signs people in at Kinde, and the API that it calls with their tokens.

KINDE_DOMAIN, KINDE_AUDIENCE, and as KINDE_CLIENT_ID a front-end app of yours, which must be authorised for the API and
have this page's URL (http://127.0.0.1:8000/) among its allowed callback and logout redirect URLs.

uvicorn examples.single_page_app:app
"""

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

from kinde_guard.fastapi import KindeGuard, Token, requires_permission, requires_scope

DOMAIN = os.environ["KINDE_DOMAIN"].rstrip("/")
ISSUER = DOMAIN if "://" in DOMAIN else f"https://{DOMAIN}"
SIGN_IN = {"issuer": ISSUER, "audience": os.environ["KINDE_AUDIENCE"], "clientId": os.environ["KINDE_CLIENT_ID"]}
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {ISSUER}; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # for a moment the page's URL has a code in it
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
FILES = Path(__file__).parent

app = FastAPI(openapi_url=None)
KindeGuard(app, public=["/", "/app.js", "/app.css", "/sign-in.json"])


@app.get("/")
def page() -> FileResponse:
    return FileResponse(FILES / "single_page_app.html", headers=HEADERS)


@app.get("/app.js")
def script() -> FileResponse:
    return FileResponse(FILES / "single_page_app.js", headers=HEADERS)


@app.get("/app.css")
def style() -> FileResponse:
    return FileResponse(FILES / "single_page_app.css", headers=HEADERS)


@app.get("/sign-in.json")
def sign_in() -> dict[str, str]:
    return SIGN_IN


@app.get("/api/me")
def me(token: Token) -> dict[str, object]:
    return {"subject": token.subject, "organization": token.org_code, "permissions": sorted(token.permissions)}


@app.get("/api/users")
@requires_permission("read:users")  # a user's token carries what the user may do
def users() -> list[dict[str, str]]:
    return [{"id": "kp_1", "name": "Ada"}, {"id": "kp_2", "name": "Grace"}]


@app.post("/api/flags", status_code=201)
@requires_scope("write:flags")  # a scope of this API is granted to machine-to-machine apps: for users, a refusal
def create_flag(flag: dict[str, bool]) -> dict[str, bool]:
    return flag
