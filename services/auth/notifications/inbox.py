"""Inboxes: what comes in, in an order that does not change, and what was read.

A token does not see what is told of repositories that it is kept out of: those of organisations that refuse
it, unless everybody may read them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from services.auth.notifications.catalog import NAMES, Draft
from shared.db import sql
from shared.db.hints import hint_after_commit
from shared.db.pool import Connection, Database, Row
from shared.errors import not_found
from shared.rpc.call import Caller

Q = sql.load(__file__)

# Notifications here carry the id of the user whose inbox has changed; empty = of many users.
CHANNEL = "dits_inbox"
MAX_HINTS = 100
# A larger number of unread notifications is told as this one.
MAX_COUNTED = 1_000
# Rows that one statement marks.
BATCH = 10_000


async def insert_notifications(connection: Connection, drafts: Sequence[Draft]) -> list[Row]:
    """Puts notifications into inboxes, unless they have come before; returns id, user and type of each.

    The caller's transaction holds the inboxes until it ends.
    """
    once = {(draft.user_id, draft.type, draft.source_id): draft for draft in drafts}
    drafts = list(once.values())
    rows = await connection.fetch(
        *Q.bind.insert_notifications(
            user_ids=[draft.user_id for draft in drafts],
            types=[NAMES[draft.type] for draft in drafts],
            source_ids=[draft.source_id for draft in drafts],
            repository_ids=[draft.repository_id for draft in drafts],
            titles=[draft.title for draft in drafts],
            messages=[draft.message for draft in drafts],
            links=[draft.link for draft in drafts],
        )
    )
    hint_change({row["user_id"] for row in rows})
    return list(rows)


def hint_change(user_ids: Collection[UUID]) -> None:
    """Wakes those who watch some inboxes, once the transaction has committed."""
    names = [str(user_id) for user_id in user_ids] if len(user_ids) <= MAX_HINTS else [""]
    for name in names:
        hint_after_commit(CHANNEL, name)


async def count_unread(database: Database, caller: Caller) -> int:
    """Returns how many notifications the caller sees that are unread, at most MAX_COUNTED."""
    refused_by = list(caller.refused_by)
    row = await database.fetchrow(Q.count_unread, caller.user_id, MAX_COUNTED, refused_by)
    assert row is not None  # noqa: S101  an aggregate
    return int(row["count"])


async def list_notifications(
    database: Database, caller: Caller, before: int | None, count: int, *, unread_only: bool
) -> list[Row]:
    """Returns the newest notifications before a number that the caller sees."""
    query = Q.list_unread if unread_only else Q.list_all
    return await database.fetch(query, caller.user_id, before, count, list(caller.refused_by))


async def mark_read(database: Database, user_id: UUID, ids: Collection[UUID]) -> None:
    """Marks notifications of a user as read, all or none. Raises NOT_FOUND."""

    async def mark(connection: Connection) -> None:
        rows = await connection.fetch(Q.lock_notifications, user_id, sorted(ids))
        missing = set(ids) - {row["id"] for row in rows}
        if missing:
            raise not_found("notification", str(min(missing)))
        await connection.execute(Q.mark_read, [row["id"] for row in rows])
        hint_change([user_id])

    await database.transaction(mark)


async def mark_all_read(database: Database, user_id: UUID, until: datetime | None) -> None:
    """Marks the notifications of a user as read that came until a time; None = all."""

    async def mark_batch(connection: Connection) -> int:
        rows = await connection.fetch(Q.lock_unread, user_id, until, BATCH)
        if rows:
            await connection.execute(Q.mark_read, [row["id"] for row in rows])
            hint_change([user_id])
        return len(rows)

    while await database.transaction(mark_batch) == BATCH:
        pass


async def fetch_news(
    database: Database, caller: Caller, after: int | None, count: int
) -> list[Row]:
    """Returns up to `count` notifications after a number that the caller sees, each with the inbox's state.

    There is one row at least; its id is NULL if there is no notification. After None, there are none.
    """
    return await database.fetch(
        *Q.bind.news(
            user_id=caller.user_id,
            refused_by=list(caller.refused_by),
            after=after,
            count=count,
            most=MAX_COUNTED,
        )
    )
