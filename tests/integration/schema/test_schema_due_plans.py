"""What asks again and again whether something is due reads little while nothing is, however much waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.auth.background import login_throttles
from services.auth.notifications import retention as notifications
from services.chunk.background import object_reaper
from services.chunk.collection import compaction, restores
from services.chunk.packs import direct_uploads
from services.chunk.placement import replication
from services.repo.release import commits
from services.repo.webhooks import attempts, deliveries
from shared.jobs import queue_sizes, retention
from tests.integration.schema.rows import NOBODY, Connection, add_repo
from tests.integration.schema.test_schema_webhook_plans import count_pages

DAY = timedelta(days=1)
# They fill a hundred pages of each table, and fifty of each of its indexes.
MANY = 10_000
FEW = 40

# What it asks for: the table, the columns of a row that is not due, the statement with its arguments.
QUESTIONS: dict[str, tuple[str, dict[str, str], tuple[Any, ...]]] = {
    "objects to delete": (
        "object_deletions",
        {"bucket": "'b'", "key": "n::text", "not_before": "now() + '1 hour'"},
        (object_reaper.Q.due_objects, "b"),
    ),
    "uploads to forget": (
        "pack_uploads",
        {
            "id": "gen_random_uuid()", "repo_id": "$1", "user_id": "$1", "key": "n::text",
            "bucket": "'b'", "byte_count": "1", "expires_at": "now()",
        },
        (direct_uploads.Q.forget_uploads,),
    ),
    "uploads of a user": (
        "pack_uploads",
        {
            "id": "gen_random_uuid()", "repo_id": "$1", "user_id": "$1", "key": "n::text",
            "bucket": "'b'", "byte_count": "1", "expires_at": "now() - interval '1 hour'",
        },
        (direct_uploads.Q.count_open, NOBODY),
    ),
    "copies to make": (
        "due_copies",
        {
            "region": "'r'", "chunk_hash": "n::text", "repo_id": "$1", "due_at": "now() + '1 hour'",
        },
        (replication.Q.has_due, ["r", "s"]),
    ),
    "restores to forget": (
        "chunk_restores",
        {
            "id": "gen_random_uuid()", "repo_id": "$1", "job_id": "$1", "hashes": "''",
            "is_permanent": "TRUE", "chunk_count": "1", "stored_bytes": "1", "expected_at": "now()",
        },
        (restores.Q.forget_restores, DAY),
    ),
    "erasures to end": (
        "chunk_erasures",
        {"chunk_hash": "n::text", "deleted_at": "now()"},
        (compaction.Q.end_erasures, DAY),
    ),
    "request ids": (
        "idempotency_keys",
        {"method": "'m'", "subject": "''", "request_id": "gen_random_uuid()", "fingerprint": "''"},
        (retention.Q.purge_idempotency_keys, DAY, 10_000),
    ),
    "events": ("events", {"type": "'push'"}, (retention.Q.purge_events, DAY, 10_000)),
    "jobs that ended": (
        "jobs",
        {
            "job_type": "'t'", "payload": "'{}'", "status": "'completed'", "completed_at": "now()",
        },
        (retention.Q.purge_jobs, DAY, DAY, 10_000),
    ),
    "jobs that could begin": (
        "jobs",
        {"job_type": "'t'", "payload": "'{}'", "scheduled_at": "now() + interval '1 hour'"},
        (queue_sizes.Q.queue_sizes, ["default"], 1_000),
    ),
    "throttles": (
        "login_throttles", {"bucket": "n::text", "failures": "1"},
        (login_throttles.Q.purge_throttles, 1_000),
    ),
    "read notifications": (
        "notifications",
        {
            "user_id": "$1", "type": "'t'", "title": "''", "number": "n", "source_id": "gen_random_uuid()",
            "read": "TRUE", "read_at": "now()",
        },
        (notifications.Q.purge_notifications, DAY, DAY, 10_000),
    ),
    "unread notifications": (
        "notifications",
        {"user_id": "$1", "type": "'t'", "title": "''", "number": "n", "source_id": "gen_random_uuid()"},
        (notifications.Q.purge_notifications, DAY, DAY, 10_000),
    ),
    "attempts to purge": (
        "webhook_deliveries",
        {
            "webhook_id": "$1", "delivery_id": "gen_random_uuid()", "event": "'push'",
            "event_id": "$1", "payload": "'{}'",
        },
        (deliveries.Q.purge_attempts, DAY, 10_000),
    ),
    "lost attempts": (
        "webhook_deliveries",
        {
            "webhook_id": "$1", "delivery_id": "gen_random_uuid()", "event": "'push'",
            "event_id": "$1", "payload": "'{}'", "started_at": "now()",
        },
        (attempts.Q.lost_attempts, NOBODY, DAY),
    ),
}  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
async def test_what_is_not_due_is_not_read(conn: Connection, question: str) -> None:
    table, row, statement = QUESTIONS[question]
    await conn.execute("SET session_replication_role = replica")
    values = ", ".join(row.values()).replace("$1", f"'{NOBODY}'")
    await conn.execute(
        f"INSERT INTO {table} ({', '.join(row)}) SELECT {values} FROM generate_series(1, {MANY}) n"
    )
    await conn.execute("RESET session_replication_role")
    await conn.execute(f"VACUUM ANALYZE {table}")
    # The first time, what a function asks is planned, too.
    await count_pages(conn, *statement)
    pages = await count_pages(conn, *statement)
    assert pages <= FEW


async def test_histories_that_are_not_due_are_not_read(conn: Connection) -> None:
    repo = await add_repo(conn)
    await conn.execute("SET session_replication_role = replica")
    await conn.execute(
        "INSERT INTO former_heads (repo_id, commit_hash)"
        f" SELECT $1, n::text FROM generate_series(1, {MANY}) n",
        repo,
    )
    await conn.execute("VACUUM ANALYZE former_heads")
    assert await count_pages(conn, commits.Q.find_due, DAY, 10) <= FEW


async def test_events_that_a_consumer_has_yet_to_read_are_not_read_again(conn: Connection) -> None:
    await conn.execute("INSERT INTO event_cursors (consumer, xid) VALUES ('slow', '0')")
    await conn.execute(
        "INSERT INTO events (type, created_at) SELECT 'push', now() - interval '60 days'"
        f" + n * interval '1 minute' FROM generate_series(1, {MANY}) n"
    )
    await conn.execute("VACUUM ANALYZE events")
    await count_pages(conn, retention.Q.purge_events, DAY, 10_000)
    assert await count_pages(conn, retention.Q.purge_events, DAY, 10_000) <= FEW
    # Those that it has read go, and no other one.
    await conn.execute(
        "UPDATE event_cursors SET (xid, id) = (SELECT xid, id FROM events ORDER BY id OFFSET 99 LIMIT 1)"
    )
    assert await conn.fetchval(retention.Q.purge_events, DAY, 10_000) == 100
    await conn.execute("DELETE FROM event_cursors")
    assert await conn.fetchval(retention.Q.purge_events, DAY, MANY) == MANY - 100
