"""Users for Redis or Valkey that may do what they are for, and no more: from 7.0 on, which tells keys that are read
from keys that are written.

Whoever may write entries can only have tokens refused. Lifts let tokens in again: the operator alone may write them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...m2m.shared_store import PREFIX as SHARED
from ...revocation import redis_streams as names

READER, RECEIVER, OPERATOR, SHARER, DOCTOR = "reader", "receiver", "operator", "shared", "doctor"
FOR = {
    READER: "a worker that follows revocations, and makes none",
    RECEIVER: "a worker that receives webhooks, or revokes",
    OPERATOR: "kinde-guard revoke and revocations: also lifts, and sees what the workers have applied",
    SHARER: "ClientCredentials(shared=…), which share a token",
    DOCTOR: "kinde-guard doctor",
}
_READ = ("select", "xread", "xrange", "xinfo|stream", "exists")
_FOLLOW = (*_READ, "set", "sadd")
_WRITE = (*_FOLLOW, "xadd", "get", "del", "role", "wait")
_COMMANDS = {
    READER: _FOLLOW,
    RECEIVER: _WRITE,
    OPERATOR: (*_WRITE, "smembers", "mget"),
    SHARER: ("select", "mget", "get", "set", "del", "eval"),
    DOCTOR: (*_READ, "ping", "info", "time", "acl|whoami", "smembers", "mget"),
}


def lines(issuers: Sequence[str]) -> dict[str, str]:
    """The commands, with ``<password>`` in them, that make the users for these issuers; by what the users are for."""
    return {role: _line(role, issuers) for role in FOR}


def _line(role: str, issuers: Sequence[str]) -> str:
    keys = [f"~{SHARED}*"] if role == SHARER else [key for issuer in issuers for key in _keys(role, _escaped(issuer))]
    words = ["ACL SETUSER", f"kinde_guard_{role}", "reset", "on", "><password>", *keys]
    return " ".join([*words, *(f"+{command}" for command in _COMMANDS[role])])


def _keys(role: str, issuer: str) -> list[str]:
    stream, lifts = names.stream_of(issuer), names.lifts_of(issuer)
    own = [f"~{names.workers_of(issuer)}", f"~{names.worker_of(issuer, '*')}"]
    if role == DOCTOR:
        return [f"%R~{stream}", f"%R~{stream}:*"]
    if role == OPERATOR:
        return [f"~{stream}", f"~{stream}:*"]
    if role == READER:
        return [f"%R~{stream}", f"%R~{lifts}", f"%R~{names.marker_of(issuer)}", *own]
    written = [names.marker_of(issuer), names.mending_of(issuer), names.event_of(issuer, "*")]
    return [f"~{stream}", f"%R~{lifts}", *(f"~{key}" for key in written), *own]


def _escaped(issuer: str) -> str:
    """An issuer is compared letter by letter, and has brackets where its host is an IPv6 address."""
    return re.sub(r"([\[\]*?\\])", r"\\\1", issuer)
