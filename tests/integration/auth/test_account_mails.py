"""Mails about accounts, as a mail server gets them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.runtime.config import Settings
from tests.integration.auth.test_notification_mails import settings_for
from tests.support.api import Api
from tests.support.mail import MailSink, mail_sink
from tests.support.mailed_links import (
    NEW,
    delete_account,
    log_in,
    read_me,
    register,
    request_reset,
    reset,
    update,
    verify,
)


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    async with mail_sink() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, sink: MailSink) -> Settings:
    return settings_for(
        tmp_path,
        smtp_host="127.0.0.1",
        smtp_port=sink.port,
        smtp_seconds=2,
        login_address="dits.example.com",
    )


async def read_link(sink: MailSink, count: int, subject: str, to: str) -> str:
    """Returns the token of a link in one of the first mails, which is in both of its forms."""
    [mail] = [
        mail
        for mail in await sink.wait_for(count)
        if mail["Subject"] == subject and mail["To"] == to
    ]
    text, html = (
        mail.get_body((kind,)).get_content()  # type: ignore[union-attr]
        for kind in ("plain", "html")
    )
    [link] = re.findall(r"https://dits\.example\.com/\S+", text)
    assert f'<a href="{link}">' in html
    token = str(link).rpartition("/")[2]
    command = ("reset-password", "--token ") if "verify" not in link else ("verify", "")
    assert f"dits account {command[0]} --server dits.example.com {command[1]}{token}" in text
    return token


async def test_the_mails_of_an_account(api: Api, sink: MailSink) -> None:
    await register(api)
    await verify(api, await read_link(sink, 1, "Verify your e-mail address", "ada@example.com"))
    await request_reset(api, "ada")
    await reset(api, await read_link(sink, 2, "Set a new password", "ada@example.com"))
    await sink.wait_for(3)
    ada = await log_in(api, "ada", NEW)
    await update(api, ada, email="ada@example.org")
    for address in ("ada@example.com", "ada@example.org"):
        await verify(api, await read_link(sink, 5, "Change of your e-mail address", address))
    await sink.wait_for(6)
    assert (await read_me(api, ada)).email == "ada@example.org"
    await delete_account(api, ada)
    mails = await sink.wait_for(7)
    told = [(mail["Subject"], mail["To"]) for mail in (mails[2], *mails[5:])]
    assert told == [
        ("Your password was changed", "ada@example.com"),
        ("Your e-mail address was changed", "ada@example.com"),
        ("Your account was deleted", "ada@example.org"),
    ]
