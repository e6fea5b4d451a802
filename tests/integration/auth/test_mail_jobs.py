"""Jobs that send mails: at least once under one Message-ID, later if the server is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from dits.common.v1.job_pb2 import SendMailPayload

from services.auth.mail import templates
from services.auth.mail.parameters import MailParameters
from services.auth.mail.send_mail import make_mail
from services.auth.mail.templates import MailTemplate
from shared.db.pool import Database
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from tests.integration.auth.test_notification_mails import settings_for
from tests.support.api import Account, Api, running_suite
from tests.support.jobs import dead_letters, make_due, put, wait_for
from tests.support.mail import MailSink, mail_sink

pytestmark = pytest.mark.usefixtures("quick_worker")
KEY = ServerKey(bytes.fromhex("5e" * 32))
PARAMETERS = MailParameters({"title": "Hello", "more": "", "link": "/secret"}, [])


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    async with mail_sink() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, sink: MailSink) -> Settings:
    return settings_for(tmp_path, smtp_host="127.0.0.1", smtp_port=sink.port, smtp_seconds=2)


async def verified(api: Api) -> Account:
    user = await api.account()
    await api.fetch("UPDATE users SET email_verified = true WHERE id = $1", user.id)
    return user


def mail_to(user: Account, **fields: str) -> SendMailPayload:
    return make_mail(KEY, "notifications", user.id, PARAMETERS, **fields)


async def test_a_mail_that_may_have_been_sent_is_sent_again_under_its_id(
    api: Api, sink: MailSink, database: Database
) -> None:
    job_id = await put(database, mail_to(await verified(api)))
    await wait_for(database, job_id, "completed")
    # As if the worker had been killed before it wrote that it was done.
    await database.fetch(
        "UPDATE jobs SET status = 'pending', completed_at = NULL, attempts = 0 WHERE id = $1",
        job_id,
    )
    await sink.wait_for(2)
    assert [mail["Message-ID"] for mail in sink.mails] == [f"<{job_id}@example.com>"] * 2


async def test_a_refused_mail_is_a_dead_letter_at_once(
    api: Api, sink: MailSink, database: Database
) -> None:
    sink.answers["RCPT"].append("550 5.1.1 no such user")
    job_id = await put(database, mail_to(await verified(api)))
    await wait_for(database, job_id, "failed")
    [letter] = await dead_letters(database)
    assert letter["error"] == "the mail server refused it: 550 5.1.1 no such user"
    assert sink.mails == []


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_a_mail_that_is_put_off_comes_later(
    api: Api, sink: MailSink, database: Database, step: str
) -> None:
    sink.answers[step] += ["451 greylisted"] * 2
    job_id = await put(database, mail_to(await verified(api)))
    for _ in range(2):
        await wait_for_failure(database, job_id)
        await make_due(database, job_id)
    await sink.wait_for(1)
    row = await wait_for(database, job_id, "completed")
    assert row["attempts"] == 3
    assert await dead_letters(database) == []


async def wait_for_failure(database: Database, job_id: object) -> None:
    """Returns once an attempt has failed and the next one waits for its time."""
    while not await database.fetch(
        "SELECT FROM jobs WHERE id = $1 AND status = 'pending' AND scheduled_at > now()", job_id
    ):
        pass


async def test_a_server_that_was_away_gets_the_mail_when_it_is_back(
    dsn: str, tmp_path: Path, database: Database
) -> None:
    async with mail_sink() as gone:
        port = gone.port
    settings = settings_for(tmp_path, smtp_host="127.0.0.1", smtp_port=port)
    async with running_suite(dsn, settings) as api:
        job_id = await put(database, mail_to(await verified(api)))
        await wait_for_failure(database, job_id)
        async with mail_sink(port) as sink:
            await make_due(database, job_id)
            await sink.wait_for(1)
            await wait_for(database, job_id, "completed")


async def test_a_slow_server_keeps_no_other_work_waiting(
    api: Api, sink: MailSink, database: Database
) -> None:
    sink.gate.clear()
    user = await verified(api)
    jobs = [await put(database, mail_to(user)) for _ in range(6)]
    other = await put(database)
    await wait_for(database, other, "completed")
    assert sink.mails == []
    sink.gate.set()
    for job_id in jobs:
        await wait_for(database, job_id, "completed", "pending")


async def test_who_gets_none(api: Api, sink: MailSink, database: Database) -> None:
    user = await verified(api)
    await api.fetch("UPDATE users SET status = 'deleted' WHERE id = $1", user.id)
    unverified = await api.account()
    nobody = Account(uuid4(), "nobody", "")
    for each in (user, unverified, nobody):
        job_id = await put(database, mail_to(each))
        row = await wait_for(database, job_id, "completed")
        assert "no address" in row["result"]
    assert sink.mails == []


@pytest.mark.parametrize("address", ["a@example.com\r\nBcc: b@example.com", "a@b, c@d", "x"])
async def test_an_address_that_is_none_is_refused(
    api: Api, sink: MailSink, database: Database, address: str
) -> None:
    job_id = await put(database, mail_to(await verified(api), address=address))
    await wait_for(database, job_id, "failed")
    assert sink.mails == []


async def test_what_cannot_be_read_is_a_dead_letter(api: Api, database: Database) -> None:
    user = await verified(api)
    other_key = make_mail(ServerKey(b"o" * 32), "notifications", user.id, PARAMETERS)
    unknown = mail_to(user)
    unknown.template = "of a later release"
    for payload in (other_key, unknown):
        await wait_for(database, await put(database, payload), "failed")
    with pytest.raises(KeyError):
        make_mail(KEY, "none", user.id, PARAMETERS)


@pytest.mark.parametrize("is_link_logged", [True, False])
async def test_without_a_mail_server_the_log_says_so_and_shows_links_where_it_may(
    dsn: str,
    tmp_path: Path,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    is_link_logged: bool,
) -> None:
    template = MailTemplate("$title", is_link_logged=is_link_logged)
    monkeypatch.setitem(templates.TEMPLATES, "notifications", template)
    async with running_suite(dsn, settings_for(tmp_path)) as api:
        user = await verified(api)
        with structlog.testing.capture_logs() as logs:
            job_id = await put(database, mail_to(user))
            await wait_for(database, job_id, "completed")
    [line] = [line for line in logs if line["event"].startswith("a mail is not sent")]
    assert line["user"] == str(user.id)
    assert line.get("link") == ("https://dits.example.com/secret" if is_link_logged else None)
    assert ("secret" in str(logs)) == is_link_logged
