"""What the tests of the collection share: references without history, and runs of the jobs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any
from uuid import UUID

from dits.chunk.v1.maintenance_run_pb2 import MaintenanceReport
from dits.common.v1.job_pb2 import CollectGarbagePayload
from google.protobuf import json_format
from google.protobuf.message import Message

from services.chunk.background.object_reaper import ObjectReaper
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, digest
from tests.support.jobs import put, wait_for
from tests.support.stores import open_store

DAY = timedelta(days=1)


def hexes(data: Iterable[bytes]) -> list[str]:
    """The hashes of chunks, as the database has them."""
    return [digest(each).hex() for each in data]


async def reference(shelf: Shelf, *data: bytes, size: int | None = None) -> list[str]:
    """Refers to chunks as a push does; returns those that are missing, and then refers to none.

    `size`: which the file claims; 0 = they are chunk lists.
    """
    query = "SELECT missing FROM reference_chunks($1::uuid, $2, $3, $4::int[])"
    count = len(data)
    counts, sizes = [1] * count, [size] * count
    missing: list[str] = await shelf.api.value(query, shelf.repo.id, hexes(data), counts, sizes)
    return missing


async def release(shelf: Shelf, *data: bytes) -> None:
    """Takes references back, as the end of a file does."""
    query = "SELECT release_chunks($1::uuid, $2, $3)"
    await shelf.api.value(query, shelf.repo.id, hexes(data), [1] * len(data))


async def end_claims(api: Api, shelf: Shelf | None = None) -> None:
    """Makes the leases of all claims, or of those of a repository, end now."""
    await api.fetch(
        """WITH claims AS MATERIALIZED (
               SELECT repo_id, chunk_hash FROM chunk_refs
               WHERE claimed_at IS NOT NULL AND ($1::uuid IS NULL OR repo_id = $1)
               ORDER BY chunk_hash, repo_id FOR NO KEY UPDATE SKIP LOCKED
           )
           UPDATE chunk_refs r SET claimed_at = r.claimed_at - interval '2 days'
           FROM claims c WHERE r.repo_id = c.repo_id AND r.chunk_hash = c.chunk_hash""",
        shelf and shelf.repo.id,
    )


async def insert_run(api: Api, kind: str) -> UUID:
    """Inserts a run that is under way, of a job that is at work; returns its job."""
    job_id: UUID = await api.value(
        """INSERT INTO jobs (queue, job_type, payload, status, lease_token, locked_until)
           VALUES ('chunk', $1, '{}', 'running', gen_random_uuid(), now() + interval '1 hour')
           RETURNING id""",
        kind,
    )
    await api.fetch("INSERT INTO maintenance_runs (kind, job_id) VALUES ($1, $2)", kind, job_id)
    return job_id


async def do_maintenance(
    api: Api, databases: Databases, payload: Message | None = None
) -> dict[str, Any]:
    """Has the running service do a job, garbage collection by default; returns the record of its run."""
    (database,) = databases.every()
    job_id = await put(database, payload or CollectGarbagePayload())
    await wait_for(database, job_id, "completed")
    query = "SELECT outcome, report::text FROM maintenance_runs WHERE job_id = $1"
    rows = await api.fetch(query, job_id)
    return dict(rows[0]) if rows else {}


async def maintain(api: Api, databases: Databases, payload: Message) -> MaintenanceReport:
    """Does a job, which completes, and returns its report."""
    record = await do_maintenance(api, databases, payload)
    assert record["outcome"] == "completed"
    return json_format.Parse(record["report"], MaintenanceReport())


async def reap(databases: Databases, settings: Settings) -> int:
    """Deletes the objects that are due."""
    store = open_store(settings)
    return await ObjectReaper(databases, {store.bucket: store}, 0).reap_objects()


async def exhaust(batches: AsyncGenerator[Any, None]) -> Sequence[Any]:
    """All that a generator yields."""
    async with aclosing(batches):
        return [batch async for batch in batches]
