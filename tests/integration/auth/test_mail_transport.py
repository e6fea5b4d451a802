"""Mails on their way: what goes over the wire, and what the answers of a mail server mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.auth.mail.message import MailHeaders, build_message
from services.auth.mail.templates import MailTexts
from services.auth.mail.transport import MailDelayed, MailRefused, MailTransport
from shared.runtime.config import Settings
from tests.support.mail import MailSink, mail_sink

URL = f"https://example.com/unsubscribe?token={'t' * 100}"
TEXTS = MailTexts("Grüße", "text ünd\n" + "x" * 3000, "<p>html</p>")


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    async with mail_sink() as running:
        yield running


def transport_to(port: int, **settings: object) -> MailTransport:
    return MailTransport(
        Settings(
            smtp_host="127.0.0.1",
            smtp_port=port,
            smtp_tls="none",
            smtp_from="dits@example.com",
            **settings,  # type: ignore[arg-type]
        )
    )


async def send(transport: MailTransport, recipient: str = "ada@example.com") -> None:
    headers = MailHeaders(transport.sender, recipient, "id-1", URL)
    await transport.send_message(bytes(build_message(headers, TEXTS)), recipient)


@pytest.mark.parametrize(
    "recipient", ["ada@example.com", "åda@example.com", "o'neil+x@example.com"]
)
async def test_a_mail_arrives_whole(sink: MailSink, recipient: str) -> None:
    await send(transport_to(sink.port), recipient)
    [mail] = sink.mails
    assert sink.recipients == [recipient]
    assert (mail["To"], mail["From"]) == (recipient, "dits <dits@example.com>")
    assert (mail["Subject"], mail["Message-ID"]) == ("Grüße", "<id-1@example.com>")
    # Not in encoded words: no mail program looks for a link in those.
    assert f"\r\nList-Unsubscribe: <{URL}>\r\n".encode() in sink.contents[0]
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = mail.iter_parts()
    assert text.get_content().split() == TEXTS.text.split()
    assert html.get_content().strip() == TEXTS.html


@pytest.mark.parametrize(
    ("step", "answer", "error"),
    [
        ("RCPT", "550 no such user", MailRefused),
        ("RCPT", "450 greylisted", MailDelayed),
        ("RCPT", "421 closing", MailDelayed),
        ("DATA", "554 spam", MailRefused),
        ("DATA", "451 later", MailDelayed),
        ("DATA", "452 full", MailDelayed),
        # That is about the server's own address: the operator mends it.
        ("MAIL", "553 not your address", MailDelayed),
        ("MAIL", "451 later", MailDelayed),
    ],
)
async def test_answers_of_the_server(
    sink: MailSink, step: str, answer: str, error: type[Exception]
) -> None:
    sink.answers[step].append(answer)
    with pytest.raises(error, match=answer[4:]):
        await send(transport_to(sink.port))
    assert sink.mails == []
    await send(transport_to(sink.port))


async def test_a_server_that_is_slow_or_away_delays(sink: MailSink) -> None:
    sink.gate.clear()
    with pytest.raises(MailDelayed):
        await send(transport_to(sink.port, smtp_seconds=0.2))
    with pytest.raises(MailDelayed):
        await send(transport_to(1))
    with pytest.raises(MailDelayed):
        await send(MailTransport(Settings(smtp_host="no.such.host.invalid", smtp_tls="none")))


async def test_a_server_that_drips_is_left(sink: MailSink) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"220-wait\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        with pytest.raises(MailDelayed):
            await send(transport_to(server.sockets[0].getsockname()[1], smtp_seconds=0.1))


async def test_no_password_goes_over_a_line_without_tls(sink: MailSink) -> None:
    settings = Settings(
        smtp_host="127.0.0.1", smtp_port=sink.port, smtp_username="u", smtp_password="p"
    )
    with pytest.raises(MailDelayed, match="STARTTLS"):
        await send(MailTransport(settings))
    assert sink.mails == []
