"""A server on this computer that speaks https, by a certificate of an authority that was made for the test."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = "127.0.0.1"


@cache
def _pems() -> tuple[bytes, bytes]:
    """Return the certificate of an authority, and that of this computer with its key, signed by it."""
    now = dt.datetime.now(dt.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("heatcli tests", HERE)]
    made = []
    for place, (key, name) in enumerate(zip(keys, names, strict=True)):
        usage = {
            "digital_signature": place == 1,
            "key_cert_sign": place == 0,
            "crl_sign": place == 0,
            **dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False),
            **dict.fromkeys(("encipher_only", "decipher_only"), False),
        }
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=place == 0, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), critical=False)
        )
        if place:
            address = x509.IPAddress(ipaddress.ip_address(HERE))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        made.append(builder.sign(keys[0], hashes.SHA256()))
    authority, own = (certificate.public_bytes(serialization.Encoding.PEM) for certificate in made)
    key = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return authority, own + key


def authority(folder: Path) -> Path:
    """Write the authority's certificate into ``folder``, for SSL_CERT_FILE."""
    path = folder / "authority.pem"
    path.write_bytes(_pems()[0])
    return path


class Server:
    """Answers by ``handler`` until it is closed; without ``secure`` it speaks plain http."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], folder: Path, *, secure: bool = True) -> None:
        self.http = ThreadingHTTPServer((HERE, 0), handler)
        self.http.daemon_threads = True
        if secure:
            own = folder / "own.pem"
            own.write_bytes(_pems()[1])
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(own)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.http.handle_error = lambda *_: None  # clients that hang up are what is tested
        self.port = self.http.server_address[1]
        self.address = f"{'https' if secure else 'http'}://{HERE}:{self.port}"
        self._thread = Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self.http.shutdown()
        self.http.server_close()
        self._thread.join()
