"""The proxy's part: configurations in which the requirement stands in the path of the URL that is called. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from ...errors import ConfigurationError
from ...requirements import SPELLED_ALONE, SPELLED_WITH_A_NAME, parse
from ...web.identity_headers import NAMES, other_spellings


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a proxy's configuration says of who calls whom."""

    requires: tuple[str, ...]
    """As on the command line: ``scope:read:users``."""
    service: str
    """The URL at which the proxy finds ``kinde-guard forward-auth``."""
    grpc: str
    """The address of its gRPC port, for Envoy: host and port."""
    app: str
    """The URL of the app behind the proxy."""
    identity_headers: bool = False
    """Whether the app is told who calls: the proxy then sets each of those headers, and drops the caller's own."""

    @property
    def called(self) -> str:
        """The URL that the proxy calls."""
        return f"{self.service.rstrip('/')}{path_of(self.requires)}"

    @property
    def said(self) -> str:
        return " & ".join(self.requires)


def path_of(requires: Sequence[str]) -> str:
    """``/verify/scope=read:users/…``: every one of *requires*. Raises :class:`ConfigurationError`."""
    if not requires:
        raise ConfigurationError("say what is required: --require scope:read:users, or --require authenticated")
    return "/verify/" + "/".join(map(_segment, requires))


def _segment(text: str) -> str:
    parse(text)  # says what is wrong with it
    if text in SPELLED_ALONE:
        return text
    word, _, name = text.partition(":")
    if word not in SPELLED_WITH_A_NAME or any(mark in name for mark in '&|()"'):
        raise ConfigurationError(
            f"{text!r} is more than one requirement, or has quotes: all that stand in a path are required together. "
            "Give each a --require of its own; alternatives belong into the app behind the proxy"
        )
    return f"{word}={quote(name, safe=':=@.-_~')}"


_NGINX = """\
# nginx, inside of server {{ … }}. Required: {said}
# After every change: nginx -t && nginx -s reload{start}
location / {{
    auth_request          /_kinde_guard;
    auth_request_set      $kinde_status      $upstream_status;
    auth_request_set      $kinde_challenge   $upstream_http_www_authenticate;
    auth_request_set      $kinde_retry_after $upstream_http_retry_after;
    error_page            401 403 500 = @kinde_guard_refused;{who}
    proxy_pass            {app};
}}

location = /_kinde_guard {{
    internal;
    proxy_pass              {called};
    proxy_pass_request_body off;
    proxy_set_header        Content-Length "";
    proxy_set_header        X-Original-URI $request_uri;
}}

# nginx knows no answer but 2xx, 401 and 403, and hands on the challenge of a 401 alone. This says the rest.
location @kinde_guard_refused {{
    add_header WWW-Authenticate $kinde_challenge   always;
    add_header Retry-After      $kinde_retry_after always;
    add_header Cache-Control    no-store           always;
    if ($kinde_status = 400) {{ return 400; }}
    if ($kinde_status = 401) {{ set $kinde_challenge ""; return 401; }}
    if ($kinde_status = 403) {{ return 403; }}
    if ($kinde_status = 500) {{ return 500; }}
    return 503;
}}

# Some requests nginx refuses by itself, as those with two Authorization headers. This gives them their challenge.
error_page 400 = /_kinde_guard_unreadable;
location = /_kinde_guard_unreadable {{
    internal;
    add_header WWW-Authenticate 'Bearer realm="api", error="invalid_request"' always;
    add_header Cache-Control    no-store                                      always;
    return 400;
}}
"""

_CADDY = """\
# Caddyfile. Required: {said}
:8080 {{
	forward_auth {service_address} {{
		uri {path}
	}}
	reverse_proxy {app_address}
}}
"""

# `route`: in this order; by itself Caddy would change headers last.
_CADDY_SAYS_WHO = """\
# Caddyfile. Required: {said}
# Start the service with --identity-headers.
:8080 {{
	route {{
		request_header -X-Kinde*
		request_header -X_Kinde*
		forward_auth {service_address} {{
			uri {path}
			copy_headers {names}
		}}
		reverse_proxy {app_address}
	}}
}}
"""

_TRAEFIK = """\
# Traefik, dynamic configuration (file provider). Required: {said}{start}
http:
  middlewares:
    kinde-guard:
      forwardAuth:
        address: {called_json}
        trustForwardHeader: false{who}
  routers:
    api:
      rule: "PathPrefix(`/`)"
      middlewares: [{own_first}kinde-guard]
      service: api
  services:
    api:
      loadBalancer:
        servers:
          - url: {app_json}
"""

_INGRESS = """\
# Kubernetes, an Ingress of the controller ingress-nginx. Required: {said}
# Start the service with --statuses nginx{and_start}:
# that controller takes any answer but 2xx, 401 and 403 for a failure.
metadata:
  annotations:
    nginx.ingress.kubernetes.io/auth-url: {called_json}{who}
"""

