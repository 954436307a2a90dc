"""``kinde-guard doctor``: what can be amiss with a domain or a setting, over real sockets, and the one fix of each."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from commands import outcome_of
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from faults import Server, answering, nobody
from servers import clean_environment, served_issuer
from waiting import LONG

from kinde_guard.cli.doctor import certificate
from kinde_guard.cli.doctor import issuer as checkup
from kinde_guard.cli.doctor.finding import Finding
from kinde_guard.cli.doctor.issuer import Issuer
from kinde_guard.cli.doctor.timed_get import TimedAnswer, timed_get
from kinde_guard.cli.remedies import remedy
from kinde_guard.cli.serving import listen, serving, url_of
from kinde_guard.issuer import LocalIssuer
from kinde_guard.issuer.tenant import PLACE_NAMES, Place

OTHER = "https://other-api.example.com"
STEPS = ["settings", "tls", "discovery", "keys", "cache", "speed", "clock", "token", "verify"]


class Outcome(NamedTuple):
    """What the command came to."""

    status: int
    out: str
    err: str

    @property
    def findings(self) -> list[dict[str, str]]:
        found = json.loads(self.out)["findings"]
        assert isinstance(found, list)
        return found

    def amiss(self) -> list[tuple[str, str]]:
        return [(each["step"], each["state"]) for each in self.findings if each["state"] in ("warning", "failed")]


Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def kinde() -> Iterator[LocalIssuer]:
    """A local Kinde, served on loopback, with an API that its sample app may not use."""
    with served_issuer() as issuer:
        issuer.add_api(OTHER)
        yield issuer


@pytest.fixture
def well(kinde: LocalIssuer) -> Iterator[LocalIssuer]:
    """*kinde*, well before and after."""
    kinde.heal()
    yield kinde
    kinde.heal()


@pytest.fixture
def doctor(well: LocalIssuer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command, with the variables that ``kinde-guard dev`` prints, but for changes; ``None`` unsets one."""
    settings: dict[str, str | None] = {
        "KINDE_DOMAIN": well.url,
        "KINDE_AUDIENCE": well.audience,
        "KINDE_M2M_CLIENT_ID": well.app.client_id,
        "KINDE_M2M_CLIENT_SECRET": well.app.client_secret,
        "KINDE_M2M_AUDIENCE": well.audience,
    }

    def doctor(*arguments: str, **changes: str | None) -> Outcome:
        for name in os.environ.keys() - clean_environment().keys():
            monkeypatch.delenv(name)
        for name, value in (settings | changes).items():
            if value is not None:
                monkeypatch.setenv(name, value)
        return Outcome(*outcome_of(capsys, "doctor", *arguments))

    return doctor


def test_all_is_well(doctor: Run) -> None:
    """Every step in order, exit status 0, nothing on stderr; as words and as JSON."""
    words, machine = doctor(), doctor("--json")
    assert (words.status, words.err, machine.status, machine.err) == (0, "", 0, "")
    assert [each["step"] for each in machine.findings] == STEPS
    assert {each["state"] for each in machine.findings} == {"well", "skipped"}
    assert re.findall(r"^  (\S) (\w+)", words.out, re.M) == [("-" if s == "tls" else "✓", s) for s in STEPS]
    assert words.out.endswith("\nAll is well.\n")


def test_what_it_shows_of_the_keys(doctor: Run, well: LocalIssuer) -> None:
    """Their names, sizes and algorithms; how long they are kept; how long they took."""
    found = {each["step"]: each["found"] for each in doctor("--json").findings}
    assert found["keys"] == f"1 key for RS256: {well.key.kid} (RSA 2048)"
    assert found["cache"] == "fetched anew after 10 min (no Cache-Control)"
    assert re.fullmatch(r"the keys came in \d+ ms, over a new connection", found["speed"])
    assert found["verify"] == f"all 16 checks pass, the caller is app {well.app.client_id}"


class Way(NamedTuple):
    """A way for a setting or an issuer to be wrong: what is changed, what is amiss then, and the fix."""

    amiss: dict[str, str]
    fix: str
    changes: dict[str, str | None] = {}  # noqa: RUF012  # nobody changes it
    fault: str = ""
    places: tuple[Place, ...] = ()


