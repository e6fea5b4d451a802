"""Mails over TLS: STARTTLS or from the start, with a login, to servers whose certificates are trusted."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.auth.mail.transport import MailDelayed, MailTransport
from shared.runtime.config import Settings
from tests.support.mail import MailSink, mail_sink

CONTENT = b"Subject: x\r\n\r\nx\r\n"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a certificate for 127.0.0.1 that nobody else has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sink")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "sink.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture(params=["starttls", "tls"])
async def sink(request: pytest.FixtureRequest, certificate: Path) -> AsyncIterator[MailSink]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with mail_sink(tls=context, is_implicit=request.param == "tls") as running:
        yield running


def transport_to(sink: MailSink, password: str) -> MailTransport:
    return MailTransport(
        Settings(
            smtp_host="127.0.0.1",
            smtp_port=sink.port,
            smtp_tls="tls" if sink.is_implicit else "starttls",
            smtp_username="dits",
            smtp_password=password,
            smtp_from="dits@example.com",
        )
    )


async def test_a_mail_goes_over_tls_with_a_login(
    sink: MailSink, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    await transport_to(sink, "secret").send_message(CONTENT, "ada@example.com")
    assert (len(sink.mails), sink.logins) == (1, [("dits", "secret")])


async def test_a_wrong_password_is_the_operators_to_mend(
    sink: MailSink, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(MailDelayed, match="535"):
        await transport_to(sink, "wrong").send_message(CONTENT, "ada@example.com")
    assert sink.mails == []


async def test_nothing_is_told_to_a_server_that_is_not_trusted(sink: MailSink) -> None:
    with pytest.raises(MailDelayed, match=r"(?i)certificate"):
        await transport_to(sink, "secret").send_message(CONTENT, "ada@example.com")
    assert (sink.mails, sink.logins) == ([], [])