_ENVOY = """\
# Envoy. Required: {said}
# Start the service with --grpc {grpc_port}{and_start}.
static_resources:
  listeners:
    - name: api
      address: {{socket_address: {{address: 127.0.0.1, port_value: 8080}}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": {manager}
                stat_prefix: api
                normalize_path: true
                merge_slashes: true
                path_with_escaped_slashes_action: REJECT_REQUEST
                route_config:
                  virtual_hosts:
                    - name: api
                      domains: ["*"]
                      routes:
                        - match: {{prefix: "/"}}
                          route: {{cluster: api}}
                          typed_per_filter_config:
                            envoy.filters.http.ext_authz:
                              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                              check_settings:
                                context_extensions: {{require: {require_json}}}
                http_filters:
                  - name: envoy.filters.http.ext_authz
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
                      transport_api_version: V3
                      grpc_service:
                        envoy_grpc: {{cluster_name: kinde-guard}}
                        timeout: 6s
                      status_on_error: {{code: ServiceUnavailable}}
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
    - name: api
      type: STRICT_DNS
      load_assignment:
        cluster_name: api
        endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {app_socket}}}}}}}]}}]
    - name: kinde-guard
      type: STRICT_DNS
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {{http2_protocol_options: {{}}}}
      load_assignment:
        cluster_name: kinde-guard
        endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {grpc_socket}}}}}}}]}}]
"""
_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TEMPLATES = {"nginx": _NGINX, "caddy": _CADDY, "traefik": _TRAEFIK, "envoy": _ENVOY, "ingress": _INGRESS}
_NOT_FOR_INGRESS = re.compile(r"[^-._~a-zA-Z0-9/:?&=]")  # its annotation validation, on by default since 1.12
PROXIES: Sequence[str] = tuple(_TEMPLATES)


def printed(proxy: str, wiring: Wiring) -> str:
    """The configuration of *proxy*, one of :data:`PROXIES`. Raises :class:`ConfigurationError`."""
    if proxy not in _TEMPLATES:
        raise ConfigurationError(f"--print takes {', '.join(PROXIES)}, not {proxy!r}")
    path = path_of(wiring.requires)
    if proxy == "ingress":
        _check_for_ingress(wiring.called)
    says_who = wiring.identity_headers
    template = _CADDY_SAYS_WHO if says_who and proxy == "caddy" else _TEMPLATES[proxy]
    return template.format(
        start="\n# Start the service with --identity-headers." if says_who else "",
        and_start=" and --identity-headers" if says_who else "",
        names=" ".join(NAMES),
        own_first="no-other-callers, " if says_who else "",
        who=_SAYS_WHO.get(proxy, str)() if says_who else "",
        manager=_MANAGER,
        said=wiring.said,
        path=path,
        called=wiring.called,
        called_json=json.dumps(wiring.called),
        require_json=json.dumps(wiring.said),
        service_address=_address(wiring.service),
        app=wiring.app.rstrip("/"),
        app_json=json.dumps(wiring.app),
        app_address=_address(wiring.app),
        app_socket=_socket(_address(wiring.app)),
        grpc_socket=_socket(wiring.grpc),
        grpc_port=wiring.grpc.rpartition(":")[2],
    )


def _check_for_ingress(url: str) -> None:
    """That controller lets few characters stand in a URL, and refuses the annotation otherwise."""
    refused = sorted(set(_NOT_FOR_INGRESS.findall(url)))
    if refused:
        raise ConfigurationError(
            f"ingress-nginx refuses an auth-url with {' '.join(refused)} in it, such as {url}: name it otherwise, or "
            "require it in the app behind the proxy"
        )


def _nginx_says_who() -> str:
    """The caller's own under other names are dropped by name: nginx itself drops underscores by default alone."""
    variables = {name: name.removeprefix("X-").lower().replace("-", "_") for name in NAMES}
    read = [f"\n    auth_request_set      ${text:<17} $upstream_http_x_{text};" for text in variables.values()]
    told = [f"\n    proxy_set_header      {name:<19} ${text};" for name, text in variables.items()]
    why = "\n    # A caller's own, with underscores_in_headers on: an app may take them for the same."
    dropped = [f'\n    proxy_set_header      {name:<19} "";' for name in other_spellings()]
    return "".join([*read, *told, why, *dropped])


def _traefik_says_who() -> str:
    """The caller's own go, under these names by ``authResponseHeaders``, and before that under all that an app may take
    for them."""
    others = ", ".join(f'{name}: ""' for name in other_spellings())
    return f"""
        authResponseHeaders: [{", ".join(NAMES)}]
    no-other-callers:
      headers:
        customRequestHeaders: {{{others}}}"""


def _ingress_says_who() -> str:
    """No annotation drops a header; that controller's nginx drops names with underscores, unless it is told not to."""
    return f"""
    # Leave enable-underscores-in-headers and ignore-invalid-headers of the controller's ConfigMap at their defaults, or
    # a caller's own X_Kinde_Subject reaches the app, which may take it for X-Kinde-Subject.
    nginx.ingress.kubernetes.io/auth-response-headers: "{",".join(NAMES)}\""""


_SAYS_WHO = {"nginx": _nginx_says_who, "traefik": _traefik_says_who, "ingress": _ingress_says_who}


def _address(url: str) -> str:
    return urlsplit(url).netloc or url


def _socket(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{{address: {json.dumps(host)}, port_value: {port}}}"
