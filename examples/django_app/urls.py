"""The routes; those of Ninja are below /ninja."""

from django.http import HttpRequest
from django.urls import path
from ninja import NinjaAPI

from kinde_guard import scope
from kinde_guard.ninja import KindeAuth

from .views import Flags, healthz, me, report, users

api = NinjaAPI(auth=KindeAuth())


@api.get("/users", auth=KindeAuth(scope("read:users")))
def ninja_users(request: HttpRequest) -> list[str]:
    return ["Ada", "Grace"]


urlpatterns = [
    path("healthz", healthz),
    path("me", me),
    path("users", users),
    path("flags", Flags.as_view()),
    path("orgs/<org_code>/report", report),
    path("ninja/", api.urls),
]
