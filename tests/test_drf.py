"""Django REST framework: who calls, whether they may, and what its documents say of that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.cache import cache
from django.core.checks import run_checks
from django.test import override_settings
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_page
from django_project import MIDDLEWARE, Ask, bearer, over_asgi, over_wsgi, with_an_unread_body
from helpers import CLIENT, M2M, USER, Issuer, Time, guard_of, mint
from openapi_spec_validator import validate
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import action, api_view, permission_classes
from rest_framework.permissions import AllowAny, BasePermission, IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet
from waiting import LONG

from kinde_guard import AccessToken, ConfigurationError, Guard, permission, scope
from kinde_guard.django import requires_scope
from kinde_guard.drf import HasOrg, HasPermission, HasRole, HasScope, KindeAuthentication, KindeUser, Requires

ORG = "org_1486622b2cd"
asked: list[str] = []


class Robot:
    is_authenticated = True

    def __str__(self) -> str:
        return "robot"


class ApiKey(BaseAuthentication):
    """Of a project's own: its callers have no token."""

    def authenticate(self, request: Request) -> tuple[Robot, str] | None:
        return (Robot(), "a key") if request.headers.get("X-Key") == "right" else None

    def authenticate_header(self, request: Request) -> str:
        return "Key"


class Nobody(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return False


class Anybody(BasePermission):
    def has_object_permission(self, request: Request, view: APIView, obj: object) -> bool:
        return True


def answer(request: Request) -> Response:
    asked.append(request.path)
    return Response({"user": str(request.user), "token": isinstance(request.auth, AccessToken)})


class View(APIView):
    def get(self, request: Request, **kwargs: str) -> Response:
        return answer(request)


class Objects(View):
    """Has its object looked at, too."""

    def get(self, request: Request, **kwargs: str) -> Response:
        self.check_object_permissions(request, "an object")
        return answer(request)


def view(*permissions: Any, ways: Any = (KindeAuthentication,), base: type = View, **more: Any) -> Any:
    """A view with these permission classes, whom these authentication classes let in."""
    return base.as_view(permission_classes=permissions, authentication_classes=ways, **more)  # type: ignore[attr-defined]


class Asking(APIView):
    """Demands something in its code."""

    def get(self, request: Request) -> Response:
        request.auth.require(permission("view:secrets"))
        return answer(request)


class Decorated(APIView):
    @requires_scope("read:users")
    def get(self, request: Request) -> Response:
        return answer(request)

    @method_decorator(requires_scope("write:flags"))
    def post(self, request: Request) -> Response:
        return answer(request)


@api_view(["GET"])
@permission_classes([HasScope("read:users")])
def by_function(request: Request) -> Response:
    return answer(request)


@api_view(["GET"])
@requires_scope("read:users")
def decorated_function(request: Request) -> Response:
    return answer(request)


class Users(ViewSet):
    permission_classes = (HasScope("read:users"),)

    def list(self, request: Request) -> Response:
        return answer(request)

    @action(detail=False, permission_classes=[HasScope("write:flags")])
    def flags(self, request: Request) -> Response:
        return answer(request)


router = SimpleRouter()
router.register("router/users", Users, basename="users")

urlpatterns = [
    path("default", View.as_view()),
    path("open", view(AllowAny)),
    path("scope", view(HasScope("read:users"))),
    path("two", view(HasScope("read:users"), HasScope("write:flags"))),
    path("permission", view(HasPermission("view:stats"))),
    path("role", view(HasRole("admin"))),
    path("org", view(HasOrg(ORG))),
    path("orgs/<org_code>", view(HasOrg(path="org_code"))),
    path("either", view(Requires(scope("read:users") | permission("view:stats")))),
    path("asking", Asking.as_view()),
    path("decorated", Decorated.as_view()),
    path("function", by_function),
    path("function/decorated", decorated_function),
    path("keys", view(IsAuthenticated, ways=(KindeAuthentication, ApiKey))),
    path("keys/scope", view(HasScope("read:users"), ways=(KindeAuthentication, ApiKey))),
    path("keys/first", view(HasScope("read:users"), ways=(ApiKey, KindeAuthentication))),
    path("and", view(IsAuthenticated & HasScope("read:users"))),
    path("or", view(HasScope("read:users") | Anybody)),
    path("or/last", view(Nobody | HasScope("read:users"))),
    path("ours", view(HasScope("read:users") & HasScope("write:flags"))),
    path("ours/either", view(HasScope("read:users") | HasPermission("view:stats"))),
    path("objects", view(HasScope("read:users") | Nobody, base=Objects)),
    path("staff", view(IsAdminUser)),
    path("throttled", view(IsAuthenticated, throttle_classes=[])),
    path("", include(router.urls)),
]


@contextmanager
def project(guard: Guard | None = None, *, middleware: Any = (), urls: Any = None, **options: Any) -> Iterator[None]:
    asked.clear()
    options["guard"] = guard or guard_of(Issuer())
    with override_settings(ROOT_URLCONF=urls or __name__, KINDE_GUARD=options, MIDDLEWARE=list(middleware)):
        yield


@pytest.fixture(params=[over_wsgi, over_asgi])
def ask(request: pytest.FixtureRequest) -> Ask:
    found: Ask = request.param
    return found


USERS = bearer(mint())
APPS = bearer(mint(base=M2M))  # with read:users and write:flags
SUBJECT = USER["sub"]


def with_scope(*names: str) -> dict[str, str]:
    return bearer(mint({"scope": " ".join(names), "scp": list(names)}, base=M2M))


@pytest.mark.parametrize("path", ["/default", "/scope", "/function", "/router/users/", "/two", "/or/last"])
def test_a_refusal_has_its_challenge_without_a_handler_of_ours(ask: Ask, path: str) -> None:
    """REST framework's own handler renders what a refusal says of itself, if it is right."""
    with project():
        stranger, forged = ask("GET", path), ask("GET", path, headers=bearer("forged"))
        expired = ask("GET", path, headers=bearer(mint({"exp": 1})))
        twice = ask("GET", path, headers={"Authorization": "Bearer a, Bearer b"})
        assert ask("GET", path, headers=APPS).status_code == 200
        assert len(asked) == 1
    assert (stranger.status_code, stranger.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    assert forged.headers["WWW-Authenticate"].startswith('Bearer realm="api", error="invalid_token"')
    assert (expired.status_code, expired.json()) == (401, {"detail": "The access token has expired."})
    assert (twice.status_code, 'error="invalid_request"' in twice.headers["WWW-Authenticate"]) == (400, True)


@pytest.mark.parametrize("path", ["/default", "/scope", "/function", "/two", "/keys"])
def test_a_refused_body_is_not_read(path: str) -> None:
    """Under WSGI, where it is still on its way."""
    with project():
        for headers in ({}, bearer("forged"), bearer(mint({"exp": 1}))):
            refused = with_an_unread_body(path, headers={"Content-Type": "application/json", **headers})
            assert (refused.status_code, refused.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
    assert asked == []


@pytest.mark.parametrize("path", ["/scope", "/function", "/router/users/", "/decorated"])
def test_two_authorization_headers_are_400(path: str) -> None:
    """Under ASGI Django joins them with a comma; the scope has both. Each alone would be let in."""
    with project():
        for twice in ([*APPS.items(), *APPS.items()], [*APPS.items(), ("authorization", "Basic x")]):
            refused = over_asgi("GET", path, headers=twice)
            assert (refused.status_code, 'error="invalid_request"' in refused.headers["WWW-Authenticate"]) == (
                400,
                True,
            )
        assert asked == []
        assert over_asgi("GET", path, headers=APPS).status_code == 200


@pytest.mark.parametrize(("path", "let_in"), [
    ("/scope", APPS), ("/function", APPS), ("/router/users/", APPS), ("/router/users/flags/", APPS),
    ("/permission", USERS), ("/org", USERS), (f"/orgs/{ORG}", USERS), ("/decorated", APPS),
    ("/function/decorated", APPS),
    ("/role", bearer(mint({"roles": [{"id": "x", "key": "admin", "name": "Admin"}]}))),
])  # fmt: skip
def test_who_lacks_something_is_told_what(ask: Ask, path: str, let_in: dict[str, str]) -> None:
    with project(middleware=[MIDDLEWARE]):
        refused = ask("GET", path, headers=APPS if let_in is not APPS else USERS)
        assert ask("GET", path, headers=let_in).status_code == 200
        assert ask("GET", path).status_code == 401
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert ('scope="' in refused.headers["WWW-Authenticate"]) is (let_in is APPS)


def test_the_organization_is_that_of_the_path(ask: Ask) -> None:
    with project():
        assert ask("GET", "/orgs/org_of_another", headers=USERS).status_code == 403
    assert asked == []


def test_several_permission_classes_are_one_demand(ask: Ask) -> None:
    with project():
        for names in (["other"], ["read:users"], ["write:flags"]):
            for path in ("/two", "/ours"):
                refused = ask("GET", path, headers=with_scope(*names))
                assert 'scope="read:users write:flags"' in refused.headers["WWW-Authenticate"]
        assert ask("GET", "/two", headers=APPS).status_code == ask("GET", "/ours", headers=APPS).status_code == 200


def test_alternatives_of_ours(ask: Ask) -> None:
    with project():
        for path in ("/either", "/ours/either"):
            assert ask("GET", path, headers=APPS).status_code == ask("GET", path, headers=USERS).status_code == 200
            refused = ask("GET", path, headers=with_scope("other"))
            assert 'scope="read:users"' in refused.headers["WWW-Authenticate"]


def test_an_outage_is_503_with_the_time_to_wait(ask: Ask) -> None:
    down = Issuer()
    down.status = 503
    with project(guard_of(down)):
        answer = ask("GET", "/scope", headers=APPS)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert "WWW-Authenticate" not in answer.headers


def test_who_has_no_token_may_be_known_to_another_class(ask: Ask) -> None:
    with project():
        assert ask("GET", "/keys", headers={"X-Key": "right"}).json() == {"user": "robot", "token": False}
        assert ask("GET", "/keys", headers=APPS).json()["token"] is True
        assert ask("GET", "/keys").headers["WWW-Authenticate"] == 'Bearer realm="api"'
        bad_and_known = ask("GET", "/keys", headers={"X-Key": "right", **bearer("forged")})
        assert bad_and_known.status_code == 401


@pytest.mark.parametrize("path", ["/keys/scope", "/keys/first"])
def test_a_permission_class_says_no_to_what_is_no_token(ask: Ask, path: str) -> None:
    """And does not fail on it."""
    with project():
        assert ask("GET", path, headers={"X-Key": "right"}).status_code == 403
        assert ask("GET", path, headers=APPS).status_code == 200
    assert asked == [path]


def test_in_a_composition_it_says_no_so_that_others_are_asked(ask: Ask) -> None:
    with project():
        assert ask("GET", "/or", headers=USERS).status_code == 200  # Anybody
        assert ask("GET", "/objects", headers=APPS).status_code == 200
        for path in ("/and", "/or/last", "/objects"):
            assert ask("GET", path, headers=USERS).status_code == 403
            assert ask("GET", path, headers=APPS).status_code == 200
            assert ask("GET", path).status_code == 401


@pytest.mark.parametrize("made", [
    HasScope("a"), HasPermission("a"), HasRole("a"), HasOrg("a"), Requires(scope("a")), HasScope("a") & HasScope("b"),
    HasScope("a") | HasScope("b"),
])  # fmt: skip
def test_inverting_one_is_a_mistake(made: Requires) -> None:
    """It would let in who has no token."""
    with pytest.raises(ConfigurationError, match="would let in who has no token"):
        _ = ~made


INVERTED = [
    ~(IsAuthenticated & HasScope("a")), ~(IsAdminUser & IsAuthenticated & HasScope("a")),
    ~(HasScope("a") | IsAdminUser), AllowAny & ~(HasScope("a") & IsAuthenticated),
]  # fmt: skip


@pytest.mark.parametrize("inverted", INVERTED)
def test_inverting_a_composition_is_a_mistake(ask: Ask, inverted: Any) -> None:
    """``manage.py check`` says so; with the middleware nothing is served until it is mended."""
    urls = type("Urls", (), {"urlpatterns": [path("it", view(inverted)), path("open", view(AllowAny))]})
    with project(urls=urls, middleware=[MIDDLEWARE]):
        (message,) = run_checks()
        assert (message.id, "inverts (~)" in message.msg) == ("kinde_guard.E003", True)
        assert ask("GET", "/it").status_code == ask("GET", "/open").status_code == 500
    assert asked == []


@pytest.mark.parametrize("inverted", INVERTED)
@pytest.mark.parametrize("headers", [None, USERS, APPS])
def test_an_inversion_that_cannot_be_seen_before(ask: Ask, inverted: Any, headers: dict[str, str] | None) -> None:
    """A view that says what it demands when it is asked. Who has no token does not come in either, whom the first part
    of a composition refuses, and for whom the second is never asked."""

    class Inverting(View):
        def get_permissions(self) -> list[Any]:
            return [inverted()]

    urls = type("Urls", (), {"urlpatterns": [path("it", Inverting.as_view())]})
    with project(urls=urls):
        assert ask("GET", "/it", headers=headers).status_code == 500
    assert asked == []


def test_what_a_view_demands_itself_is_a_403(ask: Ask) -> None:
    with project(middleware=[MIDDLEWARE]):
        refused = ask("GET", "/asking", headers=USERS)
    assert (refused.status_code, refused.headers["Content-Type"]) == (403, "application/problem+json")


def test_the_token_of_a_request(ask: Ask) -> None:
    with project(middleware=[MIDDLEWARE], public=["/open"]):
        assert ask("GET", "/default", headers=USERS).json() == {"user": SUBJECT, "token": True}
        assert ask("GET", "/default", headers=APPS).json() == {"user": CLIENT, "token": True}
        assert ask("GET", "/open", headers=APPS).json() == {"user": CLIENT, "token": True}
        assert ask("GET", "/open").json() == {"user": "AnonymousUser", "token": False}
        assert ask("GET", "/default", headers=USERS).headers["Cache-Control"] == "private"
        assert ask("GET", "/unknown").status_code == 401


def test_a_user_without_a_row(guard: Guard) -> None:
    """Never one of the staff; Django's own permissions are rows."""
    user = KindeUser(guard.verify(mint()))
    assert (user.pk, user.id, user.get_username(), str(user)) == (SUBJECT,) * 4
    assert (user.is_authenticated, user.is_active) == (True, True)
    assert (user.is_anonymous, user.is_staff, user.is_superuser) == (False, False, False)
    assert not any([user.has_perm("auth.add_user"), user.has_perms(["auth.add_user"]), user.has_module_perms("auth")])
    assert user.token.subject == SUBJECT


def test_a_caller_is_no_member_of_staff(ask: Ask) -> None:
    with project():
        assert ask("GET", "/staff", headers=USERS).status_code == 403


def test_throttling_counts_by_caller(guard: Guard) -> None:
    request = Request(APIRequestFactory().get("/"))
    request.user = KindeUser(guard.verify(mint()))
    throttle = UserRateThrottle.__new__(UserRateThrottle)
    assert SUBJECT in throttle.get_cache_key(request, None)


class Row(Robot):
    """A user of the project's own."""

    def __init__(self, subject: str) -> None:
        self.subject = subject

    def __str__(self) -> str:
        return f"row of {self.subject}"


def row_of(token: AccessToken) -> Row | None:
    """Machines have none."""
    return None if token.is_m2m else Row(token.subject)


@pytest.mark.parametrize("user_of", [row_of, f"{__name__}.row_of"])
def test_user_of_is_the_project_s_own(ask: Ask, user_of: Any) -> None:
    with project(user_of=user_of):
        assert ask("GET", "/default", headers=USERS).json()["user"] == f"row of {SUBJECT}"
        refused = ask("GET", "/default", headers=APPS)
        assert (refused.status_code, refused.json()["detail"]) == (403, "This resource is not for this kind of caller.")
    assert asked == ["/default"]


def test_metadata_is_named_in_challenges(ask: Ask) -> None:
    url = "https://api.acme.com/.well-known/oauth-protected-resource"
    with project(middleware=[MIDDLEWARE], resource="https://api.acme.com"):
        for token in ({}, bearer("forged"), USERS):
            assert f'resource_metadata="{url}"' in ask("GET", "/scope", headers=token).headers["WWW-Authenticate"]
        assert ask("GET", "/.well-known/oauth-protected-resource").json()["scopes_supported"] == [
            "read:users",
            "write:flags",
        ]


def test_a_cache_above_keeps_nothing_that_was_made_for_a_token(ask: Ask) -> None:
    cache.clear()
    time = Time()
    urls = type("Urls", (), {"urlpatterns": [path("it", cache_page(LONG)(view(HasScope("read:users"))))]})
    with project(guard_of(Issuer(), time), urls=urls):
        assert ask("GET", "/it", headers=APPS).status_code == 200
        assert (ask("GET", "/it").status_code, ask("GET", "/it", headers=USERS).status_code) == (401, 403)
        time.passes(90_000)  # until the token has expired
        assert ask("GET", "/it", headers=APPS).status_code == 401


def test_a_preflight_that_is_refused_is_told_of(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    with project():
        assert ask("OPTIONS", "/scope", headers={**preflight, **USERS}).status_code == 403
    assert [record.message for record in caplog.records if "preflight" in record.message] != []


def test_permission_classes_that_nobody_can_meet() -> None:
    urls = type("Urls", (), {"urlpatterns": [path("it", view(HasScope("read:users"), ways=[ApiKey]))]})
    with project(urls=urls):
        (message,) = run_checks()
    assert (message.id, "lets nobody in" in message.msg) == ("kinde_guard.W003", True)
    with project():
        assert {found.id for found in run_checks()} == {"kinde_guard.E004"}
    with project(middleware=[MIDDLEWARE]):
        assert run_checks() == []


def test_force_authenticate(guard: Guard) -> None:
    request = APIRequestFactory().get("/")
    force_authenticate(request, user="somebody", token=guard.verify(mint(base=M2M)))
    with project():
        assert view(HasScope("read:users"))(request).data == {"user": "somebody", "token": True}


def test_wrong_classes() -> None:
    with pytest.raises(ConfigurationError, match="a requirement is needed"):
        Requires("read:users")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="requires_org"):
        HasOrg()
    assert repr(HasScope("a") & HasScope("b")) == "Requires(scope('a') & scope('b'))"


def document() -> dict[str, Any]:
    from drf_spectacular.generators import SchemaGenerator

    with project():
        generator: Any = SchemaGenerator
        made: dict[str, Any] = generator().get_schema(public=True)
    return made


@pytest.mark.filterwarnings("ignore")
def test_spectacular_s_document(capsys: pytest.CaptureFixture[str]) -> None:
    """The security of each operation, with the scopes without which nobody gets in."""
    made = document()
    validate(made)
    assert made["components"]["securitySchemes"]["Kinde"]["scheme"] == "bearer"
    security = {path: item["get"]["security"] for path, item in made["paths"].items() if "get" in item}
    assert security["/default"] == [{"Kinde": []}]
    assert security["/scope"] == security["/function"] == security["/router/users/"] == [{"Kinde": ["read:users"]}]
    assert security["/router/users/flags/"] == [{"Kinde": ["write:flags"]}]
    assert security["/two"] == security["/ours"] == [{"Kinde": ["read:users", "write:flags"]}]
    assert security["/and"] == security["/decorated"] == [{"Kinde": ["read:users"]}]
    assert security["/or"] == security["/either"] == [{"Kinde": []}]
    assert security["/open"] == [{"Kinde": []}, {}]
    assert made["paths"]["/decorated"]["post"]["security"] == [{"Kinde": ["write:flags"]}]


LOADING = """
import sys
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework" {more}],
    REST_FRAMEWORK={{"DEFAULT_AUTHENTICATION_CLASSES": ["kinde_guard.drf.KindeAuthentication"]}})
import django
django.setup()
{code}
"""


@pytest.mark.parametrize("more", ["", ', "drf_spectacular"'])
def test_the_module_is_loaded_while_rest_framework_s_views_are(more: str) -> None:
    """It is named in a setting that they read as they are loaded: it cannot import them."""
    for code in (
        "import rest_framework.views",
        "import kinde_guard.drf, rest_framework.views",
        "import kinde_guard.drf; assert 'rest_framework.views' not in sys.modules or 'drf_spectacular' in sys.modules",
    ):
        done = subprocess.run(
            [sys.executable, "-c", LOADING.format(more=more, code=code)], capture_output=True, text=True, timeout=LONG
        )
        assert (done.returncode, done.stderr) == (0, "")
