"""Events, webhooks and jobs of two cells, each with its own database: each is done once, and there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from dits.common.v1 import job_service_pb2 as pb
from dits.repo.v1.webhook_service_pb2 import DELIVERY_STATE_SUCCEEDED as DELIVERED
from grpc import StatusCode

from shared.db.pool import Database, Databases
from shared.outbox.consumer import EventConsumer
from shared.outbox.dead_events import list_dead_events, requeue_events
from shared.runtime.config import Settings
from tests.integration.schema.rows import connected, until
from tests.support.api import refused
from tests.support.cells import Cells, running_cells
from tests.support.outbox import Ledger, emit, ledger_database, process_all, seen
from tests.support.receivers import HttpReceiver
from tests.support.scratch_databases import open_databases
from tests.support.webhooks import Hooks

PUT = "SELECT enqueue_job($1, $2, '{}', p_requested_by => $3)::text"
DONE = "SELECT bool_and(status = 'completed') FROM jobs WHERE requested_by IS NOT NULL"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_allow": ("127.0.0.1",)})


@pytest.fixture
async def cells(dsn: str, second_dsn: str, settings: Settings) -> AsyncIterator[Cells]:
    async with running_cells(dsn, settings, second_dsn) as running:
        yield running


class TwoCells(Databases):
    """The databases of two cells, as background work sees them."""

    def __init__(self, first: Database, second: Database) -> None:
        super().__init__(first)
        self._both = (first, second)

    def every(self) -> Sequence[Database]:
        return self._both


async def test_webhooks_of_each_cell_get_its_events_once(cells: Cells) -> None:
    ada, eve = await cells.first.account("ada"), await cells.account_in_second("eve")
    first = await Hooks.of_repository(cells.first, ada)
    second = await Hooks.of_repository(cells.second, eve)
    async with HttpReceiver() as one, HttpReceiver() as other:
        hooks = (first, await first.create(one.url)), (second, await second.create(other.url))
        await asyncio.gather(*(owner.happen(3) for owner, _ in hooks))
        for owner, webhook in hooks:
            await owner.wait_for_state(DELIVERED, 6, webhook.id)
        assert (len(one.requests), len(other.requests)) == (6, 6)
    ids = {request.headers["x-dits-event-id"] for request in one.requests + other.requests}
    assert len(ids) == 12
    for owner, webhook in hooks:
        assert await owner.api.value("SELECT count(*) FROM webhook_deliveries") == 6
        jobs = await owner.api.fetch("SELECT dedup_key FROM jobs WHERE queue = 'webhooks'")
        assert {row["dedup_key"] for row in jobs} <= {webhook.id, None}
        cursor = "SELECT count(*) FROM event_cursors WHERE consumer = 'webhooks'"
        assert await owner.api.value(cursor) == 1


async def test_jobs_of_each_cell_are_done_and_shown_there(cells: Cells) -> None:
    ada, eve = await cells.first.account("ada"), await cells.account_in_second("eve")
    ids = [
        await api.value(PUT, queue, job, who.id)
        for api, who in ((cells.first, ada), (cells.second, eve))
        for queue, job in (("repo", "resume_webhooks"), ("shared", "purge_events"))
    ]
    for api, who, own, others in (
        (cells.first, ada, ids[:2], ids[2:]),
        (cells.second, eve, ids[2:], ids[:2]),
    ):
        async with connected(api.dsn) as connection:
            await until(connection, DONE)
        jobs = api.jobs["repo"]
        listed = await jobs.ListJobs(pb.ListJobsRequest(), metadata=who.auth)
        assert [job.id for job in listed.jobs] == own[::-1]
        for job_id in others:
            with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
                await jobs.GetJob(pb.GetJobRequest(job_id=job_id), metadata=who.auth)
        assert (
            await api.value("SELECT count(*) FROM job_schedules WHERE name = 'resume webhooks'")
            == 1
        )


async def test_a_bad_event_of_one_cell_delays_no_other(dsn: str, second_dsn: str) -> None:
    async with (
        ledger_database(dsn) as one,
        ledger_database(second_dsn) as other,
        open_databases(dsn) as first,
        open_databases(second_dsn) as second,
    ):
        [bad_database], [good_database] = first.every(), second.every()
        ledger = Ledger()
        cells = TwoCells(bad_database, good_database)
        consumer = EventConsumer("c", cells, ledger.handle, retry_delays=[])
        await process_all(consumer)
        # The numbers of events begin anew in each database.
        bad = (await emit(one, 3))[1]
        other_ids = [number for number in await emit(other, 6) if number > 3]
        ledger.bad = {bad}
        await process_all(consumer)
        assert await seen(one) == [1, 3]
        assert await seen(other) == [1, 3, *other_ids]
        ledger.bad = set()
        for database, name in ((bad_database, one), (good_database, other)):
            [dead] = await list_dead_events(database)
            assert dead.number == bad
            await requeue_events(database, "c", [bad])
            await process_all(consumer)
            assert (await seen(name))[-1] == bad
            assert await list_dead_events(database) == []
