"""APIs that check tokens the way it is found in the field: a careful one, and one for each careless habit.

WSGI apps without a framework, written with PyJWT as a user of it would.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from kinde_guard.issuer import LocalIssuer

Claims = dict[str, Any]
SCOPE = "read:users"
TYPES = ("jwt", "at+jwt", "application/at+jwt")


class Refused(Exception):
    """Ends as this status, with this code in the challenge."""

    def __init__(self, status: int, code: str = "", detail: str = "no") -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail


def unverified(token: str) -> Claims:
    """What the token says, true or not."""
    return dict(jwt.decode(token, options={"verify_signature": False}))


class Careful:
    """As well as it is done with PyJWT alone."""

    def __init__(self, issuer: LocalIssuer) -> None:
        self.issuer = issuer.url
        self.audience = issuer.audience
        self.client = issuer.app.client_id
        self.keys = {jwk["kid"]: jwt.PyJWK(jwk) for jwk in issuer.jwks()["keys"]}

    def __call__(self, environ: Claims, start_response: Callable[..., object]) -> Iterable[bytes]:
        try:
            self.admit(environ)
        except Refused as refusal:
            headers = [("WWW-Authenticate", self.challenge(refusal))]
            start_response(f"{refusal.status} Refused", [*headers, ("Content-Type", "text/plain")])
            return [self.body(refusal).encode()]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"users"]

    def admit(self, environ: Claims) -> None:
        claims = self.verified(self.token(environ))
        if not self.granted(claims):
            raise Refused(403, "insufficient_scope")

    def challenge(self, refusal: Refused) -> str:
        error = f', error="{refusal.code}"' if refusal.code else ""
        scope = f', scope="{SCOPE}"' if refusal.status == 403 else ""
        return f'Bearer realm="users"{error}{scope}'

    def body(self, refusal: Refused) -> str:
        return refusal.code or "unauthorized"

    def token(self, environ: Claims) -> str:
        scheme, _, token = self.header(environ).partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(401)
        token = token.strip(" ")
        if not token or not token.isascii() or set(' ,"\t\r\n\0') & set(token):
            raise Refused(400, "invalid_request")
        return token

    def header(self, environ: Claims) -> str:
        header: str = environ.get("HTTP_AUTHORIZATION", "")
        return header.strip(" \t")

    def verified(self, token: str) -> Claims:
        try:
            header = self.header_of(token)
            self.check_type(header)
            claims = self.decoded(token, self.key(header))
        except Refused:
            raise
        except Exception as error:
            raise Refused(401, "invalid_token", str(error)) from None
        self.check(claims)
        return claims

    def header_of(self, token: str) -> Claims:
        return jwt.get_unverified_header(token)

    def check_type(self, header: Claims) -> None:
        if header.get("typ", "JWT").lower() not in TYPES:
            raise Refused(401, "invalid_token")

    def key(self, header: Claims) -> Any:
        if header["kid"] not in self.keys:
            raise Refused(401, "invalid_token", f"no key is called {header['kid']}")
        return self.keys[header["kid"]].key

    def decoded(self, token: str, key: Any) -> Claims:
        return dict(jwt.decode(token, key, **self.settings(token), options=self.options(token)))

    def settings(self, token: str) -> Claims:
        return {"algorithms": ["RS256"], "audience": self.audience, "issuer": self.issuer, "leeway": 30}

    def options(self, token: str) -> Any:
        return {"require": ["exp", "iss", "aud"], "verify_sub": False}

    def check(self, claims: Claims) -> None:
        """What PyJWT does not check."""

    def granted(self, claims: Claims) -> bool:
        return SCOPE in self.scopes(claims)

    def scopes(self, claims: Claims) -> Iterable[str]:
        scope, scp = claims.get("scope"), claims.get("scp")
        if isinstance(scope, str):
            return scope.split(" ")
        if isinstance(scp, str):
            return scp.split(" ")
        return [name for name in scp if isinstance(name, str)] if isinstance(scp, list) else []


class NoIssuer(Careful):
    """`issuer=` forgotten: whoever signs with such a key will do."""

    def settings(self, token: str) -> Claims:
        return {**super().settings(token), "issuer": None}


class NoAudience(Careful):
    """Kinde sends `aud: []` unless asked, so the check was turned off."""

    def options(self, token: str) -> Any:
        return {**super().options(token), "verify_aud": False}


class NoExpiryNeeded(Careful):
    """PyJWT's default."""

    def options(self, token: str) -> Any:
        return {**super().options(token), "require": []}


