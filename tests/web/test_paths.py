"""Public paths, exactly; and what calls itself a CORS preflight."""

from __future__ import annotations

from typing import Any

import pytest

from kinde_guard import ConfigurationError
from kinde_guard.web.paths import PublicPaths, is_preflight

PUBLIC = PublicPaths(["/", "/healthz", "/static/*", "/files/open/*", "/ünï"])


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/healthz",
        "/static/",
        "/static/app.js",
        "/static/css/app.css",
        "/static/css/",
        "/static/a.b/c",
        "/files/open/1",
        "/ünï",
    ],
)
def test_public(path: str) -> None:
    assert PUBLIC.cover(path)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("", id="empty"),
        pytest.param("/users", id="not listed"),
        pytest.param("/Healthz", id="case"),
        pytest.param("/HEALTHZ", id="upper case"),
        pytest.param("/healthz/", id="slash at the end"),
        pytest.param("/healthz/more", id="below an exact path"),
        pytest.param("/healthz2", id="begins alike"),
        pytest.param("healthz", id="no slash"),
        pytest.param(" /healthz", id="space before"),
        pytest.param("/healthz ", id="space behind"),
        pytest.param("/healthz\n", id="newline behind"),
        pytest.param("/healthz?x", id="a question mark that was encoded"),
        pytest.param("/healthz;x", id="a parameter"),
        pytest.param("/static", id="what the pattern lies below"),
        pytest.param("/static//", id="two slashes at the end"),
        pytest.param("/Static/app.js", id="case below"),
        pytest.param("/staticky/app.js", id="begins like the folder"),
        pytest.param("/files/closed/1", id="beside it"),
        pytest.param("/static/../users", id="up"),
        pytest.param("/static/..", id="up at the end"),
        pytest.param("/static/..;/users", id="up with a parameter"),
        pytest.param("/static/a/../../users", id="up twice"),
        pytest.param("/static/..\\users", id="up and a backslash"),
        pytest.param("/static/./app.js", id="a dot segment"),
        pytest.param("/static/.", id="a dot segment at the end"),
        pytest.param("/static//app.js", id="two slashes"),
        pytest.param("//healthz", id="two slashes before"),
        pytest.param("//static/app.js", id="two slashes before the folder"),
        pytest.param("/static/a\\b", id="a backslash"),
        pytest.param("\\static\\a", id="backslashes alone"),
        pytest.param("/static/a\x00b", id="NUL"),
        pytest.param("/static/\x00", id="NUL at the end"),
        pytest.param("/static/%2e%2e/users", id="encoded twice"),
        pytest.param("/static/a%", id="a percent sign left"),
        pytest.param("/static/%252e", id="encoded three times"),
        pytest.param("/static/\ufffd", id="was not UTF-8"),
    ],
)
def test_not_public(path: str) -> None:
    """Whatever is not exactly a public path, or could be read in two ways, demands a token."""
    assert not PUBLIC.cover(path)


@pytest.mark.parametrize("path", ["/", "/healthz", "/static/a", ""])
def test_nothing_is_public_unless_it_is_said(path: str) -> None:
    assert not PublicPaths([]).cover(path)


@pytest.mark.parametrize(
    ("public", "sentence"),
    [
        pytest.param("/healthz", "write public=['/healthz']", id="text, not a list"),
        pytest.param(True, "is a list of paths", id="a switch"),
        pytest.param(["healthz"], "begins with a slash", id="no slash"),
        pytest.param([""], "begins with a slash", id="empty"),
        pytest.param([b"/healthz"], "begins with a slash", id="bytes"),
        pytest.param(["*"], "begins with a slash", id="everything"),
        pytest.param(["/*"], "every path public", id="everything below the root"),
        pytest.param(["/a/*/b"], "exact, or it ends in", id="a star in the middle"),
        pytest.param(["/a*"], "exact, or it ends in", id="a star without a slash"),
        pytest.param(["/a/**"], "exact, or it ends in", id="two stars"),
        pytest.param(["/a?b"], "exact, or it ends in", id="a query"),
        pytest.param(["/a/../b"], "exact, or it ends in", id="up"),
        pytest.param(["/a//b"], "exact, or it ends in", id="two slashes"),
        pytest.param(["/a%20b"], "exact, or it ends in", id="encoded"),
        pytest.param(["//*"], "exact, or it ends in", id="two slashes and a star"),
    ],
)
def test_wrong_patterns_fail_at_start_up(public: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PublicPaths(public)
    assert sentence in str(caught.value)


def test_patterns_can_be_read() -> None:
    paths = PublicPaths(iter(["/healthz", "/static/*"]))
    assert paths.patterns == ("/healthz", "/static/*")
    assert repr(paths) == "PublicPaths(['/healthz', '/static/*'])"


@pytest.mark.parametrize(
    ("method", "headers", "genuine"),
    [
        ("OPTIONS", {"origin", "access-control-request-method"}, True),
        ("OPTIONS", {"origin"}, False),
        ("OPTIONS", {"access-control-request-method"}, False),
        ("OPTIONS", set(), False),
        ("GET", {"origin", "access-control-request-method"}, False),
        ("POST", {"origin", "access-control-request-method"}, False),
        ("options", {"origin", "access-control-request-method"}, False),
        # Behind a method-override middleware these would be a DELETE; no browser sends them with a preflight.
        ("OPTIONS", {"origin", "access-control-request-method", "x-http-method-override"}, False),
        ("OPTIONS", {"origin", "access-control-request-method", "x-http-method"}, False),
        ("OPTIONS", {"origin", "access-control-request-method", "x-method-override"}, False),
    ],
)
def test_preflight(method: str, headers: set[str], genuine: bool) -> None:
    assert is_preflight(method, headers.__contains__) is genuine


@pytest.mark.parametrize(
    ("pattern", "public"),
    [
        ("/healthz", True),
        ("/static/a", True),
        ("/static/*", True),
        ("/static/a/*", True),
        ("/static", False),
        ("/*", False),
        ("/healthz/*", False),
        ("/stat/*", False),
        ("/{name}/*", False),
        ("", False),
    ],
)
def test_patterns_within_patterns(pattern: str, public: bool) -> None:
    assert PublicPaths(["/healthz", "/static/*"]).include(pattern) is public
