"""Jobs are done at least once, in order, and end once; what fails for good is a dead letter."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from dits.common.v1.job_pb2 import JobProgress

from shared.db.listen import Listener
from shared.db.pool import Connection, Database
from shared.errors import DomainError
from shared.jobs import worker as worker_module
from shared.jobs.catalog import JOBS
from shared.jobs.queue import JobRequest, enqueue, enqueue_all
from shared.jobs.running_job import PermanentFailure, RetryLater, RunningJob
from tests.support.jobs import (
    OTHER_PAYLOAD,
    PAYLOAD,
    TYPE,
    Script,
    dead_letters,
    make_due,
    put,
    wait_for,
    working,
)

pytestmark = pytest.mark.usefixtures("quick_worker")


async def test_a_job_is_done_and_tells_what_it_did(database: Database) -> None:
    script = Script([JobProgress(done=3, total=3)])
    async with working(database, script.handle):
        job_id = await put(database)
        row = await wait_for(database, job_id, "completed")
    assert json.loads(row["result"]) == {"done": "3", "total": "3"}
    assert (row["attempts"], row["error"], row["lease_token"]) == (1, None, None)
    assert row["completed_at"] >= row["started_at"] >= row["created_at"]
    assert script.attempts == {job_id: 1}


async def test_a_job_of_a_transaction_that_is_undone_never_was(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await enqueue(connection, PAYLOAD)
        raise KeyError

    with pytest.raises(KeyError):
        await database.transaction(work)
    assert await database.fetch("SELECT FROM jobs") == []


async def test_a_failure_is_followed_by_another_attempt(database: Database) -> None:
    script = Script([KeyError("secret"), RetryLater("the receiver is away"), None])
    async with working(database, script.handle):
        job_id = await put(database)
        row = await _wait_for_error(database, job_id, "defect")
        assert "secret" not in row["error"]
        assert timedelta(seconds=3) < await make_due(database, job_id) <= timedelta(seconds=10)
        await _wait_for_error(database, job_id, "the receiver is away")
        assert timedelta(seconds=8) < await make_due(database, job_id) <= timedelta(seconds=20)
        row = await wait_for(database, job_id, "completed")
    assert (row["attempts"], row["error"]) == (3, None)


async def _wait_for_error(database: Database, job_id: UUID, text: str) -> Any:
    while True:
        row = await wait_for(database, job_id, "pending")
        if text in (row["error"] or ""):
            return row


async def test_a_handler_says_when_to_try_again(database: Database) -> None:
    async with working(database, Script([RetryLater("later", timedelta(days=2))]).handle):
        job_id = await put(database)
        await _wait_for_error(database, job_id, "later")
    assert await make_due(database, job_id) > timedelta(days=1)


async def test_the_last_failure_makes_a_dead_letter(database: Database) -> None:
    repository, user = uuid4(), uuid4()
    async with working(database, Script([RetryLater("no", timedelta(0))]).handle):
        job_id = await put(database, repository_id=repository, requested_by=user, priority=3)
        row = await wait_for(database, job_id, "failed")
    assert row["attempts"] == row["max_attempts"] == 5
    [dead] = await dead_letters(database)
    assert (dead["original_job_id"], dead["error"], dead["retry_count"]) == (job_id, "no", 5)
    assert (dead["repo_id"], dead["requested_by"], dead["priority"]) == (repository, user, 3)


async def test_a_permanent_failure_is_not_repeated(database: Database) -> None:
    async with working(database, Script([PermanentFailure("gone")]).handle):
        row = await wait_for(database, await put(database), "failed")
    assert (row["attempts"], row["error"]) == (1, "gone")
    assert len(await dead_letters(database)) == 1


async def test_an_attempt_that_takes_too_long_is_given_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(JOBS[TYPE], longest=timedelta(milliseconds=50))
    monkeypatch.setitem(JOBS, TYPE, short)

    async def hang(_job: RunningJob, _payload: object) -> None:
        await asyncio.Event().wait()

    async with working(database, hang):
        job_id = await put(database)
        await _wait_for_error(database, job_id, "it took too long")


async def test_a_payload_of_another_type_is_buried(database: Database) -> None:
    script = Script()
    job_id = await put(database)
    await database.fetch("UPDATE jobs SET payload = '[1]'")
    async with working(database, script.handle):
        await wait_for(database, job_id, "failed")
    assert not script.attempts


async def test_a_type_that_the_worker_does_not_know_waits_for_another(database: Database) -> None:
    """During a change of releases, jobs of the new one are none of the old one's."""
    await database.fetch("SELECT enqueue_job('auth', 'of_the_next_release', '{}')")
    async with working(database, Script().handle):
        await wait_for(database, await put(database), "completed")
    assert [row["status"] for row in await database.fetch("SELECT status FROM jobs")].count(
        "pending"
    ) == 1


async def test_payloads_have_a_type_and_a_limit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError, match="JobProgress"):
        await put(database, JobProgress())
    monkeypatch.setattr("shared.jobs.queue.MAX_PAYLOAD_BYTES", 1)
    with pytest.raises(DomainError, match="at most 1 in one call"):
        await put(database)


async def test_urgent_jobs_begin_first_then_those_that_have_waited_longest(
    database: Database,
) -> None:
    order: list[UUID] = []

    async def note(job: RunningJob, _payload: object) -> None:
        order.append(job.id)

    ids = [await put(database, priority=priority) for priority in (0, 5, 0, -1, 5)]
    later = await put(database, priority=9, delay=timedelta(hours=1))
    async with working(database, note, slots=1):
        await wait_for(database, ids[3], "completed")
    assert order == [ids[i] for i in (1, 4, 0, 2, 3)]
    assert (await wait_for(database, later, "pending"))["attempts"] == 0


async def test_many_jobs_are_enqueued_at_once(database: Database) -> None:
    async def work(connection: Connection) -> list[UUID]:
        return await enqueue_all(
            connection,
            [
                JobRequest(PAYLOAD, priority=2, requested_by=UUID(int=1)),
                JobRequest(OTHER_PAYLOAD, delay=timedelta(hours=1)),
            ],
        )

    ids = await database.transaction(work)
    rows = [await wait_for(database, job_id, "pending") for job_id in ids]
    assert [(row["queue"], row["priority"]) for row in rows] == [("auth", 2), ("shared", 0)]
    assert rows[0]["requested_by"] == UUID(int=1)
    assert rows[1]["scheduled_at"] > rows[0]["scheduled_at"]


async def test_a_process_has_no_more_jobs_of_a_queue_than_slots(database: Database) -> None:
    running = most = 0

    async def count(job: RunningJob, _payload: object) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    ids = [await put(database) for _ in range(12)]
    async with working(database, count, slots=3):
        for job_id in ids:
            await wait_for(database, job_id, "completed")
    assert most == 3


async def test_a_hint_starts_a_job_before_the_next_poll(
    database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "POLL_SECONDS", 60.0)
    script = Script()
    listener = Listener(dsn)
    sender = asyncio.create_task(database.hints.send_hints())
    async with working(database, script.handle, listener=listener):
        listener.start()
        await wait_for(database, await put(database), "completed")
        await sender
        await listener.stop()
