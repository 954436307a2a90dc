"""``kinde-guard forward-auth``: the service that a reverse proxy asks, and the proxy's part of it in print."""

from __future__ import annotations

import json
from contextlib import contextmanager, nullcontext
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...errors import ConfigurationError
from ...guard import Guard
from ...settings import KINDE_AUDIENCE, host_in_url, is_loopback
from ..options import AsJson, Audiences, Domains
from .printed import PROXIES, Wiring, path_of, printed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Statuses(Enum):
    """As :data:`kinde_guard.forward.Statuses`, for the command line."""

    plain = "plain"
    nginx = "nginx"


def forward_auth(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for HTTP; 0 picks a free one.")] = 9401,
    grpc: Annotated[
        int | None, typer.Option(min=0, max=65535, metavar="PORT", help="Port for Envoy's gRPC as well, such as 9402.")
    ] = None,
    domain: Domains = None,
    audience: Audiences = None,
    statuses: Annotated[
        Statuses, typer.Option(help="How refusals are answered; nginx for ingress-nginx.")
    ] = Statuses.plain,
    identity_headers: Annotated[
        bool, typer.Option("--identity-headers", help="Tell the app who calls, in headers X-Kinde-…")
    ] = False,
    print_for: Annotated[
        str | None, typer.Option("--print", metavar="PROXY", help=f"Print the proxy's part: {', '.join(PROXIES)}.")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option("--require", metavar="DEMAND", help="With --print: what is required; may be repeated."),
    ] = None,
    service: Annotated[
        str, typer.Option(metavar="URL", help="With --print: where the proxy finds this service.")
    ] = "http://127.0.0.1:9401",
    app: Annotated[
        str, typer.Option(metavar="URL", help="With --print: the app behind the proxy.")
    ] = "http://127.0.0.1:8000",
    as_json: AsJson = False,
) -> None:
    """Answer a reverse proxy that asks whether a caller may go on.

    nginx, Caddy, Traefik and Envoy ask before each request. What is required stands in their own configuration, in the
    path of the URL that they call, such as /verify/scope=read:users, or /verify/authenticated for any valid token.
    --print writes that configuration. /healthz and /readyz answer health checks.

    \b
    Example:
      kinde-guard forward-auth
      kinde-guard forward-auth --print nginx --require scope:read:users
    """
    if print_for is not None:
        wiring = Wiring(tuple(require or ()), service, f"127.0.0.1:{grpc or 9402}", app, identity_headers)
        _print(print_for, wiring, as_json=as_json)
        return
    if require:
        raise ConfigurationError("--require belongs to --print: what is required stands in the proxy's configuration")
    guard = Guard(domain or None, audience=audience or KINDE_AUDIENCE)
    _serve(host, port, grpc, guard, statuses.value, identity_headers, facts if as_json else greeting)


def _print(proxy: str, wiring: Wiring, *, as_json: bool) -> None:
    text = printed(proxy, wiring)
    if as_json:
        print(json.dumps({"proxy": proxy, "path": path_of(wiring.requires), "configuration": text}, indent=2))
    else:
        print(text, end="")


def _serve(
    host: str,
    port: int,
    grpc: int | None,
    guard: Guard,
    statuses: Literal["plain", "nginx"],
    identity_headers: bool,
    words: Callable[[str, int, int | None], str],
) -> None:
    from ...forward import ForwardAuth
    from ..serving import listen, serve

    asked = ForwardAuth(
        guard, statuses=statuses, identity_headers=identity_headers, healthz="/healthz", readyz="/readyz"
    )
    envoy = nullcontext() if grpc is None else _envoy(guard, _address(host, grpc), identity_headers)
    with listen(port, host) as sock, envoy as taken:
        print(words(host, sock.getsockname()[1], taken), flush=True)
        serve(asked, sock)


@contextmanager
def _envoy(guard: Guard, address: str, identity_headers: bool) -> Iterator[int]:
    """Answers Envoy meanwhile; gives the port."""
    try:
        from ...ext_authz import bound
    except ImportError as missing:
        raise ConfigurationError(f"--grpc: {missing}") from None
    server, port = bound(guard, address, identity_headers=identity_headers)
    server.start()
    try:
        yield port
    finally:
        server.stop(1).wait()


def facts(host: str, port: int, grpc: int | None) -> str:
    """Where it is, for a program, in one line of JSON."""
    return json.dumps({"url": f"http://{_address(host, port)}", "grpc": None if grpc is None else _address(host, grpc)})


def greeting(host: str, port: int, grpc: int | None) -> str:
    """Where it is, in words."""
    reach = (
        "this machine alone can reach it"
        if is_loopback(host)
        else "whoever can reach this machine can ask it what it says of a token: let the proxy alone reach it"
    )
    lines = [f"Forward auth at http://{_address(host, port)}/verify/… ({reach}; Ctrl-C ends it)"]
    if grpc is not None:
        lines.append(f"and for Envoy at {_address(host, grpc)} (gRPC)")
    lines.append("The proxy's part: kinde-guard forward-auth --print nginx --require scope:read:users")
    return "\n".join(lines)


def _address(host: str, port: int) -> str:
    return f"{host_in_url(host)}:{port}"