class NoExpiry(Careful):
    """For the tests, and then for ever."""

    def options(self, token: str) -> Any:
        return {**super().options(token), "verify_exp": False}


class NoNotBefore(Careful):
    """Kinde never sends it, so it was not looked at."""

    def options(self, token: str) -> Any:
        return {**super().options(token), "verify_nbf": False}


class NoIssuedAt(Careful):
    """Because clocks differ."""

    def options(self, token: str) -> Any:
        return {**super().options(token), "verify_iat": False}


class WideLeeway(Careful):
    """Because clocks differ a lot."""

    def settings(self, token: str) -> Claims:
        return {**super().settings(token), "leeway": 86_400}


class NoSignature(Careful):
    """As a client may read a token that it has just been given."""

    def decoded(self, token: str, key: Any) -> Claims:
        return unverified(token)


class AudienceFromToken(Careful):
    """Found in a Flask decorator for Kinde."""

    def settings(self, token: str) -> Claims:
        return {**super().settings(token), "audience": unverified(token)["aud"]}


class ClientIsAudience(Careful):
    """Because the tokens at hand were ID tokens."""

    def settings(self, token: str) -> Claims:
        return {**super().settings(token), "audience": [self.audience, self.client]}


class EmptyAudienceWillDo(Careful):
    """Because Kinde sends `aud: []` unless asked."""

    def options(self, token: str) -> Any:
        return {**super().options(token), "verify_aud": bool(unverified(token).get("aud"))}


class AudienceContained(Careful):
    """`in`, and then the claim is text."""

    def options(self, token: str) -> Any:
        return {**super().options(token), "verify_aud": False}

    def check(self, claims: Claims) -> None:
        if self.audience not in str(claims["aud"]):
            raise Refused(401, "invalid_token")


class _OwnIssuerCheck(Careful):
    def settings(self, token: str) -> Claims:
        return {**super().settings(token), "issuer": None}

    def check(self, claims: Claims) -> None:
        if not isinstance(claims["iss"], str) or not self.trusts(claims["iss"]):
            raise Refused(401, "invalid_token")

    def trusts(self, iss: str) -> bool:
        raise NotImplementedError


class IssuerBegins(_OwnIssuerCheck):
    """`startswith`, for custom domains."""

    def trusts(self, iss: str) -> bool:
        return iss.startswith(self.issuer)


class IssuerContained(_OwnIssuerCheck):
    """CVE-2024-53861."""

    def trusts(self, iss: str) -> bool:
        return iss in self.issuer


class IssuerWithoutSlash(_OwnIssuerCheck):
    """Because KINDE_ISSUER_URL had one."""

    def trusts(self, iss: str) -> bool:
        return iss.rstrip("/") == self.issuer


class AlgorithmFromHeader(Careful):
    """Found in a FastAPI dependency for Kinde."""

    def settings(self, token: str) -> Claims:
        return {**super().settings(token), "algorithms": [jwt.get_unverified_header(token)["alg"]]}


class SharedSecretToo(Careful):
    """One function for all algorithms: CVE-2015-9235, CVE-2022-29217."""

    def decoded(self, token: str, key: Any) -> Claims:
        if jwt.get_unverified_header(token)["alg"] != "HS256":
            return super().decoded(token, key)
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        message, _, signature = token.rpartition(".")
        expected = base64.urlsafe_b64encode(hmac.digest(pem, message.encode(), hashlib.sha256)).rstrip(b"=").decode()
        if not hmac.compare_digest(expected, signature):
            raise Refused(401, "invalid_token")
        return unverified(token)


class UnsignedToo(Careful):
    """For the tests, and then for ever."""

    def decoded(self, token: str, key: Any) -> Claims:
        if jwt.get_unverified_header(token)["alg"] == "none":
            return unverified(token)
        return super().decoded(token, key)


class FirstKey(Careful):
    """`keys[0]`: there was only one."""

    def key(self, header: Claims) -> Any:
        return next(iter(self.keys.values())).key


class AnyKeyWithoutName(Careful):
    """No kid, so every key is tried."""

    def key(self, header: Claims) -> Any:
        return super().key({"kid": next(iter(self.keys)), **header})


class KeyFromHeader(Careful):
    """CVE-2018-0114."""

    def key(self, header: Claims) -> Any:
        return jwt.PyJWK({**header["jwk"], "alg": "RS256"}).key if "jwk" in header else super().key(header)


class CertificateFromHeader(Careful):
    """A chain that nobody follows."""

    def key(self, header: Claims) -> Any:
        if "x5c" not in header:
            return super().key(header)
        return load_der_x509_certificate(base64.b64decode(header["x5c"][0])).public_key()


