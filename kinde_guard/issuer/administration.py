"""What is done to people and organizations in Kinde, by its dashboard or its Management API, and told by webhooks.

None of it ends an access token that is out: it stays good until it expires.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..errors import ConfigurationError
from .tenant import Tenant
from .users import Membership, User
from .webhook_events import code_of_organization, data_of_user, id_of_user


def add_user(tenant: Tenant, user: User) -> User:
    """Let *user* sign in, or be another one from now on."""
    kind = "user.created" if tenant.registry.user(user.id) is None else "user.updated"
    tenant.registry.add_user(user)
    tenant.webhooks.tell(kind, data_of_user(user))
    return user


def suspend(tenant: Tenant, user_id: str) -> User:
    """The user cannot sign in or refresh any more."""
    user = _changed(tenant, replace(_user(tenant, user_id), is_suspended=True))
    _end_sessions(tenant, user_id)
    tenant.journal.add("suspended", f"{user.name} is suspended", subject=user.id)
    return user


def restore(tenant: Tenant, user_id: str) -> User:
    """The user may sign in again."""
    user = _changed(tenant, replace(_user(tenant, user_id), is_suspended=False))
    tenant.journal.add("restored", f"{user.name} is not suspended any more", subject=user.id)
    return user


def delete_user(tenant: Tenant, user_id: str) -> None:
    """There is no such user any more."""
    user = _user(tenant, user_id)
    tenant.registry.remove_user(user_id)
    _end_sessions(tenant, user_id)
    tenant.journal.add("deleted", f"{user.name} is deleted", subject=user.id)
    tenant.webhooks.tell("user.deleted", id_of_user(user))


def sign_out_everywhere(tenant: Tenant, user_id: str) -> None:
    """End the user's sessions and refresh tokens. Kinde has no webhook for it."""
    user = _user(tenant, user_id)
    _end_sessions(tenant, user_id)
    tenant.journal.add("signed_out", f"{user.name} is signed out everywhere", subject=user.id)


def set_permissions(tenant: Tenant, user_id: str, org_code: str, permissions: Iterable[str]) -> User:
    """Those that the user has in an organization from now on."""
    user, membership = _member(tenant, user_id, org_code)
    return _with_rights(tenant, user, replace(membership, permissions=tuple(permissions)))


def set_roles(tenant: Tenant, user_id: str, org_code: str, roles: Iterable[str]) -> User:
    """Those that the user has in an organization from now on."""
    user, membership = _member(tenant, user_id, org_code)
    return _with_rights(tenant, user, replace(membership, roles=tuple(roles)))


def delete_organization(tenant: Tenant, org_code: str) -> None:
    """Nobody is in it any more."""
    for user in tenant.registry.users:
        if user.membership(org_code) is not None:
            remaining = tuple(one for one in user.memberships if one.org_code != org_code)
            tenant.registry.add_user(replace(user, memberships=remaining))
    tenant.journal.add("deleted", f"the organization {org_code} is deleted", org_code=org_code)
    tenant.webhooks.tell("organization.deleted", code_of_organization(org_code))


def _member(tenant: Tenant, user_id: str, org_code: str) -> tuple[User, Membership]:
    user = _user(tenant, user_id)
    membership = user.membership(org_code)
    if membership is None:
        raise ConfigurationError(f"{user.name} is not in the organization {org_code!r}")
    return user, membership


def _with_rights(tenant: Tenant, user: User, changed: Membership) -> User:
    memberships = tuple(changed if one.org_code == changed.org_code else one for one in user.memberships)
    tenant.journal.add("changed", f"{user.name} has other rights in {changed.org_code}", subject=user.id)
    return _changed(tenant, replace(user, memberships=memberships))


def _changed(tenant: Tenant, user: User) -> User:
    tenant.registry.add_user(user)
    tenant.webhooks.tell("user.updated", data_of_user(user))
    return user


def _user(tenant: Tenant, user_id: str) -> User:
    user = tenant.registry.user(user_id)
    if user is None:
        raise ConfigurationError(f"there is no user {user_id!r}: add_user(…) first")
    return user


def _end_sessions(tenant: Tenant, user_id: str) -> None:
    tenant.sessions.drop(lambda session: session.user_id == user_id)
    tenant.grants.end(user_id)
