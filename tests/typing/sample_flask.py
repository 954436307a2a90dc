"""What a user of ``kinde_guard.flask`` writes; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, jsonify
from flask.views import MethodView

from kinde_guard import AuthError, machine, scope
from kinde_guard.flask import (
    KindeGuard,
    current_token,
    optional_token,
    requires,
    requires_auth,
    requires_org,
    requires_role,
    requires_scope,
    token_or_none,
)

app = Flask(__name__)
kinde = KindeGuard()
orders = Blueprint("orders", __name__)
orders.before_request(requires_role("clerk"))


@app.get("/users")
@requires_scope("read:users")
def users() -> dict[str, str | None]:
    current_token.require(scope("write:users") | machine)
    return {"caller": current_token.client_id}


@app.get("/orgs/<org_code>")
@requires_org(path="org_code")
async def organization(org_code: str) -> Response:
    return jsonify(org_code)


@app.get("/")
def home() -> str:
    token = optional_token() or token_or_none()
    return "nobody" if token is None else token.subject


class Orders(MethodView):
    decorators = [requires_auth]  # noqa: RUF012

    @requires(scope("read:orders") & machine)
    def get(self) -> Response:
        return jsonify([])


@app.errorhandler(AuthError)
def refused(error: AuthError) -> tuple[bytes, int, dict[str, str]]:
    return error.body(), error.status, error.headers


orders.add_url_rule("/orders", view_func=Orders.as_view("orders"))
app.register_blueprint(orders)
kinde.init_app(app)
kinde.guard.warm()
KindeGuard(app, public=["/healthz"], audience="https://api.acme.com", retry_after=10)

KindeGuard(app, audiance="https://api.acme.com")  # type: ignore[call-arg]
KindeGuard(app, cache_size="16_384")  # type: ignore[arg-type]
requires_scope(users)  # type: ignore[arg-type]
current_token.scopes.add("admin")  # type: ignore[attr-defined]
users(1)  # type: ignore[call-arg]
