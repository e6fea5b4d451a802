"""A mail server of a test: it keeps what it is sent, or answers as the test says."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from tests.support.waiting import PATIENCE_SECONDS


class MailSink:
    """Takes mails on 127.0.0.1.

    Attributes:
        port: where it listens.
        mails: what came, in order; contents: the same as bytes.
        answers: answers to the next mails, by the step that they answer (`RCPT`, `DATA`, `MAIL`).
        logins: names and passwords that came.
        is_implicit: it speaks TLS from the start.
        gate: mails are taken while it is set.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.mails: list[EmailMessage] = []
        self.contents: list[bytes] = []
        self.logins: list[tuple[str, str]] = []
        self.is_implicit = False
        self.recipients: list[str] = []
        self.answers: dict[str, list[str]] = {"RCPT": [], "DATA": [], "MAIL": []}
        self.gate = asyncio.Event()
        self.gate.set()
        self._arrived = asyncio.Event()

    async def handle_MAIL(self, *arguments: Any) -> str:
        """Answers to the sender."""
        _, _, envelope, address, _ = arguments
        return self._answer("MAIL", lambda: setattr(envelope, "mail_from", address))

    async def handle_RCPT(self, *arguments: Any) -> str:
        """Answers to the recipient."""
        _, _, envelope, address, _ = arguments
        return self._answer("RCPT", lambda: envelope.rcpt_tos.append(address))

    async def handle_DATA(self, *arguments: Any) -> str:
        """Answers to the mail, and keeps it."""
        envelope = cast(Envelope, arguments[-1])
        await self.gate.wait()
        return self._answer("DATA", lambda: self._keep(envelope))

    def authenticate(self, *arguments: Any) -> AuthResult:
        """Takes the password `secret`."""
        login = arguments[-1]
        password = login.password.decode()
        self.logins.append((login.login.decode(), password))
        return AuthResult(success=password == "secret", handled=False)

    def _keep(self, envelope: Envelope) -> None:
        content = cast(bytes, envelope.content)
        self.contents.append(content)
        self.mails.append(message_from_bytes(content, policy=default))
        self.recipients += envelope.rcpt_tos
        self._arrived.set()

    def _answer(self, step: str, accept: Any) -> str:
        if self.answers[step]:
            return self.answers[step].pop(0)
        accept()
        return "250 OK"

    async def wait_for(self, count: int) -> list[EmailMessage]:
        """Returns the mails once there are so many."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.mails) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.mails


@asynccontextmanager
async def mail_sink(
    port: int = 0, *, tls: ssl.SSLContext | None = None, is_implicit: bool = False
) -> AsyncIterator[MailSink]:
    """Runs a mail server; with `tls` it wants a login with the password `secret`."""
    sink = MailSink(port)
    sink.is_implicit = is_implicit
    loop = asyncio.get_running_loop()

    def make_session() -> SMTP:
        with warnings.catch_warnings():
            # It does not know that a login is safe where TLS is there from the start.
            warnings.simplefilter("ignore")
            return SMTP(
                sink,
                hostname="sink.example",
                loop=loop,
                enable_SMTPUTF8=True,
                tls_context=None if is_implicit else tls,
                auth_required=tls is not None,
                auth_require_tls=not is_implicit,
                authenticator=sink.authenticate,
            )

    server = await loop.create_server(
        make_session, "127.0.0.1", port, ssl=tls if is_implicit else None
    )
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        sink.gate.set()
        server.close()
        await server.wait_closed()
