"""A Flask app behind kinde_guard, configured by the environment alone (KINDE_DOMAIN, KINDE_AUDIENCE).

gunicorn --threads 8 examples.flask_app:app
"""

from flask import Flask, request
from flask.typing import ResponseReturnValue

from kinde_guard.flask import KindeGuard, current_token, requires_auth, requires_org, requires_scope

app = Flask(__name__)
KindeGuard(app, public=["/healthz"])  # every other path demands a valid token, unknown paths and /static included


@app.get("/healthz")
def healthz() -> ResponseReturnValue:
    return {"status": "ok"}


@app.get("/me")
@requires_auth
def me() -> ResponseReturnValue:
    return {
        "subject": current_token.subject,
        "client_id": current_token.client_id,
        "scopes": sorted(current_token.scopes),
    }


@app.get("/users")
@requires_scope("read:users")
def users() -> ResponseReturnValue:
    return [{"id": "kp_1", "name": "Ada"}, {"id": "kp_2", "name": "Grace"}]


@app.post("/flags")
@requires_scope("write:flags")
def create_flag() -> ResponseReturnValue:
    return request.get_json(), 201


@app.get("/orgs/<org_code>/report")
@requires_org(path="org_code")
def report(org_code: str) -> ResponseReturnValue:
    return {"org_code": org_code, "report": "all is well"}
