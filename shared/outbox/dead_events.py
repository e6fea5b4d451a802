"""Events that a consumer gave up, as operators deal with them: listed, requeued, dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import not_found
from shared.outbox.stored_event import name_event
from shared.records.audit import AuditAction, audit

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """An event that a consumer gave up.

    Attributes:
        number: its id in the outbox.
        id: what names it everywhere else.
        error: what the consumer failed with last.
        is_requeued: the consumer has yet to try it again.
    """

    consumer: str
    number: int
    id: UUID
    type: str
    repository_id: UUID | None
    created_at: datetime
    died_at: datetime
    error: str
    is_requeued: bool


async def list_dead_events(database: Database, consumer: str | None = None) -> list[DeadEvent]:
    """Returns the dead events of a consumer (None = of all), those first that died first."""
    rows = await database.fetch(Q.list_dead_events, consumer)
    return [_describe(row) for row in rows]


async def requeue_events(database: Database, consumer: str, numbers: Sequence[int]) -> None:
    """Has a consumer try dead events again, all or none of them. Raises NOT_FOUND."""

    async def requeue(connection: Connection) -> None:
        await _change(connection, Q.requeue_event, AuditAction.EVENT_REQUEUED, consumer, numbers)

    await database.transaction(requeue)


async def drop_events(database: Database, consumer: str, numbers: Sequence[int]) -> None:
    """Forgets dead events of a consumer, all or none of them. Raises NOT_FOUND."""

    async def drop(connection: Connection) -> None:
        await _change(connection, Q.drop_event, AuditAction.EVENT_DROPPED, consumer, numbers)

    await database.transaction(drop)


async def _change(
    connection: Connection,
    query: str,
    action: AuditAction,
    consumer: str,
    numbers: Sequence[int],
) -> None:
    for number in sorted(set(numbers)):
        row = await connection.fetchrow(query, consumer, number)
        if row is None:
            raise not_found("dead_event", f"{number} of {consumer}")
        event_id = name_event(row["database_id"], number)
        await audit(
            connection, None, action, "event", event_id, row["type"],
            repository_id=row["repo_id"], organization_id=row["org_id"], consumer=consumer,
        )  # fmt: skip


def _describe(row: Row) -> DeadEvent:
    return DeadEvent(
        row["consumer"],
        row["id"],
        name_event(row["database_id"], row["id"]),
        row["type"],
        row["repo_id"],
        row["created_at"],
        row["died_at"],
        row["error"],
        row["requeued_at"] is not None,
    )
