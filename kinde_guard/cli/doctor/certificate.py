"""An issuer's TLS certificate: does it hold, for which name, how long yet."""

from __future__ import annotations

import socket
import ssl
import time
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509 import DNSName, IPAddress, SubjectAlternativeName

from ...errors import ConfigurationError
from ...explain.display import listed
from ...net import tls
from ...net.fetch import CONNECT_TIMEOUT, one_line
from ..remedies import remedy
from .finding import Finding

SOON = 14 * 86_400
_EXPIRED, _NOT_YET, _WRONG_NAME, _WRONG_ADDRESS = 10, 9, 62, 64  # X509_V_ERR_…, as OpenSSL numbers them


def examine(issuer: str, context: ssl.SSLContext | None = None) -> Finding:
    """What *context* (by default one that trusts the authorities that the guard trusts) makes of it."""
    parts = urlsplit(issuer)
    host, port = parts.hostname or "", parts.port or 443
    if parts.scheme != "https":
        return Finding("tls", "skipped", "plain http, within this machine", about=issuer)
    vouched = ""
    try:
        if context is None:
            trusted = tls.authorities()
            context, vouched = tls.context(trusted), f", vouched for by {trusted.said}"
        with _connected(host, port, context) as sock:
            certificate = _read(sock)
    except ConfigurationError as error:
        return Finding("tls", "failed", str(error), "Nothing can be fetched until this is fixed.", issuer)
    except ssl.SSLCertVerificationError as error:
        return _refused(issuer, host, port, error)
    except OSError as error:
        problem = f"no connection: {type(error).__name__}: {one_line(error)}"
        return Finding("tls", "failed", problem, remedy(problem, issuer), issuer)
    left = certificate.not_valid_after_utc.timestamp() - time.time()
    found = f"a certificate for {_names(certificate)}, good for {left / 86_400:.0f} days{vouched}"
    if left < SOON:
        return Finding("tls", "warning", found, "Renew it in time. Kinde does this for its own domains.", issuer)
    return Finding("tls", "well", found, about=issuer)


def _connected(host: str, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    sock = socket.create_connection((host, port), CONNECT_TIMEOUT)
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _read(sock: ssl.SSLSocket) -> x509.Certificate:
    return x509.load_der_x509_certificate(sock.getpeercert(binary_form=True) or b"")


def _refused(issuer: str, host: str, port: int, error: ssl.SSLCertVerificationError) -> Finding:
    certificate = _unverified_certificate(host, port)
    names = "" if certificate is None else f" (it is for {_names(certificate)})"
    until = "" if certificate is None else f" on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if error.verify_code == _EXPIRED:
        fix = "Renew it. If it is good elsewhere, set the clock of this machine (timedatectl set-ntp true)."
        return Finding("tls", "failed", f"the certificate has expired{until}", fix, issuer)
    if error.verify_code == _NOT_YET:
        fix = "Set the clock of this machine (timedatectl set-ntp true)."
        return Finding("tls", "failed", "the certificate is not valid yet", fix, issuer)
    if error.verify_code in (_WRONG_NAME, _WRONG_ADDRESS):
        fix = (
            f"Set the domain that it is for, or finish the set-up of {host}: Kinde → Settings → Environment → "
            "Custom domain."
        )
        return Finding("tls", "failed", f"the certificate is for another name{names}", fix, issuer)
    fix = remedy("CERTIFICATE_VERIFY_FAILED", issuer)
    return Finding("tls", "failed", f"the certificate is not trusted: {error.verify_message}{names}", fix, issuer)


def _unverified_certificate(host: str, port: int) -> x509.Certificate | None:
    """What is shown there, to say what is wrong with it; nothing is sent and nothing is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _connected(host, port, context) as sock:
            return _read(sock)
    except (OSError, ValueError):
        return None


def _names(certificate: x509.Certificate) -> str:
    try:
        found = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return "nobody"
    names = [*found.get_values_for_type(DNSName), *map(str, found.get_values_for_type(IPAddress))]
    return listed(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
