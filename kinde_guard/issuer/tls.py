"""TLS for a served issuer: a certificate for its name, and one for another name while the fault says so.

Keys and certificates are made at run time; a file holds a key only while it is being loaded.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .tenant import Tenant

FAULT = "wrong_tls_name"
OTHER_NAME = "other.kinde.test"
_DAY = datetime.timedelta(days=1)


class LocalTls:
    """The TLS contexts for both ends of a connection to a served issuer; good for a day."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        """The context for ``Guard(transport=httpx.HTTPTransport(verify=issuer.tls.client))``.

        It trusts this issuer, and nobody else; both of its certificates, so that the name is all that is wrong with one
        of them.
        """
        self.server = self._server_context(urlsplit(tenant.url).hostname or "")
        """The context for the server that serves ``issuer.asgi``."""
        self._other = self._server_context(OTHER_NAME)
        self.server.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called by ssl at the beginning of each connection, whether or not the client names whom it wants."""
        if any(fault.name == FAULT for fault in self._tenant.faults.values()):
            connection.context = self._other

    def _server_context(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(host, key).public_bytes(Encoding.PEM)
        self.client.load_verify_locations(cadata=certificate.decode("ascii"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with TemporaryDirectory(prefix="kinde_guard-") as folder:  # the ssl module loads keys from files alone
            file = Path(folder, "key.pem")
            file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate)
            context.load_cert_chain(file)
        return context


def _certificate(host: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Signed by itself, for *host* alone (RFC 6125 §6.4: the name is in subjectAltName)."""
    # Each has a name of its own, as who signed a certificate is found by name.
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Local Kinde at {host}"[:64])])
    now = datetime.datetime.now(datetime.UTC)
    public = key.public_key()
    return (
        x509.CertificateBuilder(name, name, public, x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, SHA256())
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
