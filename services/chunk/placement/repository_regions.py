"""What a repository is told of the regions in which its chunks lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from dits.common.v1.job_pb2 import CheckPlacementPayload, JobType

from shared.db import sql
from shared.db.pool import Connection, Database, Databases
from shared.formats.bitmaps import mark_missing
from shared.formats.canonical import split_hashes
from shared.jobs.queue import enqueue_alone, find_active
from shared.records.ownership import require_unchanged
from shared.rpc.call import Call

Q = sql.load(__file__)


class RegionState(NamedTuple):
    """A region; whether a repository wants its chunks there, and how many of them are queued."""

    name: str
    is_wanted: bool
    waiting: int


class MissingCopies(NamedTuple):
    """A bitmap of the chunks that a region lacks, lowest bit first, and their number."""

    region: str
    missing: bytes
    missing_count: int


async def list_regions(database: Database, repository_id: UUID | None) -> list[RegionState]:
    """Returns the regions by name, for a repository (None = for none)."""
    rows = await database.fetch(Q.list_regions, repository_id)
    return [RegionState(*row) for row in rows]


async def find_missing_copies(
    databases: Databases, repository_id: UUID, digests: Sequence[bytes]
) -> list[MissingCopies]:
    """Returns what each region lacks where the repository wants its chunks."""
    database = databases.of(repository_id)
    rows = await database.fetch(Q.list_placed, repository_id, b"".join(digests))
    return [
        MissingCopies(row["region"], *mark_missing(digests, set(split_hashes(row["hashes"]))))
        for row in rows
    ]


async def request_placement(database: Database, call: Call) -> UUID:
    """Asks for the job that brings the chunks of a repository to where it wants them; returns its id.

    While one waits or is at work, it is that one: what changes meanwhile is queued with the change.
    Raises CONTENTION.
    """
    repository_id = call.repository.id

    async def request(connection: Connection) -> UUID:
        await require_unchanged(connection, call)
        active = await find_active(connection, JobType.JOB_TYPE_CHECK_PLACEMENT, repository_id)
        payload = CheckPlacementPayload(repository_id=str(repository_id))
        return active or await enqueue_alone(
            connection, payload, repository_id, requested_by=call.caller.user_id
        )

    return await database.transaction(request)
