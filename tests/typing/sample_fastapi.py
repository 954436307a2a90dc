"""What a user of ``kinde_guard.fastapi`` writes; mypy and pyright, both strict, say nothing but where it is wrong."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, FastAPI, Security

from kinde_guard import AccessToken, Guard, machine, permission, scope
from kinde_guard.fastapi import (
    AccessTokenSecurity,
    KindeGuard,
    OptionalToken,
    Token,
    TokenOrNone,
    access_token,
    requires,
    requires_auth,
    requires_permission,
    requires_scope,
)
from kinde_guard.testing import caller

app = FastAPI(dependencies=[requires_auth])
router = APIRouter(dependencies=[requires_scope("read:orders"), Security(access_token, scopes=["read:all"])])
partners = AccessTokenSecurity(Guard("partners.kinde.com", audience="https://api.acme.com"), scheme_name="Partners")


@app.get("/users")
@requires_scope("read:users")
def users() -> list[str]:
    return []


@app.get("/me")
async def me(token: Token) -> dict[str, str | None]:
    token.require(scope("profile") | permission("profile:read"))
    return {"subject": token.subject, "org": token.org_code}


@app.get("/")
def home(maybe: OptionalToken, anybody: TokenOrNone) -> bool:
    return maybe is not None and anybody is not None and maybe.subject == anybody.subject


@router.get("/orders")
@requires(machine & scope("read:orders"))
async def orders(token: Annotated[AccessToken, requires_permission("orders:read")]) -> str:
    return token.subject


@app.get("/partners")
def of_partners(token: Annotated[AccessToken, Security(partners, scopes=["read:partners"])]) -> str:
    return token.subject


app.include_router(router)
kinde = KindeGuard(app, public=["/healthz"], audience="https://api.acme.com", usable_for=3_600)
KindeGuard(app, swagger_client_id="0123456789abcdef", permissions_as_scopes=True)
KindeGuard().init_app(app)


def a_test() -> None:
    with caller(app, scopes=["read:users"]):
        pass


KindeGuard(app, audiance="https://api.acme.com")  # type: ignore[call-arg]
KindeGuard(app, clients=7)  # type: ignore[arg-type]
requires_auth()  # type: ignore[call-arg]
requires("read:users")  # type: ignore[arg-type]
users(1)  # type: ignore[call-arg]
