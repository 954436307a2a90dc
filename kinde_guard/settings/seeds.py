"""Seeds: keys that were saved earlier and are given with the settings, so that no first request has to wait for any.

A seed is a JWK Set (RFC 7517 §5) with two members more: ``issuer``, whose keys they are, and ``fetched_at``, from when
they are (RFC 3339). ``kinde-guard keys --save`` writes one, or a list of them where there are several domains. Without
``fetched_at`` a file's own date counts; without ``issuer`` it is the one that there is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..errors import ConfigurationError

Seeds = Mapping[str, Any] | str | os.PathLike[str] | Sequence[Mapping[str, Any] | str | os.PathLike[str]]
"""A document, the path of a file with one or several, or several of these."""
_MEND = "`kinde-guard keys --save FILE` writes a good one"


class Seed(NamedTuple):
    """The keys of one issuer, as they were at an earlier moment."""

    body: bytes
    """A JWK Set."""
    fetched_at: float | None
    """Seconds since the epoch; ``None`` if nothing says."""
    source: str
    """Where it comes from, for people."""


class _Document(NamedTuple):
    members: Mapping[str, Any]
    source: str
    changed_at: float | None = None
    """The date of the file, in seconds since the epoch."""


def read_seeds(given: Seeds | None, issuers: Collection[str]) -> dict[str, Seed]:
    """The seed of each of *issuers* that has one. Raises :class:`ConfigurationError`."""
    seeds: dict[str, Seed] = {}
    for document in () if given is None else _documents(given):
        issuer = _issuer(document, issuers)
        if issuer in seeds:
            raise ConfigurationError(f"jwks: there are two seeds of {issuer}: give the newer one")
        seeds[issuer] = Seed(_body(document), _fetched_at(document), document.source)
    return seeds


def document_of(issuer: str, keys: Sequence[object], fetched_at: float) -> dict[str, object]:
    """A seed, to be saved. *fetched_at*: seconds since the epoch."""
    date = datetime.fromtimestamp(int(fetched_at), UTC).isoformat().replace("+00:00", "Z")
    return {"issuer": issuer, "fetched_at": date, "keys": list(keys)}


def _documents(given: Seeds) -> Iterator[_Document]:
    if isinstance(given, Mapping):
        yield _Document(given, "the document")
    elif isinstance(given, str | os.PathLike):
        yield from _in_file(os.fspath(given))
    elif isinstance(given, Iterable) and not isinstance(given, bytes | bytearray):
        for each in given:
            yield from _documents(each)
    else:
        raise ConfigurationError(f"jwks is a document (a dict), or the path of a file, not {type(given).__name__}")


def _in_file(path: str | bytes) -> Iterator[_Document]:
    if isinstance(path, str) and path.lstrip().startswith(("{", "[")):
        raise ConfigurationError("jwks is the text of a document: give json.loads(text), or the path of a file")
    source = f"the file {os.fsdecode(path)!r}"
    try:
        with open(path, "rb") as file:
            changed_at, text = os.fstat(file.fileno()).st_mtime, file.read()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "that is no file name"
        raise ConfigurationError(f"jwks: {source} cannot be read: {why}") from None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"jwks: {source} is not JSON: {_MEND}") from None
    for each in found if isinstance(found, list) else [found]:
        if not isinstance(each, dict):
            raise ConfigurationError(f"jwks: {source} holds no JWK Set: {_MEND}")
        yield _Document(each, source, changed_at)


def _issuer(document: _Document, issuers: Collection[str]) -> str:
    named = document.members.get("issuer")
    if named is None:
        if len(issuers) > 1:
            raise ConfigurationError(
                f'jwks: {document.source} does not say whose keys it holds: give it a member "issuer", as there are '
                "several domains"
            )
        return next(iter(issuers))
    if not isinstance(named, str) or named.rstrip("/") not in issuers:
        raise ConfigurationError(f"jwks: {document.source} is of {named!r}, and this guard is for {', '.join(issuers)}")
    return named.rstrip("/")


def _fetched_at(document: _Document) -> float | None:
    text = document.members.get("fetched_at")
    if text is None:
        return document.changed_at
    with suppress(TypeError, ValueError, OverflowError):  # no date; or in UTC it is of the year 0, or 10000
        date = datetime.fromisoformat(text)
        if date.tzinfo is not None:
            return date.astimezone(UTC).timestamp()
    raise ConfigurationError(
        f"jwks: fetched_at of {document.source} must be a time in UTC, such as 2026-01-31T12:00:00Z, not {text!r}"
    )


def _body(document: _Document) -> bytes:
    keys = document.members.get("keys")
    if not isinstance(keys, list | tuple):
        raise ConfigurationError(f"jwks: {document.source} is no JWK Set, as it has no list of keys: {_MEND}")
    try:
        return json.dumps({"keys": keys}).encode()
    except (TypeError, ValueError, RecursionError):
        raise ConfigurationError(f"jwks: {document.source} holds what is no JSON") from None
