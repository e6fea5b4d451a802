"""In which regions the chunks of a repository are to lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from dits.common.v1.job_pb2 import CheckPlacementPayload
from dits.repo.v1 import repository_service_pb2 as pb

from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invalid_field, last_copy
from shared.jobs.queue import enqueue_alone
from shared.rpc import validation

Q = sql.load(__file__)

MAX_REGIONS = 16
MAX_REPLICATION_SECONDS = 7 * 86_400


def parse_region_policy(settings: pb.RepositorySettings) -> dict[str, Any]:
    """Returns the policy by the names of its columns. Raises INVALID_FIELD, BATCH_TOO_LARGE."""
    validation.count("settings.regions", settings.regions, MAX_REGIONS, least=0)
    for region in settings.regions:
        validation.text("settings.regions", region, least=1, most=63)
    if settings.min_regions < 0:
        raise invalid_field("settings.min_regions", "must not be negative")
    if not 0 <= settings.replication_seconds <= MAX_REPLICATION_SECONDS:
        raise invalid_field(
            "settings.replication_seconds", f"must be 0 to {MAX_REPLICATION_SECONDS}"
        )
    return {
        "regions": sorted(set(settings.regions)),
        "min_regions": settings.min_regions,
        "replication_seconds": settings.replication_seconds,
    }


async def check_new_policy(connection: Connection, policy: Mapping[str, Any]) -> None:
    """Raises INVALID_FIELD if a policy cannot be kept."""
    if policy["min_regions"] > len(policy["regions"]):
        raise invalid_field("settings.min_regions", "must not be more than there are regions")
    if policy["min_regions"] > 1 and policy["replication_seconds"]:
        raise invalid_field(
            "settings.replication_seconds", "must be 0: pushes wait for copies in other regions"
        )
    if policy["regions"]:
        await connection.execute(Q.hold_regions)
    for row in await connection.fetch(Q.unknown_regions, policy["regions"]):
        raise invalid_field("settings.regions", f"there is no region {row['region']!r}")


async def check_policy_change(
    connection: Connection, repository_id: UUID, before: Row, change: Mapping[str, Any]
) -> None:
    """Raises INVALID_FIELD if the policy cannot be kept; LAST_COPY if it leaves chunks in no region."""
    after = {**dict(before), **change}
    await check_new_policy(connection, after)
    left = set(before["regions"]) - set(after["regions"])
    kept = sorted(set(before["regions"]) & set(after["regions"]))
    if not left or not after["regions"]:
        return
    if not kept:
        raise last_copy(0)
    count = await connection.fetchval(Q.count_chunks_outside, repository_id, kept)
    if count:
        raise last_copy(count)


async def request_placement(connection: Connection, repository_id: UUID) -> None:
    """Has the chunks of a repository brought to where they are to lie, after the commit."""
    payload = CheckPlacementPayload(repository_id=str(repository_id))
    await enqueue_alone(connection, payload, repository_id)
