"""How an issuer makes tokens: right ones in Kinde's shapes, and any other to order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from ..net.forks import once
from . import tokens, webhook_events
from .keys import SigningKey
from .registry import App, ConfidentialApp, Registry
from .tokens import ABSENT, DEFAULT, ORG_CODE, SUBJECT, Claims, Unset

OIDC_SCOPES = ("openid", "profile", "email", "offline")

Texts = str | Iterable[str]
Absent = Literal[Unset.ABSENT]
Default = Literal[Unset.DEFAULT]
_NO_FLAGS: Mapping[str, object] = MappingProxyType({})


class Mint(ABC):
    """A mint makes the tokens of an issuer; whoever inherits from it says which issuer, which key and what time it is.

    Whether an app may have what a token says is for the endpoints to ask.
    """

    url: str
    """The URL of the issuer: ``iss`` of its tokens."""
    registry: Registry
    """The apps, APIs and people that are set up."""
    audience: str
    """The audience of tokens for which none is named."""
    app: ConfidentialApp
    """The app of tokens for which none is named."""

    @property
    @abstractmethod
    def key(self) -> SigningKey:
        """The key that signs."""

    @abstractmethod
    def now(self) -> float:
        """The time that tokens are dated by: seconds since the epoch."""

    @once
    def stranger(self) -> SigningKey:
        """A key that this issuer never publishes: somebody else's."""
        return SigningKey.make()  # threads may ask at once: the first that is stored is everybody's

    def token(
        self,
        claims: Mapping[str, object] | bytes,
        *,
        header: Mapping[str, object] | bytes | None = None,
        key: SigningKey | None = None,
        drop: Iterable[str] = (),
    ) -> str:
        """Sign exactly *claims*, right or wrong. ``ABSENT`` leaves a member out, as does *drop*; ``None`` is ``null``.

        *header* changes members of the usual one; *key* signs (``UNSIGNED`` does not). Bytes are taken as they are.
        """
        signer = self.key if key is None else key
        payload = claims if isinstance(claims, bytes) else tokens.present(claims, drop)
        if not isinstance(header, bytes):
            header = tokens.present({"alg": signer.alg, "kid": signer.kid, "typ": "JWT", **(header or {})})
        return tokens.compact(header, payload, signer)

    def m2m_token(self, app: App | None = None, **options: Any) -> str:
        """An access token of a machine-to-machine app; the options are those of :meth:`m2m_claims`."""
        return self.token(self.m2m_claims(app, **options))

    def user_token(self, subject: str = SUBJECT, **options: Any) -> str:
        """An access token of a user; the options are those of :meth:`user_claims`."""
        return self.token(self.user_claims(subject, **options))

    def m2m_claims(
        self,
        app: App | None = None,
        *,
        audience: Texts | Default | None = DEFAULT,
        scope: Texts | None = None,
        org_code: str | None = None,
        lifetime: float | None = None,
        **claims: object,
    ) -> Claims:
        """What a token of *app* (the sample one) says; *claims* come on top. *lifetime*: seconds.

        *scope*: all that the app may have, unless given. *audience*: ``None`` or ``[]`` gives ``aud: []``.
        """
        app = app or self.app
        aud = self._audience(audience)
        usual = tokens.m2m(
            iss=self.url,
            azp=app.client_id,
            aud=aud,
            scope=self._granted(app, aud) if scope is None else _joined(scope),
            now=self.now(),
            lifetime=app.lifetime if lifetime is None else lifetime,
        )
        org = app.org_code if org_code is None else org_code
        return tokens.present({**usual, "org_code": ABSENT if org is None else org, **claims})

    def user_claims(
        self,
        subject: str = SUBJECT,
        *,
        audience: Texts | Default | None = DEFAULT,
        scp: Texts = OIDC_SCOPES,
        permissions: Texts | Absent | None = (),
        roles: Iterable[object] | Absent | None = ABSENT,
        org_code: str | None = ORG_CODE,
        feature_flags: Mapping[str, object] | Absent | None = _NO_FLAGS,
        app: App | None = None,
        lifetime: float = tokens.USER_LIFETIME,
        **claims: object,
    ) -> Claims:
        """What a token of a user says; *claims* come on top. *lifetime*: seconds.

        ``org_code=None``: signed in to no organization. Keys of *roles* and values of *feature_flags* are enough: both
        are written as Kinde writes them. Of the rest, ``None`` is ``null`` and ``ABSENT`` leaves the claim out.
        """
        usual = tokens.user(
            iss=self.url,
            azp=(app or self.app).client_id,
            sub=subject,
            aud=self._audience(audience),
            scp=scp if isinstance(scp, str) else list(scp),
            now=self.now(),
            lifetime=lifetime,
        )
        granted = tokens.granted(permissions=permissions, roles=roles, feature_flags=feature_flags)
        return tokens.present({**usual, **granted, "org_code": ABSENT if org_code is None else org_code, **claims})

    def id_token(
        self,
        subject: str = SUBJECT,
        *,
        app: App | None = None,
        lifetime: float = tokens.ID_TOKEN_LIFETIME,
        **claims: object,
    ) -> str:
        """An ID token, which says who signed in and opens no API; *claims* come on top. *lifetime*: seconds."""
        azp, now = (app or self.app).client_id, self.now()
        usual = tokens.id_token(iss=self.url, azp=azp, sub=subject, org_codes=[ORG_CODE], now=now, lifetime=lifetime)
        return self.token({**usual, **claims})

    def webhook_jwt(self, event: str = "user.updated", **claims: object) -> str:
        """The body of a webhook about the sample user or organization: signed with the same keys, and no token at all;
        *claims* come on top."""
        usual = webhook_events.event(event, webhook_events.sample_data(event), source="admin", now=self.now())
        return self.token({**usual, **claims})

    def _audience(self, audience: Texts | Default | None) -> list[str]:
        if audience is DEFAULT:
            return [self.audience]
        return [audience] if isinstance(audience, str) else list(audience or ())

    def _granted(self, app: App, audience: list[str]) -> str:
        scopes = [scope for name in audience for scope in self.registry.granted(app, name) or ()]
        return " ".join(dict.fromkeys(scopes))


def _joined(texts: Texts) -> str:
    return texts if isinstance(texts, str) else " ".join(texts)
