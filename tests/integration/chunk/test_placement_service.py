"""PlacementService: in which regions chunks lie, and who may ask."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from dits.chunk.v1 import placement_service_pb2 as pb
from dits.common.v1.job_pb2 import CheckPlacementPayload, EraseChunksPayload
from google.protobuf.message import Message
from grpc import StatusCode

from shared.db.pool import Database, Databases
from shared.jobs.attempt import attempt_job
from shared.jobs.endings import Ending, Endings
from shared.jobs.running_job import RunningJob
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, digest, some
from tests.support.jobs import Script, make_due, put, wait_for
from tests.support.regions import places, set_policy, settle, with_regions


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_regions(settings, tmp_path)


async def find_missing(shelf: Shelf, *data: bytes) -> dict[str, list[bool]]:
    """Of each region and chunk, whether it is not there."""
    request = pb.FindMissingCopiesRequest(
        repository=shelf.repo.id, hashes=b"".join(map(digest, data))
    )
    answer = await shelf.api.placement.FindMissingCopies(request, metadata=shelf.who.auth)
    found = {}
    for each in answer.regions:
        found[each.region] = [bool(each.missing[0] >> at & 1) for at in range(len(data))]
        assert sum(found[each.region]) == each.missing_count
    return found


async def test_what_is_where_and_what_others_have_does_not_show(
    api: Api, databases: Databases
) -> None:
    shelf, other = await Shelf.open(api), await Shelf.open(api)
    await set_policy(other, "local", "far")
    shared, own = some(), some()
    await other.put(shared)
    await settle(api)
    assert await places(api, shared) == ["local", "far"]
    assert await find_missing(shelf, own) == {}
    await set_policy(shelf, "local", "far", seconds=3600)
    await settle(api)
    await shelf.put(shared, own)
    # One of them is there already, thanks to the other repository: the answers are the same.
    queued = {"far": [True, True], "local": [True, True]}
    assert await find_missing(shelf, shared, own) == queued
    request = pb.ListRegionsRequest(repository=shelf.repo.id)
    listed = await api.placement.ListRegions(request, metadata=shelf.who.auth)
    assert [
        (each.name, each.is_local, each.is_wanted, each.waiting_chunk_count)
        for each in listed.regions
    ] == [("attic", False, False, 0), ("far", False, True, 2), ("local", True, True, 2)]
    await api.fetch("UPDATE due_copies SET due_at = now()")
    begin = pb.ReplicateChunksRequest(repository=shelf.repo.id)
    begun = await api.placement.ReplicateChunks(begin, metadata=shelf.who.auth)
    (database,) = databases.every()
    await wait_for(database, UUID(begun.job_id), "completed")
    await settle(api)
    absent = some()
    assert await find_missing(shelf, shared, absent) == {
        "far": [False, True],
        "local": [False, True],
    }


async def test_who_may_ask(api: Api) -> None:
    shelf, stranger = await Shelf.open(api), await api.account()
    listed = await api.placement.ListRegions(pb.ListRegionsRequest(), metadata=stranger.auth)
    assert [each.name for each in listed.regions] == ["attic", "far", "local"]
    calls: tuple[tuple[Any, Any], ...] = (
        (api.placement.ListRegions, pb.ListRegionsRequest(repository=shelf.repo.id)),
        (api.placement.ReplicateChunks, pb.ReplicateChunksRequest(repository=shelf.repo.id)),
        (api.placement.FindMissingCopies, pb.FindMissingCopiesRequest(repository=shelf.repo.id)),
    )
    for call, request in calls:
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await call(request, metadata=stranger.auth)
    many = pb.FindMissingCopiesRequest(repository=shelf.repo.id, hashes=bytes(32 * 10_001))
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await api.placement.FindMissingCopies(many, metadata=shelf.who.auth)


async def claim(database: Database, count: int) -> list[RunningJob]:
    """Claims jobs about all chunks of a repository, as one worker."""
    rows = await database.fetch(
        "SELECT * FROM claim_jobs('{chunk}', $1, '{check_placement,erase_chunks}', $2, 'worker')",
        [count],
        [timedelta(minutes=1)] * 2,
    )
    return [RunningJob(row, database) for row in sorted(rows, key=lambda row: row["id"])]


class TestWithoutWorkers:
    """A server that does no jobs."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"worker": False})

    async def test_a_repository_has_one_job_at_a_time(self, api: Api, databases: Databases) -> None:
        shelf, other = await Shelf.open(api), await Shelf.open(api)
        (database,) = databases.every()

        async def begin(shelf: Shelf) -> str:
            request = pb.ReplicateChunksRequest(repository=shelf.repo.id)
            answer = await api.placement.ReplicateChunks(request, metadata=shelf.who.auth)
            return str(answer.job_id)

        first = await begin(shelf)
        assert await begin(shelf) == first != await begin(other)
        # At work, and after an attempt that has failed.
        await api.fetch(
            """UPDATE jobs SET status = 'running', lease_token = gen_random_uuid(), attempts = 1,
                               locked_until = now() - interval '1 s' WHERE id = $1::uuid""",
            first,
        )
        assert await begin(shelf) == first
        await database.fetch("SELECT end_expired_leases(10)")
        assert await begin(shelf) == first
        await api.fetch("UPDATE jobs SET status = 'completed', completed_at = now()")
        assert await begin(shelf) != first

    async def test_changes_of_regions_leave_one_job_beside_the_one_at_work(
        self, api: Api, databases: Databases
    ) -> None:
        shelf = await Shelf.open(api)
        (database,) = databases.every()
        waiting = "SELECT id FROM jobs WHERE job_type = 'check_placement' AND status = 'pending'"
        for regions in (("local",), ("local", "far"), ("local", "attic", "far")):
            await set_policy(shelf, *regions)
        [first] = await claim(database, 4)
        for regions in (("local", "far"), ("local", "attic", "far")):
            await set_policy(shelf, *regions)
            [row] = await api.fetch(waiting)
        # The other one gives way, and is the one that later changes find.
        [second] = await claim(database, 4)
        assert second.id == row["id"]
        assert (await end(database, second)).outcome == "release"
        await set_policy(shelf, "local", "far")
        assert await api.fetch(waiting) == [row]
        assert (await end(database, first)).outcome == "completed"
        [second] = await claim(database, 4)
        assert (second.id, second.attempt) == (row["id"], 1)
        assert (await end(database, second)).outcome == "completed"

    @pytest.mark.parametrize("payload", [CheckPlacementPayload(), EraseChunksPayload()])
    @pytest.mark.parametrize("are_claimed_together", [True, False])
    async def test_jobs_of_one_repository_are_done_one_after_the_other(
        self, api: Api, databases: Databases, payload: Message, are_claimed_together: bool
    ) -> None:
        shelf, other = await Shelf.open(api), await Shelf.open(api)
        (database,) = databases.every()
        for each in (shelf, shelf):
            await put(database, payload, repository_id=UUID(each.repo.id))
        elsewhere = await put(database, payload, repository_id=UUID(other.repo.id))
        if are_claimed_together:
            jobs = await claim(database, 3)
        else:
            jobs = [job for _ in range(3) for job in await claim(database, 1)]
        # Ids of one millisecond are in no order.
        [apart] = [job for job in jobs if job.id == elsewhere]
        mine = [job for job in jobs if job.id != elsewhere]
        assert (await attempt_job(apart, Script().handle)).outcome == "completed"
        # Of two that were claimed by themselves, each may have begun before the other: both give way.
        outcomes = [(await end(database, job)).outcome for job in mine[::-1]]
        assert outcomes == ["release", "completed"]
        assert await make_due(database, mine[1].id) > timedelta(0)
        [again] = await claim(database, 3)
        assert (await end(database, again)).outcome == "completed"


async def end(database: Database, job: RunningJob) -> Ending:
    """Has an attempt end, and writes how."""
    ending = await attempt_job(job, Script().handle)
    endings = Endings(database, lambda _: None)
    endings.add(ending)
    await endings.write_endings()
    return ending
