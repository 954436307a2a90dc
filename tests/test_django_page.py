"""The page on Django is true: its code makes up a project, in files as a reader would write them; its tests pass."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from servers import clean_environment
from waiting import LONG

ROOT = Path(__file__).parents[1]
PAGE = ROOT.joinpath("docs/django.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

FILES = {
    "settings.py": ("MIDDLEWARE = [", "REST_FRAMEWORK = {"),
    "views.py": ("def users(request):  ",),
    "people.py": ("class Users(View):",),
    "rest.py": ("class Users(APIView):",),
    "ninjas.py": ("api = NinjaAPI(",),
    "test_page.py": ("def test_reader(client, kinde_caller)",),
}
"""Which blocks stand in which file of the project: those with these words in them."""

REST_OF_SETTINGS = """
SECRET_KEY = "made up"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "urls"
INSTALLED_APPS += ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
"""
URLS = """
from django.urls import path

import ninjas
import people
import rest
import views

urlpatterns = [
    path("users", views.users),
    path("orgs/<org_code>/report", views.report),
    path("people", people.Users.as_view()),
    path("rest/users", rest.Users.as_view()),
    path("rest/orgs/<org_code>/report", rest.Report.as_view()),
    path("ninja/", ninjas.api.urls),
]
"""
CONFTEST = """
import django
import pytest
from django.test import Client

django.setup()


@pytest.fixture
def client():
    return Client()
"""
ROUTES = """
import pytest
from django.core.management import call_command
from kinde_guard import org, permission, scope
from kinde_guard.testing import assert_requires, headers

REPORTS = org("org_1") & (scope("read:reports") | permission("view:reports"))


@pytest.mark.parametrize(
    ("method", "path", "demand"),
    [
        ("GET", "/users", scope("read:users")),
        ("GET", "/orgs/org_1/report", org("org_1")),
        ("GET", "/people", scope("read:users")),
        ("POST", "/people", scope("read:users", "write:users")),
        ("GET", "/rest/users", scope("read:users")),
        ("GET", "/rest/orgs/org_1/report", REPORTS),
        ("GET", "/ninja/users", scope("read:users")),
        ("GET", "/ninja/orgs/org_1/report", org("org_1")),
    ],
)
def test_a_route(client, method, path, demand):
    assert_requires(client, method, path, demand)


def test_real_tokens(client, kinde_trust, kinde_token):
    kinde_trust(client)
    token = kinde_token(scope="read:users")
    for path in ("/users", "/people", "/rest/users", "/ninja/users"):
        assert client.get(path).status_code == 401
        assert "caller" in client.get(path, headers=headers(token)).json()


def test_nothing_is_amiss():
    call_command("check", deploy=False)
"""


def test_every_block_has_its_file() -> None:
    found = [block for block in BLOCKS for words in FILES.values() if any(word in block for word in words)]
    assert found == BLOCKS


def test_the_project_does_what_the_page_says(tmp_path: Path) -> None:
    rest = {"settings.py": REST_OF_SETTINGS, "urls.py": URLS, "conftest.py": CONFTEST, "test_routes.py": ROUTES}
    for name in FILES | rest:
        blocks = [block for word in FILES.get(name, ()) for block in BLOCKS if word in block]
        tmp_path.joinpath(name).write_text("\n".join([*blocks, rest.get(name, "")]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**clean_environment(), "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert "11 passed" in done.stdout, done.stdout + done.stderr
