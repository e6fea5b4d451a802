"""Which webhooks get which events."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.repo.webhooks.pacing import LONGEST_HOLD
from shared.db import sql
from shared.db.pool import Connection
from shared.outbox.stored_event import StoredEvent

Q = sql.load(__file__)


async def make_deliveries(
    connection: Connection, events: Sequence[StoredEvent]
) -> tuple[list[UUID], int]:
    """Makes the deliveries of some events, in the caller's transaction.

    Returns the ids of the webhooks that get any, sorted, and how many deliveries may be held back.
    """
    rows = await connection.fetch(
        *Q.bind.make_deliveries(
            ids=[event.position.event_id for event in events],
            public_ids=[event.id for event in events],
            hold=LONGEST_HOLD,
        )
    )
    return [row["webhook_id"] for row in rows], sum(row["fresh"] for row in rows)
