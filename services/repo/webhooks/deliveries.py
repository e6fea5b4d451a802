"""Deliveries as people see them: asked for, listed, shown, purged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from services.repo.webhooks.management import WebhookOwner
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import limit_reached, not_found
from shared.jobs.table_purge import TablePurge
from shared.rpc.call import Call

Q = sql.load(__file__)

# That users asked for and that are pending, of a webhook.
MOST_REQUESTED = 1_000
KEPT = timedelta(days=30)
PURGE = TablePurge(Q.purge_attempts, KEPT)


@dataclass(frozen=True, slots=True)
class Shown:
    """A delivery with its body and attempts."""

    row: Row
    body: str
    attempts: Sequence[Row]


async def add_delivery(
    connection: Connection, call: Call, webhook_id: UUID, event: str, event_id: UUID, body: str
) -> Row:
    """Makes a delivery that the caller asked for, and returns it; `body` is JSON.

    Raises LIMIT_REACHED, and NOT_FOUND if the webhook was deleted meanwhile.
    """
    if await connection.fetchrow(Q.lock_webhook, webhook_id) is None:
        raise not_found("webhook", str(webhook_id))
    if await connection.fetchval(Q.count_requested, webhook_id) >= MOST_REQUESTED:
        raise limit_reached("pending deliveries by Ping or Redeliver", MOST_REQUESTED)
    delivery_id = uuid4()
    await connection.execute(
        *Q.bind.insert_delivery(
            webhook_id=webhook_id,
            delivery_id=delivery_id,
            event=event,
            event_id=event_id,
            body=body,
            user_id=call.caller.user_id,
        )
    )
    row = await connection.fetchrow(Q.get_delivery, delivery_id)
    assert row is not None  # noqa: S101  it has just been made
    return row


async def repeat_delivery(
    connection: Connection, call: Call, owner: WebhookOwner, delivery_id: UUID
) -> Row:
    """Makes a delivery with the same event and body, and returns it. Raises LIMIT_REACHED, NOT_FOUND."""
    first = await _get_first_attempt(connection, owner, delivery_id)
    return await add_delivery(
        connection, call, first["webhook_id"], first["event"], first["event_id"], first["body"]
    )


async def get_delivery(connection: Connection, owner: WebhookOwner, delivery_id: UUID) -> Shown:
    """Returns a delivery of a webhook of an owner, as it is at one moment. Raises NOT_FOUND."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        first = await _get_first_attempt(connection, owner, delivery_id)
        row = await connection.fetchrow(Q.get_delivery, delivery_id)
        attempts = await connection.fetch(Q.list_attempts, delivery_id)
    assert row is not None  # noqa: S101  its first attempt is there
    return Shown(row, first["body"], attempts)


async def list_deliveries(
    connection: Connection, webhook_id: UUID, after: tuple[object, object], count: int
) -> Sequence[Row]:
    """Returns up to `count` deliveries of a webhook behind a time and an id, the newest first."""
    created_at, delivery_id = after
    return await connection.fetch(
        *Q.bind.list_deliveries(
            webhook_id=webhook_id, created_at=created_at, delivery_id=delivery_id, count=count
        )
    )


async def _get_first_attempt(connection: Connection, owner: WebhookOwner, delivery_id: UUID) -> Row:
    row = await connection.fetchrow(Q.get_first_attempt, delivery_id, *owner.ids)
    if row is None:
        raise not_found("delivery", str(delivery_id))
    return row
