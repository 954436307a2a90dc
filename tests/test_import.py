"""Importing costs next to nothing, loads nothing that is not asked for, and says what is missing."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import pydoc
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest
from waiting import LONG

import kinde_guard

PACKAGE = Path(kinde_guard.__file__).parent
FRAMEWORKS = {
    "fastapi",
    "starlette",
    "flask",
    "werkzeug",
    "django",
    "pydantic",
    "typer",
    "rich",
    "uvicorn",
    "pytest",
    "mcp",
    "fastmcp",
}
HEAVY = {"asyncio", "httpx", "httpx2", "anyio", "jwt", "cryptography", "ssl", "socket", "concurrent"}
CORE = [
    "net.once", "net.frozen", "net.clocks", "net.forks", "net.headers", "tokens.digests", "web.wording",
    "tokens.spellings", "web.log_lines",
    "errors",
    "events", "settings.elsewhere", "settings.leavings", "settings.urls", "settings.variables", "settings.seeds",
    "settings.values", "settings", "tokens.jws",
    "tokens.claims", "tokens.caller", "tokens.access_token", "requirements.values", "requirements.text", "requirements",
    "tokens.rules", "keys.signatures", "keys.jwk", "keys.key_set", "keys.notices", "keys.seeding", "keys.health",
    "web.bearer", "net.watchdog",
    "net.workers", "net.attempt", "net.flight", "net.joining", "net.bounded", "net.exchange", "net.connect",
    "net.tls", "net.http1", "net.in_between", "net.direct", "net.transports", "net.fetch", "keys.jwks_request",
    "revocation.entry", "revocation.health", "keys.store", "keys.signed",
    "tokens.cache", "net.request_above", "net.verdict_reporter",
    "tokens.alike", "tokens.verdicts", "net.errands", "net.redis_client", "revocation.replica",
    "revocation.redis_streams", "revocation.followed", "revocation.notices", "revocation.follower",
    "revocation.ledger", "revocation.current", "webhooks.refusals", "webhooks.events", "revocation.policy",
    "revocation.revocations", "revocation", "revocation.checking", "guard", "web.well_known",
]  # fmt: skip
"""Each may import what stands before it."""
PUBLIC = {
    "adapters", "api_keys", "authenticator", "errors", "events", "guard", "requirements", "revocation", "settings",
    "webhooks",
}  # fmt: skip
NO_ADAPTERS = PUBLIC | {"__init__", "__main__", "otel"}


WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError("No module named {missing}", name={missing!r})

sys.meta_path.insert(0, Missing())
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, where nothing is loaded yet."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG, check=False)


def loaded_by(code: str) -> set[str]:
    """The top-level names of the modules that *code* loads, and the modules of our own in full."""
    tell = "new = sorted(set(sys.modules) - before); import json; print(json.dumps(new))"
    done = run(f"import sys; before = set(sys.modules); {code}; {tell}")
    assert done.returncode == 0, done.stderr
    return {name if name.startswith("kinde_guard") else name.partition(".")[0] for name in json.loads(done.stdout)}


def test_importing_the_package_loads_the_package() -> None:
    loaded = loaded_by("import kinde_guard")
    assert "kinde_guard" in loaded
    assert not loaded & (FRAMEWORKS | HEAVY)
    assert not {name for name in loaded if name.startswith("kinde_guard.")}


@pytest.mark.parametrize("code", [
    "from kinde_guard import scope, permission, role, org, flag, machine, user, Requirement, AccessToken",
    "from kinde_guard import AuthError, InvalidToken, KeysUnavailable; from kinde_guard.web import bearer, wording",
])  # fmt: skip
def test_what_needs_no_keys_loads_no_cryptography(code: str) -> None:
    assert not loaded_by(code) & (FRAMEWORKS | HEAVY)


def test_the_core_knows_no_framework() -> None:
    """Nor the adapters, the command line, the local issuer and the client."""
    loaded = loaded_by("from kinde_guard import *; import kinde_guard.asgi, kinde_guard.wsgi")
    assert not loaded & FRAMEWORKS
    ours = {name.partition(".")[2] for name in loaded if name.startswith("kinde_guard.")}
    assert not ours & {"fastapi", "starlette", "flask", "m2m", "testing", "cli", "issuer"}


@pytest.mark.parametrize(("algorithms", "loads"), [
    (["RS256"], False), (["RS256", "RS384", "RS512"], False),
    (["RS256", "PS256"], True), (["PS512"], True), (["ES256"], True), (["RS256", "EdDSA"], True),
])  # fmt: skip
def test_pyjwt_is_loaded_for_the_algorithms_that_need_it(algorithms: list[str], loads: bool) -> None:
    """When the guard is made. It takes longer to load than everything else together."""
    loaded = loaded_by(f"from kinde_guard import Guard; Guard('a.kinde.com', audience='x', algorithms={algorithms})")
    assert ("jwt" in loaded) is loads
    assert not loaded & {"httpx", "asyncio"}


def test_a_guard_loads_what_a_first_token_takes() -> None:
    """And nothing else: a function that is started for a request, and a server that restarts, wait for all of it."""
    made = "from kinde_guard import Guard; Guard('{}', audience='x')"
    unused = {"jwt", "httpx", "asyncio", "email", "http", "kinde_guard.events", "kinde_guard.requirements"}
    unused |= {"dataclasses", "inspect"}  # a dataclass takes 0.6 ms to define, and inspect 5 ms to load
    assert not loaded_by(made.format("a.kinde.com")) & unused
    assert not loaded_by(made.format("http://127.0.0.1:9400")) & {*unused, "ssl"}


def test_reporting_is_loaded_where_it_is_asked_for() -> None:
    """By the variable."""
    code = "from kinde_guard import Guard; Guard('a.kinde.com', audience='x', variables=[{}])"
    assert "kinde_guard.net.verdict_reporter" not in loaded_by(code)
    assert "kinde_guard.net.verdict_reporter" in loaded_by(
        code.replace("{}", "{'KINDE_REPORT_VERDICTS_TO': 'localhost'}")
    )


def imports_of(module: str) -> set[str]:
    """The modules of ours that *module* imports, but for type checkers."""
    place = PACKAGE / module.replace(".", "/")
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    parts = [*module.split("."), "__init__"] if place.is_dir() else module.split(".")
    tree = ast.parse(file.read_text())
    typing = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    skipped = {inner for node in typing for inner in ast.walk(node)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and node not in skipped:
            whole = ".".join([*parts[: -node.level], *([node.module] if node.module else [])])
            named = [f"{whole}.{alias.name}".strip(".") for alias in node.names]
            found |= {name if is_module(name) else whole for name in named}
    return found


def is_module(name: str) -> bool:
    place = PACKAGE / name.replace(".", "/")
    return place.is_dir() or place.with_suffix(".py").exists()


def every_import(module: str, files: Mapping[str, Path]) -> set[str]:
    """The modules of ours that *module* imports, wherever in the file."""
    above = module.split(".") if files[module].name == "__init__.py" else module.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(files[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = above[: len(above) - node.level + 1] if node.level else []
            whole = ".".join([*base, *([node.module] if node.module else [])])
            named = {f"{whole}.{alias.name}" for alias in node.names}
            found |= {name if name in files else whole for name in named}
    return found & (files.keys() - {module})


def reachable(imports: Mapping[str, set[str]], module: str) -> set[str]:
    """The modules that *module* needs, and those that they need."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        for needed in imports[waiting.pop()] - found:
            found.add(needed)
            waiting.append(needed)
    return found