NO_APP: dict[str, str | None] = dict.fromkeys(
    ("KINDE_M2M_CLIENT_ID", "KINDE_M2M_CLIENT_SECRET", "KINDE_M2M_AUDIENCE"), None
)
FAILED, LOOK = "failed", "warning"
WAYS = {
    "a placeholder for a domain": Way(
        {"domain": FAILED}, "put your own Kinde domain there", {"KINDE_DOMAIN": "https://<your_subdomain>.kinde.com"},
    ),
    "the placeholder of Kinde's SDK": Way(
        {"domain": FAILED}, "put your own Kinde domain there", {"KINDE_DOMAIN": None, "KINDE_HOST": "app.kinde.com"},
    ),
    "a domain without TLS": Way(
        {"domain": FAILED}, "keys fetched over plain http can be forged", {"KINDE_DOMAIN": "http://acme.kinde.com"},
    ),
    "an empty domain": Way({"domain": FAILED}, "KINDE_DOMAIN is empty", {"KINDE_DOMAIN": ""}),
    "variables that contradict each other": Way(
        {"domain": FAILED}, "unset one of them, or list both in KINDE_DOMAIN", {"KINDE_ISSUER_URL": "acme.kinde.com"},
    ),
    "no audience": Way({"audience": LOOK}, "Set KINDE_AUDIENCE to the audience of your API", {"KINDE_AUDIENCE": None}),
    "the issuer for an audience": Way(
        {"audience": FAILED}, "give the audience of your API, as it is registered", {"KINDE_AUDIENCE": "{url}"},
    ),
    "the Management API for an audience": Way(
        {"audience": FAILED}, "register an API of your own in Kinde", {"KINDE_AUDIENCE": "{url}/api"},
    ),
    "a value in quotes": Way(
        {"audience": FAILED}, "KINDE_AUDIENCE has quotes in it", {"KINDE_AUDIENCE": '"https://a"'},
    ),
    "a comment with a URL in it": Way(
        {"audience": FAILED}, "KINDE_AUDIENCE holds a comment", {"KINDE_AUDIENCE": "{url}/1 # was https://old.acme.com"},
    ),
    "a comment after the domain": Way({"domain": FAILED}, "holds a comment", {"KINDE_DOMAIN": "{url} # here"}),
    "where verdicts go is no address": Way(
        {"settings": FAILED, "audience": LOOK}, "says that there is no value",
        {"KINDE_AUDIENCE": None, "KINDE_REPORT_VERDICTS_TO": "null"},
    ),
    "an app's id in quotes": Way({"token": FAILED}, "has quotes in it", {"KINDE_M2M_CLIENT_ID": "'an-app'"}),
    "an app's secret by a name": Way({"token": FAILED}, "is a placeholder", {"KINDE_M2M_CLIENT_SECRET": "${S}"}),
    "a comment after the app's scopes": Way(
        {"token": FAILED}, "holds a comment", {"KINDE_M2M_SCOPES": "read:users # for now"},
    ),
    "a variable by another name": Way(
        {"settings": LOOK, "audience": LOOK}, "Call it KINDE_AUDIENCE",
        {"KINDE_AUDIENCE": None, "KINDE_API_AUDIENCE": "https://a"},
    ),
    "a variable that is misspelled": Way(
        {"settings": LOOK, "token": FAILED}, "Call it KINDE_M2M_CLIENT_SECRET",
        {"KINDE_M2M_CLIENT_SECRET": None, "KINDE_M2M_SECRET": "x" * 40},
    ),
    "a wrong region": Way(
        {"discovery": FAILED, "keys": FAILED}, "Kinde answers 403 to a wrong subdomain or region. Copy the domain",
        NO_APP, "client_error:403", ("discovery", "keys"),
    ),
    "not a Kinde": Way(
        {"discovery": FAILED, "keys": FAILED}, "There is no Kinde at this address",
        NO_APP, "client_error:404", ("discovery", "keys"),
    ),
    "a sign-in page in between": Way(
        {"discovery": FAILED, "keys": FAILED}, "is not Kinde, or something stands in front of Kinde",
        NO_APP, "html", ("discovery", "keys"),
    ),
    "Kinde is in trouble": Way(
        {"keys": FAILED}, "Try again in a minute", NO_APP, "server_error", ("keys",),
    ),
    "too many questions": Way(
        {"keys": FAILED}, "asks on every request", NO_APP, "rate_limited", ("keys",),
    ),
    "a redirect": Way({"keys": FAILED}, "Redirects are not followed", NO_APP, "redirect", ("keys",)),
    "no usable key": Way({"keys": FAILED}, "Every token is refused until", NO_APP, "unusable_keys", ("keys",)),
    "no key": Way({"keys": FAILED}, "Every token is refused until", NO_APP, "empty_set", ("keys",)),
    "a shared secret is published": Way(
        {"keys": FAILED}, "Anybody can make tokens with it", NO_APP, "oct_key", ("keys",),
    ),
    "an odd key": Way({"keys": LOOK}, "Its tokens are refused", NO_APP, "unknown_kty", ("keys",)),
    "a wrong secret": Way(
        {"token": FAILED}, "copy both again from the application's details", {"KINDE_M2M_CLIENT_SECRET": "x" * 40},
    ),
    "a secret that is a placeholder": Way(
        {"token": FAILED}, "replace it by what Kinde shows", {"KINDE_M2M_CLIENT_SECRET": "<secret>"},
    ),
    "an app that is not authorised": Way(
        {"token": FAILED}, "then APIs, and authorise it for that API", {"KINDE_M2M_AUDIENCE": OTHER},
    ),
    "a scope that the app has not": Way(
        {"token": FAILED}, "that the application has it switched on", {"KINDE_M2M_SCOPES": "delete:all"},
    ),
    "an app without an audience": Way({"token": FAILED}, "set KINDE_M2M_AUDIENCE", {"KINDE_M2M_AUDIENCE": None}),
    "the token endpoint is down": Way({"token": FAILED}, "Try again in a minute", {}, "server_error:503", ("token",)),
    "an app of another API": Way(
        {"audience": LOOK}, "Set KINDE_M2M_AUDIENCE to that, if the app is to call this API",
        {"KINDE_AUDIENCE": "https://mine"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_what_is_amiss_and_the_one_right_fix(doctor: Run, well: LocalIssuer, name: str) -> None:
    """The step that fails is named, with what to do; the others are not."""
    way = WAYS[name]
    for place in way.places:
        kind, _, status = way.fault.partition(":")
        well.break_down(kind, place, **({"status": int(status)} if status else {}))
    changes = {name: value and value.replace("{url}", well.url) for name, value in way.changes.items()}
    done = doctor("--json", **changes)
    assert dict(done.amiss()) == way.amiss
    assert any(way.fix in each["fix"] for each in done.findings if each["state"] in way.amiss.values())
    assert done.status == (1 if FAILED in way.amiss.values() else 0)


def test_the_clock_is_ten_minutes_slow(doctor: Run, well: LocalIssuer) -> None:
    """By the issuer's; and the token that it gives is refused for that, which is said of the step that fails."""
    for place in PLACE_NAMES:
        well.break_down("clock_skewed", place, seconds=600)
    done = doctor("--json")
    found = {each["step"]: each for each in done.findings}
    assert done.amiss() == [("clock", "failed"), ("verify", "failed")]
    assert re.match(r"this machine is (599|600) s slow, by the issuer's clock: good tokens", found["clock"]["found"])
    assert found["clock"]["fix"] == "Set the clock of this machine (timedatectl set-ntp true)."
    assert found["verify"]["found"].startswith("refused at dates (not_yet_valid): ")
    assert found["verify"]["fix"].startswith("Set the clock of this machine")


@pytest.mark.parametrize(
    ("drifts", "state"),
    [((), "skipped"), ((None,), "skipped"), ((0.0, 900.0), "well"), ((-12.0,), "warning"), ((31.0, 32.0), "failed")],
)
def test_how_far_clocks_may_differ(drifts: tuple[float | None, ...], state: str) -> None:
    """The answer that leaves the least doubt decides; the guard's leeway is the limit."""
    issuer = Issuer("https://acme.kinde.com", [TimedAnswer(drift=drift) for drift in drifts])
    assert [each.state for each in checkup.clock(issuer)] == [state]


def test_a_token_of_an_issuer_that_is_not_trusted(doctor: Run, well: LocalIssuer) -> None:
    """KINDE_M2M_DOMAIN and KINDE_DOMAIN do not fit."""
    with served_issuer(key=well.key) as other:
        app = {
            "KINDE_M2M_CLIENT_ID": other.app.client_id,
            "KINDE_M2M_CLIENT_SECRET": other.app.client_secret,
            "KINDE_M2M_DOMAIN": other.url,
        }
        done = doctor("--json", **app)
    assert done.amiss() == [("verify", "failed")]
    assert done.findings[-1]["found"].startswith("refused at iss (unknown_issuer): ")


def test_without_keys_the_token_is_not_judged(doctor: Run, well: LocalIssuer) -> None:
    """The step that fails is the one of the keys."""
    well.break_down("not_json", "keys")
    done = doctor("--json")
    assert done.amiss() == [("keys", "failed")]
    assert done.findings[-1]["found"] == "there are no keys to verify it with"


def test_the_secret_goes_to_nobody_who_is_only_asked_about(doctor: Run, well: LocalIssuer) -> None:
    """The app belongs to the domain in the environment; another may be anybody's."""
    with Server(answering(b"{}", 404)) as stranger:
        done = doctor(stranger.url, "--json")
    assert {each["step"]: each["state"] for each in done.findings}["token"] == "skipped"
    assert len(stranger.requests) == 2
    assert not [request for request in stranger.requests if request.startswith(b"POST")]
    before = well.token_requests
    assert doctor(well.url, KINDE_DOMAIN=None).status == 0  # nobody else is named
    assert well.token_requests == before + 1


def test_without_an_app_no_token_is_requested(doctor: Run, well: LocalIssuer) -> None:
    """And that is said."""
    before = well.token_requests
    done = doctor("--json", **NO_APP)
    assert (done.status, done.findings[-1]["state"]) == (0, "skipped")
    assert done.findings[-1]["found"].startswith("set KINDE_M2M_CLIENT_ID")
    assert well.token_requests == before


def test_the_management_api_is_nobody_s_to_verify(doctor: Run, well: LocalIssuer) -> None:
    """An app that may call Kinde's own API gets its token, and no guard takes it."""
    well.add_api(f"{well.url}/api")
    well.authorize(well.app, f"{well.url}/api")
    done = doctor("--json", KINDE_AUDIENCE=None, KINDE_M2M_AUDIENCE=f"{well.url}/api")
    assert done.findings[-1]["state"] == "failed"
    assert "register an API of your own" in done.findings[-1]["fix"]


def test_nobody_answers(doctor: Run) -> None:
    """Said once; what needs an answer is skipped."""
    with nobody() as url:
        done = doctor("--json", KINDE_DOMAIN=url, **NO_APP)
    assert done.amiss() == [("discovery", "failed")]
    assert done.findings[2]["fix"].startswith("No server listens there. Start the local Kinde (kinde-guard dev)")


def test_two_domains(doctor: Run, well: LocalIssuer) -> None:
    """A custom domain beside the kinde.com one: whether they publish the same keys."""
    with ExitStack() as served:
        twins = []
        for key in (well.key, None):
            sock = served.enter_context(listen(0))
            twins.append(LocalIssuer(url_of(sock), key=key))
            served.enter_context(serving(twins[-1].asgi, sock))
        same = doctor(well.url, twins[0].url, "--json", **NO_APP)
        different = doctor("--json", KINDE_DOMAIN=f"{well.url} {twins[1].url}", **NO_APP)
    assert [each["found"] for each in same.findings if each["about"] == "domains"] == ["they publish the same keys"]
    assert [each["found"] for each in different.findings if each["about"] == "domains"] == [
        "they publish different keys, and each is asked for its own"
    ]
    assert [each["about"] for each in same.findings if each["step"] == "keys"] == [well.url, twins[0].url]
    assert (same.status, different.status) == (0, 0)


@pytest.mark.parametrize(
    ("urls", "states"),
    [
        (["https://account.acme.com"], ["warning"]),
        (["https://acme.kinde.com"], []),
        (["https://account.acme.com", "https://acme.kinde.com"], []),
        (["http://127.0.0.1:9400"], []),
    ],
)
def test_a_custom_domain_alone(urls: list[str], states: list[str]) -> None:
    """Tokens of apps carry the kinde.com domain."""
    found = list(checkup.together([Issuer(url) for url in urls]))
    assert [each.state for each in found] == states
    for each in found:
        assert 'list both: KINDE_DOMAIN="account.acme.com <your name>.kinde.com"' in each.fix


def discovered(**changes: object) -> list[Finding]:
    """What discovery finds of a server whose document is right but for *changes*; {url} is its address."""
    with Server(answering()) as server:
        url = server.url
        right = {"issuer": url, "jwks_uri": f"{url}/.well-known/jwks", "token_endpoint": f"{url}/oauth2/token"}
        document = json.dumps(right | changes).replace("{url}", url)
        server.behave = answering(document.encode())
        return list(checkup.discovery(Issuer(url)))


@pytest.mark.parametrize(
    ("changes", "state", "fix"),
    [
        ({}, "well", ""),
        ({"issuer": "{url}/"}, "failed", "Kinde's issuer has no slash at the end"),
        ({"issuer": "https://acme.kinde.com"}, "failed", "List both: KINDE_DOMAIN="),
        ({"issuer": "http://localhost:1"}, "failed", "Set KINDE_DOMAIN=http://localhost:1"),
        ({"issuer": "https://elsewhere.example"}, "failed", "Copy the domain from Kinde"),
        ({"issuer": ["\x1b[2J"]}, "failed", "Copy the domain from Kinde"),
        ({"jwks_uri": "{url}/jwks.json"}, "warning", "Pass jwks_url= to the guard"),
        ({"token_endpoint": None}, "warning", "Set KINDE_M2M_DOMAIN"),
    ],
)
def test_what_discovery_says(changes: dict[str, object], state: str, fix: str) -> None:
    """Issuers are compared letter by letter; the endpoints are where Kinde has them. Oddities are shown in ASCII."""
    found = discovered(**changes)
    assert [each.state for each in found] == [state]
    assert fix in found[0].fix
    assert found[0].found.isascii()
    assert "\x1b" not in found[0].found


def test_discovery_that_is_not_json() -> None:
    """Or a list."""
    for body in (b"<p>", b"[]"):
        with Server(answering(body)) as server:
            assert [each.found for each in checkup.discovery(Issuer(server.url))] == ["the answer is not JSON"]


def test_slow_keys(doctor: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five seconds the guard would know none."""
    monkeypatch.setattr(checkup, "SLOW", 0.0)
    done = doctor("--json")
    assert done.amiss() == [("speed", "warning")]
    assert done.status == 0


def test_what_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """In time, and the socket is cut."""
    monkeypatch.setattr("kinde_guard.cli.doctor.timed_get.TOTAL_TIMEOUT", 0.3)
    with Server(lambda exchange: exchange.server.deserted.set() if exchange.hung_up(LONG) else None) as server:
        asked = timed_get(server.url)
        assert server.deserted.wait(LONG)
    assert asked.problem == "TimeoutError: no whole answer within 0.3 s"


def test_cached_keys() -> None:
    """As the guard understands Cache-Control; a cache's Age counts for the clock."""
    jwks = json.dumps(LocalIssuer().jwks()).encode()
    written = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=300)
    headers = {"cache-control": "public, max-age=1800", "age": "300", "date": f"{written:%a, %d %b %Y %H:%M:%S} GMT"}
    with Server(answering(jwks, headers=headers)) as server:
        issuer = Issuer(server.url)
        found = {each.step: each.found for each in checkup.keys(issuer)}
    assert found["cache"] == "fetched anew after 25 min (Cache-Control: public, max-age=1800, Age: 300)"
    assert issuer.drift == pytest.approx(0, abs=1)


def tls(folder: Path, name: str, begins: float, ends: float) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server with a certificate for *name*, valid between these days from now; and of a client that trusts it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "doctor")])
    general = x509.DNSName(name) if name[0].isalpha() else x509.IPAddress(ipaddress.ip_address(name))
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=begins))
        .not_valid_after(now + datetime.timedelta(days=ends))
        .add_extension(x509.SubjectAlternativeName([general]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    public = made.public_bytes(Encoding.PEM)
    file = folder / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + public)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=public.decode())
    return server, client


