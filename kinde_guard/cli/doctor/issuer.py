"""What an issuer publishes, as the guard sees it: discovery, keys, clock; and two issuers beside one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from ...explain.display import listed, shown
from ...explain.providers import is_kinde
from ...keys.jwk import KeysRead, UnusableKeySet, read_jwk_set
from ...keys.key_set import life_of
from ...net.headers import age_of
from ...settings import is_loopback
from ..remedies import DOMAIN, remedy
from .finding import Finding
from .timed_get import TimedAnswer, timed_get

ALGORITHMS = ("RS256",)
SLOW = 2.0  # the guard gives up at 5 s
NOTICEABLE, INTOLERABLE = 2.0, 30.0  # the guard's leeway
_EXPECTED = {"jwks_uri": "/.well-known/jwks", "token_endpoint": "/oauth2/token"}
_CLOCK = "Set the clock of this machine (timedatectl set-ntp true)."


@dataclass(slots=True)
class Issuer:
    """An issuer under examination: its answers so far, and the keys that were read from them."""

    url: str
    answers: list[TimedAnswer] = field(default_factory=list)
    keys: KeysRead | None = None
    silent: bool = False
    """Whether the last request got no answer at all."""
    transport: httpx.BaseTransport | None = None
    """The way through a proxy; ``None`` if there is no proxy."""

    def get(self, path: str) -> TimedAnswer:
        """GET *path* from the issuer. The answer is kept."""
        answered = timed_get(f"{self.url}{path}", self.transport)
        self.answers.append(answered)
        self.silent = answered.answer is None and not answered.seconds
        return answered

    def remedy(self, problem: str) -> str:
        """What to do about it."""
        return remedy(problem, self.url, proxied=self.transport is not None)

    @property
    def drift(self) -> float | None:
        """The seconds by which the clock here is ahead of the issuer's; the answer that leaves the least doubt
        decides."""
        drifts = [answered.drift for answered in self.answers if answered.drift is not None]
        return min(drifts, key=abs, default=None)


def discovery(issuer: Issuer) -> Iterator[Finding]:
    """OpenID Connect Discovery 1.0 §3. The guard does not need it; what is odd there is odd elsewhere too."""
    if issuer.silent:
        yield Finding("discovery", "skipped", "there is no connection", about=issuer.url)
        return
    answered = issuer.get("/.well-known/openid-configuration")
    if answered.answer is None:
        yield Finding("discovery", "failed", answered.problem, issuer.remedy(answered.problem), issuer.url)
        return
    document = answered.document()
    if document is None:
        yield Finding("discovery", "failed", "the answer is not JSON", issuer.remedy("not JSON"), issuer.url)
        return
    findings = list(_spelling(issuer.url, document.get("issuer"))) or list(_endpoints(issuer.url, document))
    yield from findings or [Finding("discovery", "well", f"issuer {issuer.url}", about=issuer.url)]


def keys(issuer: Issuer) -> Iterator[Finding]:
    """RFC 7517, read as the guard reads it."""
    if issuer.silent:
        yield Finding("keys", "skipped", "it does not answer", about=issuer.url)
        return
    answered = issuer.get("/.well-known/jwks")
    if answered.answer is None:
        yield Finding("keys", "failed", answered.problem, issuer.remedy(answered.problem), issuer.url)
        return
    try:
        issuer.keys = read_jwk_set(answered.answer.body, ALGORITHMS, {})
    except UnusableKeySet as problem:
        yield Finding("keys", "failed", str(problem), _unusable(str(problem), issuer), issuer.url)
        return
    yield Finding("keys", "well", _usable(issuer.keys), about=issuer.url)
    yield from _odd(issuer.keys, issuer.url)
    yield _cached(answered.answer.headers, issuer.url)
    yield _speed(answered.seconds, issuer.url)


def clock(issuer: Issuer) -> Iterator[Finding]:
    """Whether the clock here is right, by the Date header of the answers (RFC 9110 §6.6.1)."""
    ahead = issuer.drift
    if ahead is None:
        yield Finding("clock", "skipped", "no answer says what time it is", about=issuer.url)
        return
    found = f"this machine is {abs(ahead):.0f} s {'fast' if ahead > 0 else 'slow'}, by the issuer's clock"
    if abs(ahead) > INTOLERABLE:
        reason = "not valid yet" if ahead < 0 else "expired"
        yield Finding("clock", "failed", f"{found}: good tokens are refused as {reason}", _CLOCK, issuer.url)
    elif abs(ahead) > NOTICEABLE:
        yield Finding("clock", "warning", f"{found}: within the leeway of {INTOLERABLE:g} s", _CLOCK, issuer.url)
    else:
        yield Finding("clock", "well", "as the issuer's", about=issuer.url)


def together(issuers: Sequence[Issuer]) -> Iterator[Finding]:
    """A tenant with a custom domain has two issuers (docs.kinde.com/build/domains)."""
    hosts = [urlsplit(issuer.url).hostname or "" for issuer in issuers]
    if not any(map(is_kinde, hosts)) and not any(map(is_loopback, hosts)):
        fix = f'If apps call (machine to machine), list both: KINDE_DOMAIN="{" ".join(hosts)} <your name>.kinde.com".'
        yield Finding(
            "domains", "warning", "a custom domain alone: tokens of apps carry the kinde.com domain", fix, "domains"
        )
    published = [_published(issuer.keys) for issuer in issuers if issuer.keys is not None]
    if len(published) < 2:
        return
    same = all(each == published[0] for each in published)
    found = "they publish the same keys" if same else "they publish different keys, and each is asked for its own"
    yield Finding("domains", "well", found, about="domains")


def _spelling(url: str, named: object) -> Iterator[Finding]:
    """Issuers are compared letter by letter (OpenID Connect Discovery 1.0 §4.3)."""
    if named == url:
        return
    found = f"its tokens will name the issuer {shown(named)}, and {url} is what is trusted"
    if isinstance(named, str) and named.rstrip("/").lower() == url:
        fix = f"Kinde's issuer has no slash at the end: fix what answers there (a mock, a proxy) to say {url}."
    elif isinstance(named, str) and is_kinde(urlsplit(named).hostname or ""):
        fix = f'List both: KINDE_DOMAIN="{urlsplit(url).netloc} {shown(urlsplit(named).netloc)}".'
    elif isinstance(named, str) and is_loopback(urlsplit(named).hostname or ""):
        fix = f"Set KINDE_DOMAIN={shown(named)}, as kinde-guard dev prints it."
    else:
        fix = f"Copy the domain from Kinde: {DOMAIN}."
    yield Finding("discovery", "failed", found, fix, url)


def _endpoints(url: str, document: dict[str, object]) -> Iterator[Finding]:
    for name, path in _EXPECTED.items():
        if document.get(name) != f"{url}{path}":
            found = f"{name} is {shown(document.get(name))}, and {url}{path} is what is asked"
            fix = "Pass jwks_url= to the guard." if name == "jwks_uri" else "Set KINDE_M2M_DOMAIN to where it is."
            yield Finding("discovery", "warning", found, fix, url)


def _usable(found: KeysRead) -> str:
    each = [f"{key.kid} ({key.kty} {getattr(key.public, 'key_size', '')})" for key in found.keys.values()]
    return f"{len(each)} key{'s' if len(each) > 1 else ''} for {', '.join(ALGORITHMS)}: {listed(each)}"


def _unusable(problem: str, issuer: Issuer) -> str:
    if problem.startswith("no usable key in the set"):
        return "Every token is refused until Kinde publishes a key: ask Kinde's support, with this sentence."
    return issuer.remedy(problem)


def _odd(found: KeysRead, issuer: str) -> Iterator[Finding]:
    for kid in found.private:
        fix = "Anybody can make tokens with it. Tell Kinde's support at once, and have it rotated."
        yield Finding("keys", "failed", f"the private part of {shown(kid)} is published", fix, issuer)
    for sentence in found.skipped:
        if "published" not in sentence:
            fix = "Its tokens are refused, those of other keys are not. If Kinde signs with it, tell Kinde's support."
            yield Finding("keys", "warning", f"not used, {sentence}", fix, issuer)


def _cached(headers: Mapping[str, str], issuer: str) -> Finding:
    header, age = headers.get("cache-control"), age_of(headers)
    said = f"Cache-Control: {shown(header)}" if header else "no Cache-Control"
    said += f", Age: {age:g}" if age else ""
    return Finding("cache", "well", f"fetched anew after {life_of(headers) / 60:.3g} min ({said})", about=issuer)


def _speed(seconds: float, issuer: str) -> Finding:
    found = f"the keys came in {seconds * 1000:.0f} ms, over a new connection"
    if seconds < SLOW:
        return Finding("speed", "well", found, about=issuer)
    fix = "Look for what slows the way (DNS, a proxy): after 5 s the guard gives up, and knows no keys."
    return Finding("speed", "warning", found, fix, issuer)


def _published(found: KeysRead) -> set[tuple[object, ...]]:
    return {(key.kid, key.material) for key in found.keys.values()}
