"""Mails of notifications: at once or as digests, by preference, to those who can be reached."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import pytest
from dits.auth.v1 import notification_service_pb2 as pb
from dits.common.v1.job_pb2 import SendDigestsPayload
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from shared.db.pool import Connection, Database
from shared.jobs.queue import enqueue
from shared.runtime.config import Settings
from tests.integration.auth.test_notification_service import fill
from tests.support.api import Account, Api
from tests.support.locks import Studio, open_replica
from tests.support.mail import MailSink, mail_sink
from tests.support.notifications import CAUGHT_UP, until
from tests.support.trees import save

pytestmark = pytest.mark.usefixtures("quick_worker")
IDLE = """SELECT NOT EXISTS (SELECT FROM jobs WHERE queue IN ('mail', 'auth')
                             AND status IN ('pending', 'running'))"""


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    async with mail_sink() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, sink: MailSink) -> Settings:
    return settings_for(tmp_path, smtp_host="127.0.0.1", smtp_port=sink.port)


def settings_for(folder: Path, **mail: object) -> Settings:
    return Settings(
        data_dir=folder / "data",
        auth_port=0,
        repo_port=0,
        chunk_port=0,
        lock_port=0,
        pool_size=5,
        drain_seconds=0.2,
        server_key="5e" * 32,
        smtp_tls="none",
        smtp_from="dits@example.com",
        website_url="https://dits.example.com",
        **mail,  # type: ignore[arg-type]
    )


@pytest.fixture
async def studio(api: Api) -> Studio:
    """A repository whose people have verified addresses."""
    studio = await Studio.open(api)
    await api.fetch("UPDATE users SET email_verified = true")
    return studio


async def mention(studio: Studio, user: Account, text: str = "look") -> None:
    message = f"{text}\n@{user.username}"
    await save(studio.api, studio.ada, studio.repo, {"a": b"1"}, message=message, branch=text)


async def prefer(api: Api, user: Account, field: str, value: object) -> None:
    request = pb.UpdatePreferencesRequest(update_mask=FieldMask(paths=[field]))
    setattr(request.preferences, field, value)
    await api.notifications.UpdatePreferences(request, metadata=user.auth)


async def put(api: Api, payload: Message) -> None:
    """Enqueues a job and waits until all mails have gone."""
    database = await Database.connect(api.dsn, service="test", size=1)
    try:
        await database.transaction(partial(_enqueue, payload=payload))
    finally:
        await database.close()
    await until(api, IDLE)


async def _enqueue(connection: Connection, payload: Message) -> None:
    await enqueue(connection, payload)


def text_of(mail: EmailMessage) -> str:
    text = mail.get_body(("plain",))
    assert text is not None
    return str(text.get_content())


async def test_a_mention_is_mailed_at_once(studio: Studio, sink: MailSink) -> None:
    where = f"{studio.ada.username}/{studio.repo.name}"
    await mention(studio, studio.bob)
    [mail] = await sink.wait_for(1)
    title = f"{studio.ada.username} pushed a commit that mentions you to {where}"
    assert mail["To"] == f"{studio.bob.username}@example.com"
    assert mail["Subject"] == title
    assert f"https://dits.example.com/{where}/commits/" in text_of(mail)
    html = mail.get_body(("html",))
    assert html is not None
    assert f'<a href="https://dits.example.com/{where}/commits/' in html.get_content()
    # The queue shows nothing of it.
    payload = await studio.api.value("SELECT payload::text FROM jobs WHERE queue = 'mail'")
    assert studio.repo.name not in payload
    # The link turns it off, without a login and as often as it is called.
    url = mail["List-Unsubscribe"].strip("<>")
    token = url.partition("https://dits.example.com/unsubscribe?token=")[2]
    for _ in range(2):
        request = pb.UnsubscribeRequest(token=token)
        response = await studio.api.notifications.Unsubscribe(request)
        assert response.preference == "email_on_mention"
    await mention(studio, studio.bob, "again")
    await until(studio.api, CAUGHT_UP)
    await until(studio.api, IDLE)
    assert len(sink.mails) == 1


@pytest.mark.parametrize(
    ("field", "word"),
    [
        ("email_on_mention", "mentions"),
        ("email_on_push", "pushed to"),
        ("email_on_lock_expiry", "will end"),
        ("email_on_lock_loss", "released"),
    ],
)
async def test_each_preference_decides(
    studio: Studio, sink: MailSink, field: str, word: str
) -> None:
    api, bob = studio.api, studio.bob
    for name in pb.Preferences.DESCRIPTOR.fields_by_name:
        if name != "digest":
            await prefer(api, bob, name, name == field)
    request = pb.FollowBranchRequest(repository=studio.repo.id, branch="look")
    await api.notifications.FollowBranch(request, metadata=bob.auth)
    await mention(studio, bob)
    lock = await studio.take(bob, "z")
    await studio.take(bob, "y", ttl={"seconds": 3600})
    await studio.grow_old(50 * 60)
    await studio.force(studio.ada, lock, "now")
    async with open_replica(api) as replica:
        await replica.expiry.process_due_locks()
    await until(api, CAUGHT_UP)
    await until(api, IDLE)
    assert [word in mail["Subject"] for mail in sink.mails] == [True]
    assert await api.value("SELECT count(*) FROM notifications WHERE user_id = $1", bob.id) == 4
    # The digest has the others, and no other digest has anything.
    await put(api, SendDigestsPayload(period="weekly"))
    await put(api, SendDigestsPayload(period="daily"))
    await put(api, SendDigestsPayload(period="daily"))
    _, digest = sink.mails
    assert digest["Subject"] == "3 unread notifications"
    assert word not in text_of(digest)


async def test_who_cannot_be_reached_gets_nothing(studio: Studio, sink: MailSink) -> None:
    api = studio.api
    await api.fetch("UPDATE users SET email_verified = false WHERE id = $1", studio.bob.id)
    await mention(studio, studio.bob)
    await mention(studio, studio.cyn, "cyn")
    await sink.wait_for(1)
    await put(api, SendDigestsPayload(period="daily"))
    gone = "UPDATE users SET email_verified = true, status = 'deleted' WHERE id = $1"
    await api.fetch(gone, studio.bob.id)
    await put(api, SendDigestsPayload(period="daily"))
    assert sink.recipients == [f"{studio.cyn.username}@example.com"]


async def test_digests_are_sent_once_by_their_period(api: Api, sink: MailSink) -> None:
    daily, weekly, never, reader = [await api.account() for _ in range(4)]
    await api.fetch("UPDATE users SET email_verified = true")
    await prefer(api, weekly, "digest", pb.DIGEST_WEEKLY)
    await prefer(api, never, "digest", pb.DIGEST_NEVER)
    for user in (daily, weekly, never, reader):
        await fill(api, user, 3)
    await api.notifications.MarkAllRead(pb.MarkAllReadRequest(), metadata=reader.auth)
    for _ in range(2):
        await put(api, SendDigestsPayload(period="daily"))
    assert sink.recipients == [f"{daily.username}@example.com"]
    [mail] = sink.mails
    assert mail["Subject"] == "3 unread notifications"
    assert [line for line in text_of(mail).splitlines() if line.startswith("* ")] == [
        "* 3",
        "* 2",
        "* 1",
    ]
    for _ in range(2):
        await put(api, SendDigestsPayload(period="weekly"))
    assert sink.recipients[1:] == [f"{weekly.username}@example.com"]
    await fill(api, daily, 70, "é" * 2000)
    await put(api, SendDigestsPayload(period="daily"))
    assert sink.mails[-1]["Subject"] == "70 unread notifications"
    listed = text_of(sink.mails[-1]).count("\n* ")
    assert 10 < listed < 70
    assert f"And {70 - listed} more." in text_of(sink.mails[-1])


async def test_digests_of_many_users_go_on_after_a_failure(api: Api, sink: MailSink) -> None:
    users = [await api.account() for _ in range(5)]
    await api.fetch("UPDATE users SET email_verified = true")
    for user in users:
        await fill(api, user, 1)
    await api.fetch("UPDATE inboxes SET digested_number = 1 WHERE user_id = $1", users[2].id)
    await put(api, SendDigestsPayload(period="daily"))
    assert sorted(sink.recipients) == sorted(
        f"{user.username}@example.com" for user in users if user is not users[2]
    )


async def test_mails_at_once_are_limited_and_the_rest_is_in_the_digest(
    studio: Studio, sink: MailSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, bob, cyn = studio.api, studio.bob, studio.cyn
    monkeypatch.setattr("services.auth.notifications.mails.MAX_MAILS", 4)
    for number in range(4):
        await mention(studio, bob, f"look{number}")
        await until(api, CAUGHT_UP)
    await mention(studio, cyn, "cyn")
    await until(api, CAUGHT_UP)
    marked = "SELECT mailed_at IS NOT NULL AS mailed FROM notifications WHERE user_id = $1 ORDER BY number"
    assert [row["mailed"] for row in await api.fetch(marked, bob.id)] == [True, True, False, False]
    # Others have room of their own.
    assert [row["mailed"] for row in await api.fetch(marked, cyn.id)] == [True]
    await until(api, IDLE)
    at_once = len(sink.mails)
    await put(api, SendDigestsPayload(period="daily"))
    [digest] = sink.mails[at_once:]
    assert digest["Subject"] == "2 unread notifications"
    # Other kinds have room of their own, and so have other owners, each as much as is left.
    await studio.force(studio.ada, await studio.take(bob, "z"), "now")
    others = [Studio(api, await api.repository(cyn), cyn, bob, cyn, cyn) for _ in range(2)]
    for number, other in enumerate(others):
        await api.grant(other.repo, bob, "read")
        await mention(other, bob, f"other{number}")
        await until(api, CAUGHT_UP)
    assert [row["mailed"] for row in await api.fetch(marked, bob.id)][4:] == [True, True, False]
    # An hour later there is room again.
    await api.fetch("UPDATE notifications SET mailed_at = mailed_at - interval '1 hour'")
    await mention(studio, bob, "later")
    await until(api, CAUGHT_UP)
    assert [row["mailed"] for row in await api.fetch(marked, bob.id)][7:] == [True]