@pytest.mark.parametrize(
    ("name", "begins", "ends", "state", "found", "fix"),
    [
        ("127.0.0.1", -1, 90, "well", "a certificate for 127.0.0.1, good for 90 days", ""),
        ("127.0.0.1", -1, 3, "warning", "a certificate for 127.0.0.1, good for 3 days", "Renew it in time"),
        ("127.0.0.1", -9, -1, "failed", "the certificate has expired on ", "Renew it"),
        ("127.0.0.1", 1, 9, "failed", "the certificate is not valid yet", "Set the clock of this machine"),
        ("a.test", -1, 90, "failed", "the certificate is for another name (it is for a.test)", "Custom domain"),
    ],
)
def test_certificates(tmp_path: Path, name: str, begins: float, ends: float, state: str, found: str, fix: str) -> None:
    """Until when, for whom, and whether it holds."""
    context, client = tls(tmp_path, name, begins, ends)
    with Server(answering(), context) as server:
        seen = certificate.examine(server.url, client)
    assert (seen.step, seen.state) == ("tls", state)
    assert seen.found.startswith(found)
    assert fix in seen.fix


def test_a_certificate_of_nobody_s(doctor: Run, tmp_path: Path) -> None:
    """The guard trusts the public authorities; what it cannot connect to is asked nothing, and said once."""
    context, _ = tls(tmp_path, "127.0.0.1", -1, 90)
    with Server(answering(), context) as server:
        done = doctor(server.url, "--json", **NO_APP)
    assert done.amiss() == [("tls", "failed")]
    assert done.findings[1]["fix"].startswith("The certificate is not trusted.")
    assert server.requests == []


