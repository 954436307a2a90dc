"""A client for Redis or Valkey, from an address or from the app. ``redis`` is loaded in here alone, when it is used.

An address may hold a password: it is quoted in no error, and an exception of a client's is shown only as far as it
cannot hold one.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..settings import leavings
from .exchange import one_line

_SCHEMES = ("redis", "rediss", "unix")
_FORESEEN = ("ConnectionError", "TimeoutError", "ResponseError")


def client_for(where: object, *, name: str, needs: tuple[str, ...], timeout: float) -> Any:
    """A client of redis-py for the address *where*, or *where* itself: a client (of redis, of valkey, of Sentinel's, of
    a cluster's) which has the methods that it *needs*.

    Of an address each answer is waited for *timeout* seconds, and nothing is tried again but what a connection that was
    closed meanwhile has kept from being sent. Raises :class:`ConfigurationError`, which calls *where* by its *name*.
    """
    if isinstance(where, str):
        return _client_at(where, name, timeout)
    if any("asyncio" in kind.__module__ or "aioredis" in kind.__module__ for kind in type(where).__mro__):
        raise ConfigurationError(
            f"{name} needs a client that is not async, such as redis.Redis: no event loop waits for it"
        )
    if isinstance(where, type) or not all(callable(getattr(where, method, None)) for method in needs):
        raise ConfigurationError(f"{name} must be a URL such as rediss://host:6379/0, or a client of redis or valkey")
    return where


def load_what_connecting_needs() -> None:
    """Now, and not in the thread that connects: a fork in the middle of an import leaves the child waiting for ever."""
    metadata = import_module("importlib.metadata")
    with suppress(metadata.PackageNotFoundError):
        metadata.version("redis")  # redis-py looks its own version up, which loads some of email
    import_module("encodings.idna")  # names of hosts are encoded


def problem_of(error: Exception) -> str:
    """What a client has raised, in one line for a log. Not the text of an exception that nobody foresaw: it could quote
    the password."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, TimeoutError):
        return one_line(error)
    if kinds.isdisjoint(_FORESEEN):
        return type(error).__name__
    # "unknown command 'AUTH', with args beginning with: 'the password'"
    return f"{type(error).__name__}: {one_line(error).partition(', with args')[0]}"


def check_address(address: str, name: str) -> None:
    """Raises :class:`ConfigurationError` if *address*, which is called by its *name*, is none of a Redis."""
    leavings.check(name, address, shown=False, secret=True)
    try:
        url = urlsplit(address)
        named = url.path if url.scheme == "unix" else url.hostname
        _ = url.port
    except ValueError:
        raise _unusable(name) from None
    database = url.path.strip("/")
    if url.scheme not in _SCHEMES or not named or set(address) & set(" \t\r\n<>"):
        raise _unusable(name)
    if url.scheme != "unix" and database and not database.isdecimal():
        raise ConfigurationError(
            f"{name} must end with a database's number, as in rediss://host:6379/0, or after the port"
        )


def _client_at(address: str, name: str, timeout: float) -> Any:
    check_address(address, name)
    redis = _redis(name)
    load_what_connecting_needs()
    try:
        return redis.Redis.from_url(
            address,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
    except (ValueError, TypeError):
        raise _unusable(name) from None


def _unusable(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} must be a URL such as rediss://user:password@host:6379/0 (redis:// is without TLS, unix:// a socket "
        "here), special characters of a password percent-encoded; for Sentinel and clusters give a ready client"
    )


def _redis(name: str) -> Any:
    try:
        import redis
        import redis.backoff
        import redis.retry
    except ImportError:
        raise ConfigurationError(f"{name} needs redis: pip install 'kinde-guard[redis]'") from None
    return redis
