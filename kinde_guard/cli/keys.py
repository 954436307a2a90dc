"""``kinde-guard keys``: the keys that an issuer publishes, saved for a guard to begin with."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Annotated, Any

import httpx
import typer

from ..errors import ConfigurationError
from ..keys.jwk import UnusableKeySet, read_jwk_set
from ..net.headers import age_of
from ..settings import ASYMMETRIC, issuer_urls
from ..settings.seeds import document_of
from .doctor.timed_get import TimedAnswer, timed_get
from .messages import write_message
from .options import AsJson, Domains
from .proxy import Proxy, through
from .remedies import remedy


def keys(
    domain: Domains = None,
    save: Annotated[
        str | None, typer.Option("--save", metavar="FILE", help="Write them into this file, as a whole or not at all.")
    ] = None,
    proxy: Proxy = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the keys that verify tokens, and save them, so that a guard can start with them.

    Guard(jwks="FILE") then answers its first request without waiting for the network, and asks for newer keys behind
    it. The file says whose keys it holds and from when they are: they serve for usable_for from then. Keys that no
    guard would use are left out. Without --save they go to stdout. Exit status: 0 written, 2 usage or settings,
    3 no keys to be had, and then no file is touched.

    \b
    Example:
      kinde-guard keys --save keys.json
    """
    issuers = issuer_urls(domain or None, (os.environ,))
    transport = through(proxy)
    documents = [_document(issuer, transport, as_json=as_json) for issuer in issuers]
    text = json.dumps(documents[0] if len(documents) == 1 else documents, indent=2) + "\n"
    if save is None:
        print(text, end="")
        return
    _write(save, text)
    if as_json:
        print(json.dumps({"file": save, "issuers": list(map(_facts, documents))}, indent=2))
        return
    for issuer, document in zip(issuers, documents, strict=True):
        write_message(f"{_count(document)} of {issuer} in {save}, as of {document['fetched_at']}")


def _facts(document: dict[str, Any]) -> dict[str, object]:
    return {"issuer": document["issuer"], "keys": len(document["keys"]), "fetched_at": document["fetched_at"]}


def _count(document: dict[str, Any]) -> str:
    number = len(document["keys"])
    return "1 key" if number == 1 else f"{number} keys"


def _document(issuer: str, transport: httpx.BaseTransport | None, *, as_json: bool) -> dict[str, Any]:
    answered = timed_get(f"{issuer}/.well-known/jwks", transport)
    usable = _usable(answered)
    if not usable:
        problem = answered.problem or "it publishes no usable key"
        raise _no_keys(issuer, problem, remedy(problem, issuer, proxied=transport is not None), as_json=as_json)
    return document_of(issuer, usable, _made_at(answered))


def _no_keys(issuer: str, problem: str, fix: str, *, as_json: bool) -> typer.Exit:
    if as_json:
        print(json.dumps({"error": "keys_unavailable", "issuer": issuer, "problem": problem, "fix": fix}, indent=2))
    else:
        write_message(f"kinde-guard: no keys from {issuer}: {problem}. {fix}")
    return typer.Exit(3)


def _usable(answered: TimedAnswer) -> list[object]:
    """The published keys that verify something. No private one is among them, should one have been published."""
    published = (answered.document() or {}).get("keys")
    return [jwk for jwk in published if _is_usable(jwk)] if isinstance(published, list) else []


def _is_usable(jwk: object) -> bool:
    try:
        read_jwk_set(json.dumps({"keys": [jwk]}).encode(), ASYMMETRIC, {})
    except UnusableKeySet:
        return False
    return True


def _made_at(answered: TimedAnswer) -> float:
    """When the issuer said so, in seconds since the epoch: by its own clock if that is behind this one, and before the
    time that caches on the way have held the answer."""
    held = 0.0 if answered.answer is None else age_of(answered.answer.headers)
    return time.time() - held - max(0.0, answered.drift or 0.0)


def _write(file: str, text: str) -> None:
    """Write the file as a whole: whoever reads the file meanwhile reads the one before."""
    path = os.path.realpath(file)
    unfinished = f"{path}.{os.getpid()}.unfinished"
    try:
        with open(unfinished, "x", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(unfinished)
        raise ConfigurationError(f"cannot write {file!r}: {error.strerror}") from None
