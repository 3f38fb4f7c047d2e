"""A webhook over TLS: the connection goes to an address, and the certificate has to be the name's."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from consent.webhooks import sending
from tests.consent.receiver import Receiver, receiving


def certificate(folder: Path, name: str) -> Path:
    """Self-signed, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    since = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = folder / f"{name}.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def serving(pem: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with receiving(context) as receiver:
        yield receiver


@pytest.mark.parametrize(
    ("named", "trusted", "status"),
    [
        ("backend.example", True, "204"),
        ("other.example", True, "no_connection"),
        ("backend.example", False, "no_connection"),
    ],
)
def test_the_certificate_is_the_names_and_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, trusted: bool, status: str
) -> None:
    pem = certificate(tmp_path, named)
    context = ssl.create_default_context()
    if trusted:
        context.load_verify_locations(pem)
    monkeypatch.setattr(sending, "_trusted", lambda: context)
    with serving(pem) as receiver:
        port = int(receiver.url.rpartition(":")[2])

        def there(*_: Any, **__: Any) -> Any:
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(sending, "getaddrinfo", there)
        outcome = sending.post(f"https://backend.example:{port}/hooks", b"{}", {}, private=True)
        assert outcome.status == status
        assert len(receiver.requests) == (status == "204")
        if receiver.requests:
            assert receiver.requests[0][1]["host"] == f"backend.example:{port}"
