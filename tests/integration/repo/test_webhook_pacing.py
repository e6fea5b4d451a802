"""What lanes leave to others: they step back while callers use the database, and never for good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from dits.common.v1.job_pb2 import JobType

from services.repo.background.webhooks import FanOut, WebhookWork
from services.repo.webhooks import pacing
from services.repo.webhooks.attempts import CONCURRENCY, ROUND_ATTEMPTS
from services.repo.webhooks.pacing import LONGEST_HOLD, Pacing
from shared.db.pool import Databases
from shared.jobs.running_job import Handler
from shared.jobs.worker import JobWorker
from shared.outbox.change_signal import ChangeSignal
from shared.runtime.config import Settings
from tests.integration.schema.rows import connected, until
from tests.support.receivers import HttpReceiver, Received, answer, hang
from tests.support.waiting import PATIENCE_SECONDS
from tests.support.webhooks import Lanes

FOR_EVER = 3600.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Every URL is taken; the suite itself sends nothing, because it works on no queue."""
    return settings.model_copy(update={"webhook_allow": ("127.0.0.1",), "worker": False})


@asynccontextmanager
async def in_use(dsn: str, name: str = "dits-repo") -> AsyncIterator[None]:
    """A session that is in a transaction."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": name})
    try:
        async with connection.transaction():
            await connection.execute("SELECT 1")
            yield
    finally:
        await connection.close()


async def test_all_is_sent_while_the_database_is_in_use_at_a_bounded_pace(
    lanes: Lanes, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "EACH_SECONDS", 0.02)
    async with HttpReceiver() as receiver, in_use(dsn):
        webhook = await lanes.hooks.create(receiver.url)
        await lanes.ping(webhook, ROUND_ATTEMPTS + 2)
        begun = time.monotonic()
        assert await lanes.send(webhook) is None
        assert time.monotonic() - begun >= ROUND_ATTEMPTS * 0.02
        assert len(receiver.requests) == ROUND_ATTEMPTS + 2


@pytest.mark.parametrize("name", ["psql", "dits-chunk worker"])
async def test_nothing_is_held_back_while_no_caller_uses_the_database(
    lanes: Lanes, dsn: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(pacing, "EACH_SECONDS", FOR_EVER)
    monkeypatch.setattr(pacing, "USE_SECONDS", 0.0)
    async with HttpReceiver() as receiver, in_use(dsn, name):
        webhook = await lanes.hooks.create(receiver.url)
        await lanes.ping(webhook, ROUND_ATTEMPTS + 1)
        assert await lanes.send(webhook) is None
        assert len(receiver.requests) == ROUND_ATTEMPTS + 1


async def test_what_waits_goes_on_when_the_use_ends(
    lanes: Lanes, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "EACH_SECONDS", FOR_EVER)
    monkeypatch.setattr(pacing, "USE_SECONDS", 0.0)
    async with HttpReceiver() as receiver:
        webhook = await lanes.hooks.create(receiver.url)
        await lanes.ping(webhook, ROUND_ATTEMPTS + 1)
        async with in_use(dsn):
            sending = asyncio.create_task(lanes.send(webhook))
            await receiver.wait_for(ROUND_ATTEMPTS)
            assert not sending.done()
        assert await sending is None
        assert len(receiver.requests) == ROUND_ATTEMPTS + 1


async def test_what_has_waited_for_long_is_not_held_back(
    lanes: Lanes, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "EACH_SECONDS", FOR_EVER)
    async with HttpReceiver() as receiver, in_use(dsn):
        webhook = await lanes.hooks.create(receiver.url)
        await lanes.ping(webhook, ROUND_ATTEMPTS + 1)
        await lanes.hooks.skip(LONGEST_HOLD)
        assert await lanes.send(webhook) is None
        assert len(receiver.requests) == ROUND_ATTEMPTS + 1


async def test_a_backlog_holds_up_another_lane_for_one_round(
    lanes: Lanes, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "EACH_SECONDS", 0.01)
    async with HttpReceiver() as receiver, in_use(dsn):
        busy = await lanes.hooks.create(receiver.url)
        other = await lanes.hooks.create(receiver.url)
        await lanes.ping(busy, 2 * ROUND_ATTEMPTS + 1)
        await lanes.ping(other)
        lane = lanes.make()
        waits = await asyncio.gather(lanes.send(busy, lane), lanes.send(other, lane))
        assert [*waits] == [None, None]
    webhooks = [request.headers["x-dits-webhook"] for request in receiver.requests]
    assert len(webhooks) == 2 * ROUND_ATTEMPTS + 2
    assert webhooks.index(other.id) <= ROUND_ATTEMPTS


async def test_who_waits_for_a_turn_or_is_full_looks_after_a_webhook(
    lanes: Lanes, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "EACH_SECONDS", FOR_EVER)
    monkeypatch.setattr(pacing, "USE_SECONDS", 0.0)
    lane = lanes.make()
    async with HttpReceiver() as receiver:
        webhook = await lanes.hooks.create(receiver.url)
        other = await lanes.hooks.create(receiver.url)
        await lanes.ping(webhook, ROUND_ATTEMPTS)
        async with in_use(dsn):
            sending = asyncio.create_task(lanes.send(webhook, lane))
            await receiver.wait_for(ROUND_ATTEMPTS)
            assert lane.is_looked_after(UUID(webhook.id))
            assert not lane.is_looked_after(UUID(other.id))
            # What comes while it waits is sent by it.
            await lanes.ping(webhook)
        assert await sending is None
        assert not lane.is_looked_after(UUID(webhook.id))
        assert len(receiver.requests) == ROUND_ATTEMPTS + 1
        # With less than four requests under way, another lane may begin one.
        receiver.behaviour = hang
        await lanes.ping(other)
        sending = asyncio.create_task(lanes.send(other, lane))
        await receiver.wait_for(ROUND_ATTEMPTS + 2)
        assert not lane.is_looked_after(UUID(other.id))
        await sending


async def test_a_job_for_a_full_lane_ends_at_once_and_nothing_is_forgotten(lanes: Lanes) -> None:
    opened = asyncio.Event()

    async def wait(request: Received, writer: asyncio.StreamWriter) -> None:
        await opened.wait()
        await answer()(request, writer)

    databases = Databases(lanes.database)
    work = WebhookWork(databases, ChangeSignal(databases), lanes.make(seconds=30))
    handlers: dict[JobType.ValueType, Handler] = {
        JobType.JOB_TYPE_DELIVER_WEBHOOK: work.deliver_webhook
    }
    worker = JobWorker(lanes.database, handlers, ["webhooks"])
    async with HttpReceiver(wait) as receiver:
        webhook = await lanes.hooks.create(receiver.url)
        await lanes.ping(webhook, CONCURRENCY)
        worker.start()
        try:
            await receiver.wait_for(CONCURRENCY)
            await lanes.ping(webhook)
            async with connected(lanes.hooks.api.dsn) as connection:
                await until(connection, "SELECT count(*) = 1 FROM jobs WHERE status = 'completed'")
                running = "SELECT count(*) FROM jobs WHERE status = 'running'"
                assert await connection.fetchval(running) == 1
            assert len(receiver.requests) == CONCURRENCY
            opened.set()
            await receiver.wait_for(CONCURRENCY + 1)
        finally:
            opened.set()
            await worker.stop(5)


async def make_fan_out(lanes: Lanes) -> FanOut:
    """One of the test's own, which has yet to read what happens from now on."""
    held = Pacing(FOR_EVER, use_seconds=0.0)
    made = FanOut(Databases(lanes.database), name="fan-out of the test", pacing=held)
    assert not await made.consumer.process_events()
    return made