def circles(imports: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """The groups of modules each of which needs the others."""
    needs = {module: reachable(imports, module) for module in imports}
    turning = [module for module in imports if module in needs[module]]
    return {frozenset(other for other in needs[module] if module in needs[other]) for module in turning}


def all_imports() -> dict[str, set[str]]:
    """By module, what it imports of ours: for type checkers and within functions, too."""
    files: dict[str, Path] = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return {module: every_import(module, files) for module in files}


def test_there_is_no_circle_of_imports() -> None:
    imports = all_imports()
    assert "kinde_guard.errors" in imports["kinde_guard.guard"]
    assert circles(imports) == set()


@pytest.mark.parametrize(("imports", "found"), [
    ({"a": {"b"}, "b": {"c"}, "c": set()}, set()),
    ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, {frozenset("bc")}),
    ({"a": {"b", "c"}, "b": {"a"}, "c": {"d"}, "d": {"c"}}, {frozenset("ab"), frozenset("cd")}),
])  # fmt: skip
def test_a_circle_is_found(imports: dict[str, set[str]], found: set[frozenset[str]]) -> None:
    assert circles(imports) == found


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def names_made(tree: ast.AST) -> set[str]:
    """What a file calls into being: functions, classes, variables, attributes that it sets, and slots."""
    made: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            made.add(node.attr)
    return made


def names_taken(tree: ast.AST) -> set[str]:
    """The private names that a file takes from others, as far as it can be told without types: it imports them, or
    asks things for them that it has not made."""
    taken: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            taken |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute):
            taken.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr"):
            taken |= {str(part.value) for part in node.args[1:2] if isinstance(part, ast.Constant)}
    return {name for name in taken if private(name)} - names_made(tree)