def test_no_tls_and_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is a certificate's fault."""
    monkeypatch.setattr(certificate, "CONNECT_TIMEOUT", 0.3)
    with Server(answering()) as server, nobody() as url:
        plain = certificate.examine(server.url.replace("http:", "https:"))
        none = certificate.examine(url.replace("http:", "https:"))
    assert (plain.state, none.state) == ("failed", "failed")
    assert "does not speak TLS" in plain.fix
    assert "No server listens there" in none.fix


@pytest.mark.parametrize(
    ("problem", "remedied"),
    [
        ("ConnectError: [Errno -2] Name or service not known", "There is no host of this name"),
        ("TimeoutError: no whole answer within 5 s: the look-up of acme.kinde.com hangs", "No name server answers"),
        ("ConnectError: [Errno 8] nodename nor servname provided, or not known", "There is no host of this name"),
        ("ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED]", "The certificate is not trusted"),
        ("the issuer answered 403 (a wrong region or subdomain answers 403)", "Kinde answers 403 to a wrong"),
        ("it answered 403 (Cloudflare in front of the issuer refused this machine)", "The settings are not the cause"),
        ("ConnectTimeout: timed out", "Let this machine reach acme.kinde.com on port 443"),
    ],
)
def test_remedies(problem: str, remedied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the network says, in words that say what to do."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert remedied in remedy(problem, "https://acme.kinde.com")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("problem", [
    "ConnectTimeout: timed out", "ConnectError: [Errno -2] Name or service not known", "no whole answer in time",
    "TimeoutError: no whole answer within 5 s: the look-up of acme.kinde.com hangs",
    "ConnectError: [Errno -3] Temporary failure in name resolution", "no connection: gaierror: [Errno -2] Name or s",
    "ConnectError: [Errno 8] nodename nor servname provided, or not known",
    "gaierror: [Errno 11001] getaddrinfo failed", "ConnectError: [Errno 101] Network is unreachable",
])  # fmt: skip
def test_a_network_that_wants_a_proxy(monkeypatch: pytest.MonkeyPatch, name: str, problem: str) -> None:
    """The guard takes none from the environment; that a name is not known is no matter of the domain there."""
    for each in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, "http://user:hush@proxy:1")
    said = remedy(problem, "https://acme.kinde.com")
    assert f"{name} is set" in said
    assert f'--proxy "${name}"' in said
    assert "hush" not in said
    assert name not in remedy(problem, "http://127.0.0.1:9400")  # this machine is nobody's network


