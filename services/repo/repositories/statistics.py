"""The statistics of a repository."""

from __future__ import annotations

from uuid import UUID

from dits.repo.v1 import repository_service_pb2 as pb

from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import not_found
from shared.jobs.recounts import request_recount

Q = sql.load(__file__)


async def read_statistics(connection: Connection, repository_id: UUID) -> Row:
    """Returns the statistics, and has the repository counted again if they are out of date.

    Raises NOT_FOUND.
    """
    row = await connection.fetchrow(Q.read_statistics, repository_id)
    if row is None:
        raise not_found("repository", str(repository_id))
    if row["is_outdated"]:
        await request_recount(connection, repository_id)
    return row


def describe_statistics(row: Row) -> pb.GetRepositoryStatsResponse:
    """Returns the message."""
    return pb.GetRepositoryStatsResponse(
        commit_count=row["commit_count"],
        branch_count=row["branch_count"],
        tag_count=row["tag_count"],
        contributor_count=row["contributor_count"],
        file_count=row["file_count"],
        chunk_count=row["chunk_count"],
        logical_bytes=row["logical_bytes"],
        storage_bytes=row["storage_bytes"],
        dedup_ratio=row["dedup_ratio"],
        last_activity_time=row["last_activity_at"],
        count_time=row["calculated_at"],
        held_bytes=row["held_bytes"],
    )
