"""kill -9 of the consumer of notifications, again and again: each is in the inbox once, and mailed once."""

from __future__ import annotations

import asyncio
import json
import sys
from uuid import UUID

from services.auth.notifications.mails import MAX_MAILS
from tests.integration.schema.rows import Connection, add_repo, add_user, connected, until
from tests.support.outbox import SETTLED

EVENTS = 20
CAUGHT_UP = """SELECT NOT EXISTS (SELECT FROM events e JOIN event_cursors c ON c.consumer = 'notifications'
                             WHERE (e.xid, e.id) > (c.xid, c.id))"""


async def emit_push(conn: Connection, repository_id: UUID, actor_id: UUID, number: int) -> None:
    """The event of a push to a followed branch, with a commit that mentions somebody."""
    commit = f"{number:064x}"
    payload = {
        "branches": [{"branch": "main", "after": commit}],
        "new_commit_count": 1,
        "mentions": [{"commit": commit, "usernames": ["bob"], "title": f"push {number}"}],
    }
    await conn.execute(
        "SELECT emit_event('push', $1, NULL, $2, $3)", repository_id, actor_id, json.dumps(payload)
    )


async def run_until_killed(dsn: str, seed: int) -> None:
    """Runs the consumer until it has killed itself, or there is nothing left to do."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.notification_process", dsn, str(seed)
    )
    async with connected(dsn) as conn:
        while process.returncode is None and not await conn.fetchval(CAUGHT_UP):
            pass
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_each_is_told_and_mailed_once(dsn: str) -> None:
    async with connected(dsn) as conn:
        ada, bob = await add_user(conn, "ada"), await add_user(conn, "bob")
        await conn.execute("UPDATE users SET email_verified = true")
        repository_id = await add_repo(conn, ada)
        await conn.execute("UPDATE repositories SET visibility = 'internal'")
        await conn.execute("INSERT INTO branch_follows VALUES ($1, $2, 'main')", bob, repository_id)
        await conn.execute(
            "INSERT INTO event_cursors (consumer, xid) VALUES ('notifications', '0')"
        )
        for number in range(EVENTS):
            await emit_push(conn, repository_id, ada, number)
        await until(conn, SETTLED)
        kills = 0
        while not await conn.fetchval(CAUGHT_UP):
            await run_until_killed(dsn, kills)
            kills += 1
        told = await conn.fetch(
            "SELECT type, message, number FROM notifications WHERE user_id = $1 ORDER BY number",
            bob,
        )
        mails = await conn.fetchval("SELECT count(*) FROM jobs WHERE job_type = 'send_mail'")
        mailed = await conn.fetchval(
            "SELECT count(*) FROM notifications WHERE mailed_at IS NOT NULL"
        )
    assert kills > 1
    mentions = [row["message"].split("push ")[1] for row in told if row["type"] == "mention"]
    assert mentions == [str(number) for number in range(EVENTS)]
    assert [row["number"] for row in told] == list(range(1, 2 * EVENTS + 1))
    # A mail tells all of a batch; what is beyond the limit of an hour is left to the digest.
    assert (mailed, mails) == (MAX_MAILS, MAX_MAILS // 5)