class ReturnsInsteadOfRaising(Careful):
    """Found in a Flask decorator for Kinde: what is returned is true."""

    def verified(self, token: str) -> Any:
        if jwt.get_unverified_header(token).get("kid") not in self.keys:
            return Exception("unknown kid")
        return super().verified(token)

    def admit(self, environ: Claims) -> None:
        if not self.verified(self.token(environ)):
            raise Refused(401, "invalid_token")


class AnyType(Careful):
    """typ not looked at."""

    def check_type(self, header: Claims) -> None:
        pass


class LenientBase64(Careful):
    """Read by hand: Python's decoder drops what it does not know."""

    def header_of(self, token: str) -> Claims:
        return dict(json.loads(self.bytes_of(token.split(".")[0])))

    def decoded(self, token: str, key: Any) -> Claims:
        header, payload, signature = token.split(".")
        key.verify(self.bytes_of(signature), f"{header}.{payload}".encode(), PKCS1v15(), SHA256())
        claims = json.loads(self.bytes_of(payload))
        clean = jwt.encode(claims, "x" * 32, "HS256")
        return dict(jwt.decode(clean, "x" * 32, **{**self.settings(token), "algorithms": ["HS256"]}))

    @staticmethod
    def bytes_of(segment: str) -> bytes:
        return base64.b64decode(segment.replace("-", "+").replace("_", "/") + "==")


class SplitsAnywhere(Careful):
    """`split()`."""

    def scopes(self, claims: Claims) -> Iterable[str]:
        return claims["scope"].split() if isinstance(claims.get("scope"), str) else super().scopes(claims)


class ScopeContained(Careful):
    """`in`, on text."""

    def scopes(self, claims: Claims) -> Iterable[str]:
        return claims["scope"] if isinstance(claims.get("scope"), str) else super().scopes(claims)


class ScopeBegins(Careful):
    """A hierarchy of one's own."""

    def granted(self, claims: Claims) -> bool:
        return any(name.startswith(SCOPE) for name in self.scopes(claims))


class ScopeInAnyCase(Careful):
    """`lower()`."""

    def granted(self, claims: Claims) -> bool:
        return SCOPE in [name.lower() for name in self.scopes(claims)]


class RequestedIsGranted(Careful):
    """`scope or scp`: an empty scope is no scope."""

    def scopes(self, claims: Claims) -> Iterable[str]:
        return super().scopes({"scp": claims.get("scp")} if not claims.get("scope") else claims)


class PermissionIsGranted(Careful):
    """As if a permission were a scope."""

    def granted(self, claims: Claims) -> bool:
        return super().granted(claims) or SCOPE in (claims.get("permissions") or [])


class NoScope(Careful):
    """Any valid token will do."""

    def granted(self, claims: Claims) -> bool:
        return True


class ScopeIsText(Careful):
    """Until it is not: 500."""

    def scopes(self, claims: Claims) -> Iterable[str]:
        scopes: list[str] = claims["scope"].split(" ") if "scope" in claims else claims["scp"]
        return scopes


class KidIsThere(Careful):
    """Until it is not: 500."""

    def verified(self, token: str) -> Claims:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise Refused(401, "invalid_token") from None
        header["kid"].encode()
        return super().verified(token)


class LastWord(Careful):
    """`partition(" ")[-1]`."""

    def token(self, environ: Claims) -> str:
        if not self.header(environ):
            raise Refused(401)
        return self.header(environ).partition(" ")[-1] or "x"


class SecondWord(Careful):
    """`split()[1]`."""

    def token(self, environ: Claims) -> str:
        words = self.header(environ).split()
        if len(words) < 2 or words[0].lower() != "bearer":
            raise Refused(401)
        return words[1]


class FirstOfSeveral(Careful):
    """Several headers arrive with commas between them."""

    def header(self, environ: Claims) -> str:
        return super().header(environ).split(",")[0]


class CaseMatters(Careful):
    """`startswith("Bearer ")`."""

    def header(self, environ: Claims) -> str:
        header = super().header(environ)
        return header if header.startswith("Bearer") else ""


class QueryToo(Careful):
    """For downloads."""

    def header(self, environ: Claims) -> str:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        return f"Bearer {query['access_token'][0]}" if "access_token" in query else super().header(environ)


class CookieToo(Careful):
    """For the browser."""

    def header(self, environ: Claims) -> str:
        cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("access_token")
        return f"Bearer {cookie.value}" if cookie else super().header(environ)


