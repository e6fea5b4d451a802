"""Mails of notifications: at once, where a preference says so."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from uuid import UUID

from services.auth.mail.parameters import MailParameters
from services.auth.mail.send_mail import make_mail
from services.auth.notifications.catalog import NAMES, PREFERENCES, TYPES, UNMAILED
from services.auth.notifications.preferences import create_preferences
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.jobs.queue import JobRequest, enqueue_all
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# What one mail lists.
MAX_ITEMS = 50
MAX_ITEM_BYTES = 30_000
MAX_MESSAGE = 500
# How many mails at once of one preference a user gets in MAIL_WINDOW about the repositories of one owner:
# as many as are left of MAX_MAILS, so the first gets half of them; one at least, up to MOST_MAILS of all.
# The rest is left to the digest. Whoever owns repositories could fill an address with mentions otherwise,
# or keep what others have to tell out of it.
MAX_MAILS = 20
MOST_MAILS = 30
MAIL_WINDOW = timedelta(hours=1)
# How many mails are made in one go: each is sealed, and meanwhile the loop waits.
BATCH = 100


async def choose_mailed(connection: Connection, inserted: Sequence[Row]) -> list[Row]:
    """Marks those of some new notifications that are mailed at once, and returns them with their texts.

    The caller's transaction holds the inboxes. Owners of whom a user has had enough are left out.
    """
    users = {row["user_id"] for row in inserted}
    await create_preferences(connection, sorted(users))
    mailed = [row for row in inserted if TYPES[row["type"]] not in UNMAILED]
    return await connection.fetch(
        *Q.bind.mark_mailed(
            ids=[row["id"] for row in mailed],
            preferences=[PREFERENCES[TYPES[row["type"]]] for row in mailed],
            message_length=MAX_MESSAGE,
            types=[NAMES[kind] for kind in PREFERENCES],
            type_preferences=list(PREFERENCES.values()),
            max_mails=MAX_MAILS,
            most_mails=MOST_MAILS,
            window=MAIL_WINDOW,
        )
    )


async def enqueue_mails(connection: Connection, key: ServerKey, mailed: Sequence[Row]) -> None:
    """Enqueues mails about notifications that are marked: one for each user and preference."""
    groups: dict[tuple[UUID, str], list[Row]] = defaultdict(list)
    for row in sorted(mailed, key=lambda row: row["number"]):
        groups[row["user_id"], PREFERENCES[TYPES[row["type"]]]].append(row)
    left = iter(groups.items())
    while some := list(islice(left, BATCH)):
        await enqueue_all(connection, [_make_request(key, *group) for group in some])


def _make_request(key: ServerKey, group: tuple[UUID, str], rows: Sequence[Row]) -> JobRequest:
    user_id, preference = group
    parameters = list_notifications(rows, len(rows))
    return JobRequest(make_mail(key, "notifications", user_id, parameters, preference=preference))


def list_notifications(rows: Sequence[Row], count: int) -> MailParameters:
    """Returns the parameters of a mail about some of `count` notifications: as many as one mail holds."""
    items: list[dict[str, str]] = []
    room = MAX_ITEM_BYTES
    for row in rows[:MAX_ITEMS]:
        item = {name: row[name] for name in ("title", "message", "link")}
        # As the job keeps it: a quotation mark takes two bytes.
        room -= len(json.dumps(item, ensure_ascii=False).encode())
        if items and room < 0:
            break
        items.append(item)
    title = items[0]["title"] if count == 1 else f"{count} unread notifications"
    more = f"And {count - len(items)} more." if count > len(items) else ""
    return MailParameters({"title": title, "more": more}, items)
