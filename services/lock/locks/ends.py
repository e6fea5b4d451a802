"""Ends of locks, under the mutex of their repository: the row goes, history and event come."""

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
class LockEnd:
    """How locks end that did not expire.

    Attributes:
        event: for watchers and webhooks.
        action: for the history.
        reason: for both; None = not given.
    """

    event: EventType.ValueType
    actor_id: UUID
    action: str = "released"
    reason: str | None = None


async def end_locks(
    connection: Connection, repository_id: UUID, ids: Sequence[UUID], now: datetime, end: LockEnd
) -> None:
    """Ends locks. Those that had expired before end as expired."""
    if ids:
        await connection.execute(
            *Q.bind.end_locks(
                repository_id=repository_id,
                lock_ids=ids,
                now=now,
                event=NAMES[end.event],
                action=end.action,
                actor_id=end.actor_id,
                reason=end.reason,
            )
        )


async def end_expired_locks(connection: Connection, now: datetime, repository_id: UUID) -> int:
    """Ends up to BATCH locks that have expired, and returns how many."""
    count: int = await connection.fetchval(Q.end_expired_locks, repository_id, now, BATCH)
    return count