def names_of_bases(tree: ast.AST) -> set[str]:
    """A class may use what its bases have made."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {ast.unparse(base).rpartition(".")[2] for node in classes for base in node.bases}


def test_no_private_name_is_used_across_files() -> None:
    """Of what another file of ours makes; the insides of frameworks are another matter."""
    trees = {str(file.relative_to(PACKAGE)): ast.parse(file.read_text()) for file in PACKAGE.rglob("*.py")}
    made = {file: names_made(tree) for file, tree in trees.items()}
    found = {}
    for file, tree in trees.items():
        bases = names_of_bases(tree)
        foreign = [names for other, names in made.items() if other != file]
        inherited = set().union(*(names for names in foreign if names & bases))
        if used := names_taken(tree) & set().union(*foreign) - inherited:
            found[file] = used
    assert found == {}


@pytest.mark.parametrize(("text", "taken"), [
    ("from .guard import _Hidden", {"_Hidden"}),
    ("token._digest", {"_digest"}),
    ("getattr(place, '_settings', {})", {"_settings"}),
    ("self._own = 1; other._own; a.__dict__; from .names import shown as _hidden", set()),
    ("guard._stores = {}", {"_stores"}),
])  # fmt: skip
def test_a_private_name_of_another_file_is_found(text: str, taken: set[str]) -> None:
    assert names_taken(ast.parse(text)) == taken


def test_adapters_are_made_of_what_is_public_alone() -> None:
    """Ours as those of others. What of ``web`` the seam itself does not need belongs to one of them."""
    imports = all_imports()
    adapters = {f"kinde_guard.{file.stem}" for file in PACKAGE.glob("*.py") if file.stem not in NO_ADAPTERS}
    own = {name for name in imports if name.startswith("kinde_guard.web.")} - reachable(imports, "kinde_guard.adapters")
    assert {"kinde_guard.asgi", "kinde_guard.fastapi"} <= adapters
    assert {"kinde_guard.web.flask_routes", "kinde_guard.web.swagger"} <= own
    known = adapters | own | {f"kinde_guard.{name}" for name in PUBLIC}
    inside = {module: imports[module] - known for module in adapters | own}
    assert {module: found for module, found in inside.items() if found} == {}


@pytest.mark.parametrize("module", CORE)
def test_imports_point_downwards(module: str) -> None:
    assert imports_of(module) <= set(CORE[: CORE.index(module)])


def test_at_the_root_stands_what_people_import() -> None:
    """Few modules; what is private has a wing."""
    modules = [file.stem for file in PACKAGE.glob("*.py")]
    assert len(modules) <= 24
    imports = all_imports()
    inside = {f"kinde_guard.{name}" for name in modules if name not in ("__init__", "__main__")}
    adapters = inside - {f"kinde_guard.{name}" for name in NO_ADAPTERS}
    used_by_core = set().union(*(imports[f"kinde_guard.{name}"] for name in CORE if f"kinde_guard.{name}" in imports))
    assert not used_by_core & adapters


def test_public_names_are_few_and_loaded_when_asked_for() -> None:
    names = kinde_guard.__all__
    assert len(names) == len(set(names)) <= 20
    for name in names:
        assert getattr(kinde_guard, name) is getattr(kinde_guard, name)
        assert name in dir(kinde_guard)
    assert kinde_guard.Guard.__module__ == "kinde_guard.guard"
    assert {name for name in dir(kinde_guard) if not name.startswith("_")} >= set(names)


@pytest.mark.parametrize(("module", "names"), [
    ("asgi", "GuardMiddleware Attached IN_FORCE ASGIApp Message Receive Scope Send aauthenticate answered attach "
     "authenticate authorization can_answer guard_in_force is_cors_preflight is_open metadata_url nearest "
     "note_refusal path_of private_to_caller recognise refuse run_lifespan"),
    ("wsgi", "GuardMiddleware authenticate covers is_cors_preflight page_for private_to_caller send_page"),
])  # fmt: skip
def test_names_stay_where_they_were(module: str, names: str) -> None:
    """Adapters of others may stand on them."""
    loaded = importlib.import_module(f"kinde_guard.{module}")
    assert set(loaded.__all__) == set(names.split())
    assert all(getattr(loaded, name) is not None for name in loaded.__all__)


@pytest.mark.parametrize("module", ["kinde_guard.fastapi", "kinde_guard.starlette", "kinde_guard.flask"])
def test_an_adapter_is_called_by_the_name_it_is_imported_by(module: str) -> None:
    kind = importlib.import_module(module).KindeGuard
    assert (kind.__module__, kind.__qualname__) == (module, "KindeGuard")
    assert repr(kind()).startswith(f"<{module}.KindeGuard object")
    shown = pydoc.plain(pydoc.render_doc(kind))
    assert shown.startswith(f"Python Library Documentation: class KindeGuard in module {module}\n")
    assert "Puts a guard in front of a" in shown
    assert "init_app(self, app: " in shown
    assert "HTTPException" not in shown  # nor is anything else of the framework's explained


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'made_up'"):
        _ = kinde_guard.made_up  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        from kinde_guard import made_up  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize("code", [
    "import kinde_guard.m2m as m2m",
    "from kinde_guard import m2m",
    "from kinde_guard.m2m import ClientCredentials; from kinde_guard import m2m",
    "import kinde_guard, kinde_guard.m2m; m2m = kinde_guard.m2m",
    "from kinde_guard import *; import kinde_guard.m2m as m2m",
])  # fmt: skip
def test_m2m_is_the_module_and_nothing_else(code: str) -> None:
    """The requirement is ``machine``: one name means one thing, in whichever way it is imported."""
    done = run(f"{code}; from kinde_guard import machine; print(m2m.ClientCredentials.__name__, machine)")
    assert done.stdout.split() == ["ClientCredentials", "machine"], done.stderr


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    shown = {
        alias.asname
        for node in ast.walk(tree) if isinstance(node, ast.If)
        for inner in node.body if isinstance(inner, ast.ImportFrom)
        for alias in inner.names
    }  # fmt: skip
    assert shown == set(kinde_guard.__all__)
    assert (PACKAGE / "py.typed").exists()


def test_the_version_is_the_installed_one() -> None:
    assert kinde_guard.__version__ == metadata.version("kinde-guard")


@pytest.mark.parametrize(("module", "missing", "sentence"), [
    ("fastapi", "fastapi", "kinde_guard.fastapi needs FastAPI: pip install 'kinde-guard[fastapi]'"),
    ("starlette", "starlette", "kinde_guard.starlette needs Starlette: pip install 'kinde-guard[starlette]'"),
    ("otel", "opentelemetry", "kinde_guard.otel needs OpenTelemetry: pip install 'kinde-guard[otel]'"),
    ("flask", "flask", "kinde_guard.flask needs Flask: pip install 'kinde-guard[flask]'"),
    ("mcp", "mcp", "kinde_guard.mcp needs the MCP SDK: pip install 'kinde-guard[mcp]'"),
    ("fastmcp", "fastmcp", "kinde_guard.fastmcp needs fastmcp: pip install 'kinde-guard[fastmcp]'"),
    ("django", "django", "kinde_guard.django needs Django: pip install 'kinde-guard[django]'"),
    ("drf", "rest_framework", "kinde_guard.drf needs Django REST framework: pip install djangorestframework"),
    ("ninja", "ninja", "kinde_guard.ninja needs Django Ninja: pip install django-ninja"),
])  # fmt: skip
def test_a_missing_extra_is_named_in_one_sentence(module: str, missing: str, sentence: str) -> None:
    code = f"try:\n import kinde_guard.{module}\nexcept ImportError as error:\n print(error)"
    done = run(WITHOUT.format(missing=missing) + code)
    assert done.stdout.strip() == sentence, done.stderr


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_command_line_without_its_extra(missing: str) -> None:
    code = "from kinde_guard.cli import main; sys.exit(main(['demo']))"
    done = run(WITHOUT.format(missing=missing) + code)
    assert done.returncode == 2
    assert done.stderr.strip() == f"kinde-guard: the command line needs {missing}: pip install 'kinde-guard[cli]'"
    assert done.stdout == ""


@pytest.mark.parametrize("name", [
    "AccessTokenSecurity", "ApiKeys", "ClientCredentials", "GuardMiddleware", "KindeBackend", "KindeGuard",
    "KindeGuardMiddleware", "LocalIssuer", "Revocations", "RevocationsUnavailable", "Telemetry", "Token", "Unavailable",
    "WebhookReader", "atoken_or_none", "current_token", "docs_paths", "optional_token", "parse", "requires_scope",
    "token_or_none",
])  # fmt: skip
def test_names_that_are_looked_for_here_say_where_they_are(name: str) -> None:
    with pytest.raises(ImportError, match=f"^{name} is a name of kinde_guard") as refused:
        exec(f"from kinde_guard import {name}")
    for module in re.findall(r"(?:kinde_guard|(?<= ))(\.\w+)", str(refused.value)):
        if module == ".fastmcp" and importlib.util.find_spec("fastmcp") is None:
            continue  # an extra that is not in [all]
        assert hasattr(importlib.import_module(f"kinde_guard{module}"), name)
