"""Who called, as a small value that outlives the request: for jobs, queues and audit logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Caller:
    """Who called: what a job keeps of a token, which must not travel and has expired when the job runs.

    It is a plain value. It can be compared, pickled and written as JSON, and it grants nothing: whoever can write to a
    queue can write one. So decide what the caller may do before the job is queued, and give the job what it needs::

        queue.enqueue(export, token.caller.to_dict())                  # in the request, after @requires_scope(…)
        def export(caller): caller = Caller.from_dict(caller)          # in the worker
    """

    subject: str
    """``sub`` of a user, the client id of a machine-to-machine app. Unique per issuer only."""
    client_id: str | None
    """The client id (``azp``) of the app that the token was issued to."""
    org_code: str | None
    """The organization's code. Unique per issuer only."""
    issuer: str
    """Who issued the token, such as ``https://acme.kinde.com``."""
    is_m2m: bool
    """Whether an app called on its own behalf, not for a user."""

    def to_dict(self) -> dict[str, str | bool | None]:
        """The members by name, which JSON can write."""
        return asdict(self)

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Caller:
        """What :meth:`to_dict` gave; raises :class:`ValueError` for anything else."""
        if not isinstance(members, Mapping) or set(members) != set(_KINDS):
            raise ValueError(f"a caller is an object with {', '.join(_KINDS)}, as Caller.to_dict() gives it")
        for name, kinds in _KINDS.items():
            if type(members[name]) not in kinds:
                raise ValueError(f"{name} of a caller is {' or '.join(kind.__name__ for kind in kinds)}")
        return cls(**members)


_KINDS: dict[str, tuple[type, ...]] = {
    "subject": (str,),
    "client_id": (str, type(None)),
    "org_code": (str, type(None)),
    "issuer": (str,),
    "is_m2m": (bool,),
}
