"""Ends of locks, in the turn of their repository: the row goes, history and event come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dits.common.v1.event_pb2 import EventType

from shared.db import sql
from shared.db.pool import Connection
from shared.records.events import NAMES

Q = sql.load(__file__)

BATCH = 1_000


@dataclass(frozen=True, slots=True)
class End:
    """How locks end that have not ended by themselves.

    Attributes:
        event: for watchers and webhooks.
        action: for the history.
    """

    event: EventType.ValueType
    actor_id: UUID
    action: str = "released"
    reason: str | None = None


async def end(
    connection: Connection, repo_id: UUID, ids: Sequence[UUID], now: datetime, how: End
) -> set[str]:
    """Ends locks, and returns those that were live; whose time is up ends as expired."""
    if not ids:
        return set()
    rows = await connection.fetch(
        Q.end_locks, repo_id, ids, now, how.action, how.actor_id, how.reason, NAMES[how.event]
    )
    return {str(row["lock_id"]) for row in rows if row["action"] != "expired"}


async def end_expired(connection: Connection, repo_id: UUID, now: datetime) -> int:
    """Ends up to BATCH locks whose time is up, and returns how many."""
    count: int = await connection.fetchval(Q.end_expired, repo_id, now, BATCH)
    return count