class OtherHeaderToo(Careful):
    """For a gateway."""

    def header(self, environ: Claims) -> str:
        return super().header(environ) or str(environ.get("HTTP_X_FORWARDED_AUTHORIZATION", ""))


class InvalidIsAnonymous(Careful):
    """Optional authentication that swallows bad tokens too."""

    def admit(self, environ: Claims) -> None:
        try:
            super().admit(environ)
        except Refused as refusal:
            if refusal.code != "invalid_token":
                raise


class MissingIsAnonymous(Careful):
    """Optional authentication where it is not optional."""

    def admit(self, environ: Claims) -> None:
        if self.header(environ):
            super().admit(environ)


class PreflightsPass(Careful):
    """Browsers send them without a token; and anybody else does."""

    def admit(self, environ: Claims) -> None:
        if not self.is_preflight(environ):
            super().admit(environ)

    def is_preflight(self, environ: Claims) -> bool:
        wanted = ("HTTP_ORIGIN", "HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        return environ["REQUEST_METHOD"] == "OPTIONS" and all(name in environ for name in wanted)


class OptionsPasses(PreflightsPass):
    """A method that does nothing: but for the handler of all methods."""

    def is_preflight(self, environ: Claims) -> bool:
        return bool(environ["REQUEST_METHOD"] == "OPTIONS")


class HeadersAreEnough(PreflightsPass):
    """Whatever the method."""

    def is_preflight(self, environ: Claims) -> bool:
        return "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ


class OverriddenPreflights(PreflightsPass):
    """Preflights are answered, and pass; but the method is overridden further in."""

    def __call__(self, environ: Claims, start_response: Callable[..., object]) -> Iterable[bytes]:
        if self.is_preflight(environ) and "HTTP_X_HTTP_METHOD_OVERRIDE" not in environ:
            start_response("200 OK", [("Access-Control-Allow-Origin", "*"), ("Content-Type", "text/plain")])
            return []
        return super().__call__(environ, start_response)


class RemembersClaims(Careful):
    """A cache of verified tokens, by the claims: whose signature does not matter any more."""

    def __init__(self, issuer: LocalIssuer) -> None:
        super().__init__(issuer)
        self.cache: dict[str, Claims] = {}

    def name_of(self, token: str) -> str:
        return token.rpartition(".")[0]

    def verified(self, token: str) -> Claims:
        try:
            name = self.name_of(token)
        except Exception:
            name = token
        if name not in self.cache:
            self.cache[name] = super().verified(token)
        return self.cache[name]


class RemembersTokenId(RemembersClaims):
    """A cache of verified tokens, by jti: the first one's claims, whatever the next one's signature."""

    def name_of(self, token: str) -> str:
        return str(unverified(token)["jti"])


class EverythingForbidden(Careful):
    """403 for all that is refused."""

    def admit(self, environ: Claims) -> None:
        try:
            super().admit(environ)
        except Refused:
            raise Refused(403, "insufficient_scope") from None


class MissingIsBadRequest(Careful):
    """400 where there are no credentials."""

    def admit(self, environ: Claims) -> None:
        if not self.header(environ):
            raise Refused(400, "invalid_request")
        super().admit(environ)


class NoChallenge(Careful):
    """401, and nothing else."""

    def challenge(self, refusal: Refused) -> str:
        return ""


class NoChallengeWhenForbidden(Careful):
    """403, and nothing else."""

    def challenge(self, refusal: Refused) -> str:
        return super().challenge(refusal) if refusal.status != 403 else ""


class ErrorWithoutCredentials(Careful):
    """The same answer for no token as for a bad one."""

    def challenge(self, refusal: Refused) -> str:
        return super().challenge(Refused(refusal.status, refusal.code or "invalid_token"))


class SingleQuotes(Careful):
    """A list of parameters made with `repr`."""

    def challenge(self, refusal: Refused) -> str:
        return super().challenge(refusal).replace('"', "'")


class NoQuotes(Careful):
    """A list of parameters made by hand."""

    def challenge(self, refusal: Refused) -> str:
        return super().challenge(refusal).replace(f'"{refusal.code}"', refusal.code)


class NoRealm(Careful):
    """A bare word, or a challenge of errors alone."""

    def challenge(self, refusal: Refused) -> str:
        return super().challenge(refusal).replace('realm="users"', 'info="users"')


class ErrorInChallenge(Careful):
    """The library's text, in which the token's is."""

    def challenge(self, refusal: Refused) -> str:
        text = refusal.detail.encode("ascii", "replace").decode().replace("\r", " ").replace("\n", " ")
        return f'{super().challenge(refusal)}, error_description="{text}"'


class ErrorInBody(Careful):
    """As FastAPI's `detail=str(error)`."""

    def body(self, refusal: Refused) -> str:
        return refusal.detail


class TokenInBody(Careful):
    """So that the caller may see what was wrong with it."""

    def __call__(self, environ: Claims, start_response: Callable[..., object]) -> Iterable[bytes]:
        answer = super().__call__(environ, start_response)
        return [*answer, self.header(environ).encode("latin-1", "replace")]


class SubjectNeeded(Careful):
    """Kinde's machine-to-machine tokens have none."""

    def options(self, token: str) -> Any:
        return {**super().options(token), "require": ["exp", "iss", "aud", "sub"]}


class TypeOfRfc9068(Careful):
    """Kinde sends JWT."""

    def check_type(self, header: Claims) -> None:
        if header.get("typ") != "at+jwt":
            raise Refused(401, "invalid_token")


HABITS: dict[type[Careful], str] = {
    NoIssuer: "iss is another tenant",
    NoAudience: "aud is another API",
    NoExpiryNeeded: "an app's exp is absent",
    NoExpiry: "leeway over, an app's exp is an hour ago",
    NoNotBefore: "leeway over, nbf is an hour ahead",
    NoIssuedAt: "leeway over, iat is an hour ahead",
    WideLeeway: "leeway over, a user's exp is an hour ago",
    NoSignature: "a stranger's key, issuer's kid",
    AudienceFromToken: "aud is another API",
    ClientIsAudience: "an ID token for the app",
    EmptyAudienceWillDo: "an app's aud is []",
    AudienceContained: "aud is one letter longer",
    IssuerBegins: "iss is below another host",
    IssuerContained: "iss is cut short",
    IssuerWithoutSlash: "iss is with a slash",
    AlgorithmFromHeader: "RS512 by the issuer's own key",
    SharedSecretToo: "HS256, the secret is the public key as PEM",
    UnsignedToo: "not signed, alg is none",
    FirstKey: "kid is somebody else's",
    AnyKeyWithoutName: "kid is absent",
    KeyFromHeader: "jwk, issuer's kid",
    CertificateFromHeader: "x5c, issuer's kid",
    ReturnsInsteadOfRaising: "a stranger's key, own kid",
    AnyType: 'typ is "logout+jwt"',
    LenientBase64: "a tilde in the payload",
    SplitsAnywhere: "scope holds it between a tab",
    ScopeContained: "scope is one letter longer",
    ScopeBegins: "scope is with a part behind",
    ScopeInAnyCase: "scope is in another case",
    RequestedIsGranted: 'scp has it, but scope is ""',
    PermissionIsGranted: "a user's token without it, but permissions has it",
    NoScope: "a user's token without it",
    ScopeIsText: "scp is [], and scope is 1",
    KidIsThere: "kid is absent",
    LastWord: "scheme 'Basic'",
    SecondWord: "between Bearer and the token: a no-break space",
    FirstOfSeveral: "several Authorization headers: the same twice",
    CaseMatters: "scheme bearer",
    QueryToo: "the token in the query as access_token",
    CookieToo: "the token in a cookie as access_token",
    OtherHeaderToo: "the token in X-Forwarded-Authorization",
    InvalidIsAnonymous: "a stranger's key, issuer's kid",
    MissingIsAnonymous: "no Authorization header",
    PreflightsPass: "a forged preflight",
    OptionsPasses: "OPTIONS without a token",
    HeadersAreEnough: "the headers of a preflight, and not its method",
    OverriddenPreflights: "a forged preflight, X-HTTP-Method-Override: GET",
    RemembersClaims: "signature: bit 0 of byte 0 flipped",
    RemembersTokenId: "claims changed afterwards: scope widened",
    EverythingForbidden: "no Authorization header",
    MissingIsBadRequest: "no Authorization header",
    NoChallenge: "no Authorization header",
    NoChallengeWhenForbidden: "a user's token without it",
    ErrorWithoutCredentials: "no Authorization header",
    SingleQuotes: "no Authorization header",
    NoQuotes: "a stranger's key, own kid",
    NoRealm: "no Authorization header",
    ErrorInChallenge: "kid is a challenge",
    ErrorInBody: "kid is a URL",
    TokenInBody: "a stranger's key, issuer's kid",
}
"""Each habit, and a case that catches it and does not catch the careful API."""

LOCK_OUT = (SubjectNeeded, TypeOfRfc9068)
"""Habits that refuse Kinde's own good tokens."""