async def happen_at(lanes: Lanes, age: timedelta) -> None:
    """Has something happened some time ago."""
    await lanes.hooks.api.fetch(
        """INSERT INTO events (type, repo_id, actor_id, payload, created_at)
           VALUES ('branch.created', $1::uuid, $2, '{"branch": "side"}',
                   clock_timestamp() - $3::interval)""",
        lanes.hooks.names["repository"],
        lanes.hooks.who.id,
        age,
    )


async def handle_next(fan_out: FanOut) -> None:
    """Handles what happened last, as soon as it has settled."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await fan_out.consumer.process_events():
            pass


async def test_deliveries_are_made_no_faster_than_they_are_sent(lanes: Lanes, dsn: str) -> None:
    await lanes.hooks.create()
    fan_out = await make_fan_out(lanes)
    async with in_use(dsn):
        await happen_at(lanes, timedelta(0))
        await handle_next(fan_out)
        await happen_at(lanes, timedelta(0))
        making = asyncio.create_task(handle_next(fan_out))
        done, _ = await asyncio.wait({making}, timeout=3 * pacing.LOOK_SECONDS)
        assert not done
    await making


async def test_deliveries_of_what_happened_long_ago_are_not_held_back(
    lanes: Lanes, dsn: str
) -> None:
    await lanes.hooks.create()
    await lanes.hooks.api.fetch("UPDATE webhooks SET created_at = created_at - interval '1 hour'")
    fan_out = await make_fan_out(lanes)
    async with in_use(dsn):
        for _ in range(2):
            await happen_at(lanes, 2 * LONGEST_HOLD)
            await handle_next(fan_out)