@pytest.mark.parametrize(("problem", "remedied"), [
    ("ProxyError: 407 Proxy Authentication Required", "wants a user name and a password"),
    ("ProxyError: 403 Forbidden", "does not let this machine through to acme.kinde.com"),
    ("ConnectError: [Errno -2] Name or service not known", "There is no proxy of this name"),
    ("ConnectError: [Errno 111] Connection refused", "The proxy does not answer"),
    ("the issuer answered 404", "There is no Kinde at this address"),
    ("ReadTimeout: timed out", "Let this machine reach"),
])  # fmt: skip
def test_remedies_through_a_proxy(monkeypatch: pytest.MonkeyPatch, problem: str, remedied: str) -> None:
    """Who is asked first is the proxy; that there is a variable as well says nothing new."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hush@proxy:1")
    assert remedied in remedy(problem, "https://acme.kinde.com", proxied=True)


def test_something_in_between_says_no(doctor: Run, well: LocalIssuer) -> None:
    """It is told apart from a wrong domain."""
    with Server(answering(b"<html>", 403, {"cf-mitigated": "challenge", "Server": "cloudflare"})) as server:
        done = doctor("--json", KINDE_DOMAIN=server.url, **NO_APP)
    assert done.amiss() == [("discovery", "failed"), ("keys", "failed")]
    for each in done.findings:
        if each["state"] == "failed":
            assert "403 (Cloudflare in front of the issuer refused this machine)" in each["found"]
            assert each["fix"].startswith("The settings are not the cause")


def test_a_domain_in_the_variables_that_an_argument_passes_over(doctor: Run, well: LocalIssuer) -> None:
    """The app with these variables would not start."""
    done = doctor(well.url, "--json", KINDE_DOMAIN="null", **NO_APP)
    assert done.amiss() == [("settings", "failed")]
    assert "KINDE_DOMAIN says that there is no value" in done.findings[0]["fix"]


def test_usage(doctor: Run) -> None:
    """Nobody to examine: exit status 2."""
    status, out, err = doctor(KINDE_DOMAIN=None)
    assert (status, out) == (2, "")
    assert err.startswith("kinde-guard: name a Kinde domain: kinde-guard doctor acme.kinde.com")


def test_no_secret_and_no_token_is_shown(doctor: Run, well: LocalIssuer) -> None:
    """Whatever comes of it."""
    secret = well.app.client_secret
    quoted = doctor(KINDE_M2M_CLIENT_SECRET=f'"{secret}"')
    assert quoted.status == 1
    for done in (quoted, doctor(), doctor("--json"), doctor(KINDE_M2M_AUDIENCE=OTHER)):
        assert secret not in done.out + done.err
        assert not re.search(r"eyJ[\w-]+\.", done.out + done.err)


def environment_of(issuer: LocalIssuer) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR", "NO_COLOR")},
        "KINDE_DOMAIN": issuer.url,
        "KINDE_AUDIENCE": issuer.audience,
        "KINDE_M2M_CLIENT_ID": issuer.app.client_id,
        "KINDE_M2M_CLIENT_SECRET": "x" * 40,
        "KINDE_M2M_AUDIENCE": issuer.audience,
        "PYTHONUTF8": "1",
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
    }


def test_the_example_in_the_help_works_when_pasted(doctor: Run, well: LocalIssuer) -> None:
    """In a process of its own, piped: no colour, 80 columns, the fix, and exit status 1 for a wrong secret."""
    example = re.search(r"Example.*\n +(kinde-guard .*)\n", doctor("--help").out)
    assert example is not None
    done = subprocess.run(
        example[1],
        shell=True,
        env=environment_of(well),
        capture_output=True,
        encoding="utf-8",
        timeout=LONG,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "Fix: Kinde does not accept client_id" in done.stdout
    assert done.stdout.endswith("\n1 failed.\n")


def test_progress_is_for_people_who_watch(well: LocalIssuer) -> None:
    """At a terminal stderr says what is being done; what is piped has the findings alone."""
    pty = pytest.importorskip("pty", reason="needs a terminal that a test can make")
    ours, theirs = pty.openpty()
    environment = {**environment_of(well), "TERM": "xterm"}
    command = [sys.executable, "-W", "error", "-m", "kinde_guard.cli", "doctor"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=theirs, timeout=LONG, check=False)
    os.close(theirs)
    seen = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "Fetching the keys of" in seen
    assert b"Fetching" not in done.stdout
    assert b"\x1b" not in done.stdout
