"""Jobs, events and the audit log: the functions and constraints everybody relies on."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from migrations.runner import migrate
from tests.integration.schema.rows import (
    NOBODY,
    Connection,
    add_repo,
    add_user,
    connected,
    rows,
    until,
)


async def test_a_job_is_enqueued(conn: Connection) -> None:
    job = await conn.fetchval(
        "SELECT enqueue_job('repo', 'repo.purge', '{\"a\": 1}', 5, interval '1 hour', 8, $1, $2)",
        NOBODY,
        NOBODY,
    )
    row = await conn.fetchrow("SELECT * FROM jobs WHERE id = $1", job)
    assert row is not None
    assert (row["queue"], row["job_type"], row["payload"]) == ("repo", "repo.purge", '{"a": 1}')
    assert (row["priority"], row["max_attempts"], row["status"]) == (5, 8, "pending")
    assert (row["repo_id"], row["requested_by"]) == (NOBODY, NOBODY)
    assert timedelta(minutes=59) < row["scheduled_at"] - row["created_at"] < timedelta(minutes=61)


async def test_jobs_for_the_same_work_fold_into_the_waiting_one(conn: Connection) -> None:
    enqueue = """
        SELECT enqueue_job('repo', 'stats', '{}', $1, make_interval(hours => $2), p_dedup_key => 'r1')
    """
    first = await conn.fetchval(enqueue, 1, 2)
    assert await conn.fetchval(enqueue, 9, 1) == first
    assert await conn.fetchval(enqueue, 0, 3) == first
    waiting = "SELECT priority, scheduled_at < clock_timestamp() + interval '1 hour' FROM jobs"
    assert await rows(conn, waiting) == [(9, True)]

    await conn.execute(
        "UPDATE jobs SET status = 'running', lease_token = gen_random_uuid(), locked_until = now()"
    )
    assert await conn.fetchval(enqueue, 0, 0) != first


async def test_a_running_job_has_a_lease_and_no_other_has(conn: Connection) -> None:
    await conn.execute("SELECT enqueue_job('q', 't', '{}')")
    for change in ("status = 'running'", "lease_token = gen_random_uuid(), locked_until = now()"):
        with pytest.raises(asyncpg.CheckViolationError, match="jobs_lease_check"):
            await conn.execute(f"UPDATE jobs SET {change}")


async def test_a_job_dies_once(conn: Connection) -> None:
    bury = (
        "INSERT INTO dead_letter_jobs (original_job_id, queue, job_type, payload, error, retry_count)"
        " VALUES ($1, 'q', 't', '{}', 'e', 3)"
    )
    await conn.execute(bury, NOBODY)
    with pytest.raises(asyncpg.UniqueViolationError, match="dead_letter_jobs_original_job_id_key"):
        await conn.execute(bury, NOBODY)


EMIT = "SELECT emit_event('push', $1, NULL, NULL, '{}')"


async def test_no_event_turns_up_behind_a_reader(conn: Connection, other: Connection) -> None:
    early = conn.transaction()
    await early.start()
    first = await conn.fetchval(EMIT, NOBODY)
    second = await other.fetchval(EMIT, NOBODY)  # commits before the first
    assert await rows(other, "SELECT id FROM settled_events") == []

    await early.commit()
    # Transactions in other databases of the server hold events up, too.
    await until(other, "SELECT count(*) = 2 FROM settled_events")
    settled = await rows(other, "SELECT id FROM settled_events ORDER BY xid, id")
    assert settled == [(first,), (second,)]


LOOK = """EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
          SELECT id FROM settled_events WHERE (xid, id) > ($1::text::xid8, 0) ORDER BY xid, id LIMIT 100"""


async def test_a_look_at_the_events_costs_the_same_however_many_wait(
    conn: Connection, other: Connection
) -> None:
    """One transaction that goes on holds up all events after it."""
    old = other.transaction()
    await old.start()
    begun = await other.fetchval("SELECT pg_current_xact_id()::text")
    emit = "SELECT emit_event('push', $1, NULL, NULL, '{}') FROM generate_series(1, 20000)"
    await conn.execute(emit, NOBODY)
    for position in ("0", begun):
        [[plan]] = await rows(conn, LOOK, position)
        plan = json.loads(plan)[0]["Plan"]
        assert plan["Actual Rows"] == 0
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 10
    await old.rollback()


async def test_an_event_is_undone_with_its_transaction_and_outlives_its_repository(
    conn: Connection,
) -> None:
    repo = await add_repo(conn)
    undone = conn.transaction()
    await undone.start()
    await conn.execute(EMIT, repo)
    await undone.rollback()
    await conn.execute(EMIT, repo)
    await conn.execute("DELETE FROM repositories")
    assert await rows(conn, "SELECT repo_id, payload FROM events") == [(repo, "{}")]


async def test_event_types_have_a_form(conn: Connection) -> None:
    for kind in ("Push", "lock.", "a.b.c", ""):
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute("SELECT emit_event($1, NULL, NULL, NULL, NULL)", kind)


AUDIT = """SELECT audit($1, 'user', 'login', 'user', 'id', 'ada', NULL, NULL,
                        '{"a": 1}', '192.0.2.1', 'ua', 'req')"""


async def test_audit_writes_a_row(conn: Connection) -> None:
    ada = await add_user(conn)
    entry = await conn.fetchval(AUDIT, ada)
    row = await conn.fetchrow("SELECT * FROM audit_log WHERE id = $1", entry)
    assert row is not None
    assert (row["actor_id"], row["action"], row["resource_name"]) == (ada, "login", "ada")
    assert (str(row["ip_address"]), row["user_agent"], row["request_id"]) == (
        "192.0.2.1",
        "ua",
        "req",
    )


def months(start: date, count: int) -> list[date]:
    first = start.year * 12 + start.month - 1
    return [date(month // 12, month % 12 + 1, 1) for month in range(first, first + count)]


async def homes(conn: Connection) -> dict[str, int]:
    """Rows of the audit log by the partition they are in."""
    return dict(
        await rows(conn, "SELECT tableoid::regclass::text, count(*) FROM audit_log GROUP BY 1")
    )


async def add_entry(conn: Connection, when: datetime) -> None:
    await conn.execute(
        'INSERT INTO audit_log ("timestamp", actor_type, action, resource_type, resource_id)'
        " VALUES ($1, 'system', 'a', 'r', '1')",
        when,
    )


async def test_rows_go_to_their_month_and_the_others_are_kept(conn: Connection) -> None:
    now = await conn.fetchval("SELECT now()")
    this, following = months(now.astimezone(UTC).date(), 2)
    await add_entry(conn, now)
    await add_entry(conn, datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC))
    assert await homes(conn) == {"audit_log_default": 2}

    expected = [f"audit_log_{month:%Y_%m}" for month in (date(2020, 2, 1), this, following)]
    made = await conn.fetchval("SELECT ensure_month_partitions(1)")
    assert made == expected + [f"usage_metrics_{month:%Y_%m}" for month in (this, following)]
    assert await homes(conn) == {expected[0]: 1, expected[1]: 1}
    assert await conn.fetchval("SELECT ensure_month_partitions(1)") == []

    await add_entry(conn, datetime(following.year, following.month, 1, tzinfo=UTC))
    await add_entry(conn, datetime(9000, 1, 1, tzinfo=UTC))
    assert await homes(conn) == dict.fromkeys([*expected, "audit_log_default"], 1)


async def test_months_are_counted_in_utc(conn: Connection) -> None:
    await conn.execute("SET timezone = 'Pacific/Kiritimati'")
    await add_entry(conn, datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC))
    await conn.execute("SELECT ensure_month_partitions(0)")
    assert await homes(conn) == {"audit_log_2020_02": 1}


async def test_partitions_are_made_beside_writers(conn: Connection, other: Connection) -> None:
    await conn.execute("SELECT ensure_month_partitions(0)")
    writer = other.transaction()
    await writer.start()
    await other.execute(AUDIT, await add_user(conn))
    assert len(await conn.fetchval("SELECT ensure_month_partitions(1)")) == 2
    await writer.commit()


async def test_partitions_are_made_once_by_many(dsn: str) -> None:
    async def ensure() -> list[str]:
        async with connected(dsn) as conn:
            made: list[str] = await conn.fetchval("SELECT ensure_month_partitions(2)")
            return made

    made = await asyncio.gather(*(ensure() for _ in range(4)))
    assert sorted(len(names) for names in made) == [0, 0, 0, 6]


async def test_old_months_are_dropped(conn: Connection) -> None:
    for month in (1, 2, 3):
        await add_entry(conn, datetime(2020, month, 15, tzinfo=UTC))
    await conn.execute("SELECT ensure_month_partitions(0)")
    drop = "SELECT drop_month_partitions($1, $2)"
    assert await conn.fetchval(drop, "audit_log", date(2020, 2, 29)) == ["audit_log_2020_01"]
    assert await conn.fetchval(drop, "audit_log", date(2020, 3, 1)) == ["audit_log_2020_02"]
    assert await homes(conn) == {"audit_log_2020_03": 1}
    with pytest.raises(asyncpg.InvalidParameterValueError, match="users has no monthly partitions"):
        await conn.fetchval(drop, "users", date(2020, 3, 1))


async def test_every_database_has_an_identity_that_everybody_may_know(
    conn: Connection, empty_database: str
) -> None:
    identity = await conn.fetchval("SELECT database_id()")
    await conn.execute("SET ROLE pg_signal_backend")
    assert await conn.fetchval("SELECT database_id()") == identity
    await migrate(empty_database)
    async with connected(empty_database) as elsewhere:
        assert await elsewhere.fetchval("SELECT database_id()") != identity
