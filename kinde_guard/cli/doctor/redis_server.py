"""The Redis or Valkey that holds revocations, or a fleet's token: there, fit for it, and followed."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ...errors import ConfigurationError
from ...net.redis_client import client_for, problem_of
from ...revocation import Revocations
from ...settings import is_loopback
from .environment import REDIS_VARIABLES, REVOCATIONS
from .finding import Finding, State, sentence

_TIMEOUT = 2.0
_OLDEST, _WITH_KEY_RIGHTS = (6, 2), (7, 0)
_CLOCKS_DIFFER, _REPLICA_LATE = 2.0, 10
_ACL = "Have kinde-guard doctor --acl print users with the rights that they need."


@dataclass(slots=True)
class Server:
    """A server under examination, and what it is for."""

    address: str = field(repr=False)
    variables: tuple[str, ...]
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def about(self) -> str:
        """Its name, without the password."""
        url = urlsplit(self.address)
        return f"redis {url.path if url.scheme == 'unix' else f'{url.hostname}:{url.port or 6379}'}"

    @property
    def holds_revocations(self) -> bool:
        """Whether it is no matter of a token alone."""
        return REVOCATIONS in self.variables

    def found(self, step: str, state: State, found: str, fix: str = "") -> Finding:
        """A finding about this server."""
        return Finding(step, state, found, fix, self.about)


def examine(issuers: Sequence[str]) -> Iterator[Finding]:
    """Each server that a variable names, once."""
    addresses = {name: os.environ[name] for name in REDIS_VARIABLES if name in os.environ}
    for address in dict.fromkeys(addresses.values()):
        variables = tuple(name for name, value in addresses.items() if value == address)
        try:
            client = client_for(address, name=variables[0], needs=("ping",), timeout=_TIMEOUT)
        except ConfigurationError as error:
            yield Finding("redis", "failed", f"{variables[0]} cannot be used", sentence(error), "redis")
            continue
        with client:
            yield from _examination(client, Server(address, variables), issuers)


def _examination(client: Any, server: Server, issuers: Sequence[str]) -> Iterator[Finding]:
    yield (reached := _reached(client, server))
    if reached.state == "failed":
        return
    with _may_ask(server, "version", "INFO") as refused:
        server.info = client.info()
        yield from _of_info(server)
    yield from refused
    yield from _user(client, server)
    yield from _clock(client, server)
    if server.holds_revocations:
        yield from _workers(server, issuers)


def _reached(client: Any, server: Server) -> Finding:
    began = time.monotonic()
    try:
        client.ping()
    except Exception as error:
        if not _is_forbidden(error):
            fix = f"See that the server runs, and that {server.variables[0]} says where, and as which user."
            return server.found("reach", "failed", problem_of(error), fix)
    took = f"it answers, in {(time.monotonic() - began) * 1000:.0f} ms"
    url = urlsplit(server.address)
    if url.scheme == "redis" and not is_loopback(url.hostname or ""):
        return server.found("reach", "warning", f"{took}, without TLS", "Use rediss://: the password can be read.")
    return server.found("reach", "well", took)


@contextmanager
def _may_ask(server: Server, step: str, command: str) -> Iterator[list[Finding]]:
    """What this user may not ask is skipped: the app needs none of it."""
    refused: list[Finding] = []
    try:
        yield refused
    except Exception as error:
        if _is_forbidden(error):
            refused.append(server.found(step, "skipped", f"this user may not use {command}", _ACL))
        else:
            refused.append(server.found(step, "failed", problem_of(error)))


def _is_forbidden(error: Exception) -> bool:
    return type(error).__name__ == "NoPermissionError"


def _of_info(server: Server) -> Iterator[Finding]:
    yield _version(server)
    if server.holds_revocations:
        yield _eviction(server)
        yield _persistence(server)
    yield from _role(server)


def _version(server: Server) -> Finding:
    is_valkey = "valkey_version" in server.info or server.info.get("server_name") == "valkey"
    text = str(server.info.get("valkey_version") or server.info.get("redis_version", ""))
    number = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    name = f"{'Valkey' if is_valkey else 'Redis'} {text}"
    if not is_valkey and number < _OLDEST:
        return server.found("version", "failed", name, "It has to be Redis 6.2 or later, or Valkey.")
    if not is_valkey and number < _WITH_KEY_RIGHTS and server.holds_revocations:
        return server.found("version", "warning", f"{name}: before 7.0, who may revoke may lift what is revoked, too")
    return server.found("version", "well", name)


def _eviction(server: Server) -> Finding:
    policy = str(server.info.get("maxmemory_policy", "noeviction"))
    if policy.startswith("allkeys"):
        fix = "Set maxmemory-policy to noeviction, or to one of volatile-…."
        return server.found("eviction", "failed", f"{policy}: it may throw away what is revoked", fix)
    return server.found("eviction", "well", policy)


def _persistence(server: Server) -> Finding:
    if server.info.get("aof_enabled"):
        return server.found("persistence", "well", "an append-only file")
    found = "no append-only file: after a crash, what was revoked last is there only if a worker still holds it"
    return server.found("persistence", "warning", found, "Set appendonly yes.")


def _role(server: Server) -> Iterator[Finding]:
    if server.info.get("role") not in ("master", None):
        fix = f"Set {server.variables[0]} to the primary."
        yield server.found("role", "failed", "a replica: nothing can be written there", fix)
        return
    replicas = [value for name, value in server.info.items() if re.fullmatch(r"slave\d+", name)]
    late = [each for each in replicas if each.get("state") != "online" or int(each.get("lag", 0)) > _REPLICA_LATE]
    if late:
        fix = "If the primary fails now, what was revoked last is lost there; the workers put it back."
        yield server.found("role", "warning", f"{len(late)} of {len(replicas)} replicas lag behind", fix)
    else:
        yield server.found("role", "well", f"a primary, with {len(replicas)} replicas" if replicas else "a primary")


def _user(client: Any, server: Server) -> Iterator[Finding]:
    with _may_ask(server, "user", "ACL WHOAMI") as refused:
        name = client.acl_whoami()
        name = name.decode() if isinstance(name, bytes) else str(name)
        if name == "default":
            found = "the default user, who as a rule may do everything, lift what is revoked included"
            yield server.found("user", "warning", found, _ACL)
        else:
            yield server.found("user", "well", repr(name))
    yield from refused


def _clock(client: Any, server: Server) -> Iterator[Finding]:
    """Entries are trimmed by the server's time."""
    with _may_ask(server, "clock", "TIME") as refused:
        seconds, microseconds = client.time()
        ahead = seconds + microseconds / 1e6 - time.time()
        if abs(ahead) > _CLOCKS_DIFFER:
            found = f"the server is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine"
            yield server.found("clock", "warning", found, "Set both clocks (timedatectl set-ntp true).")
        else:
            yield server.found("clock", "well", "as this machine's")
    yield from refused


def _workers(server: Server, issuers: Sequence[str]) -> Iterator[Finding]:
    with _may_ask(server, "workers", "SMEMBERS, MGET and XINFO") as refused:
        asked = Revocations(server.address).bind(issuers)
        workers, reached = asked.workers(), asked.reached()
        ill = sorted({worker.name for worker in workers if worker.state != "fresh"} | set(reached.behind))
        if not workers:
            yield server.found("workers", "skipped", "none says that it follows: none runs, or may say so")
        elif ill:
            found = f"{len(ill)} of {len({worker.name for worker in workers})} lag behind: {', '.join(ill[:3])}"
            yield server.found("workers", "failed", found, "See their logs: what keeps them from reading?")
        else:
            yield server.found("workers", "well", f"{len(reached.applied)} follow, and have applied everything")
    yield from refused
