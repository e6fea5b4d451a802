"""The audit log: append-only in every way, and sealed into chains of hashes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from services.auth.audit_log import listing
from tests.integration.schema.rows import Connection, add_org, add_repo, add_user, connected

AUDIT = "SELECT audit(NULL, 'user', $1, 'user', 'id', 'ada', NULL, NULL, NULL, NULL, NULL, NULL)"
SEAL = "SELECT seal_audit_rows($1)"
OLD = """INSERT INTO audit_log ("timestamp", actor_type, action, resource_type, resource_id)
         VALUES ($1, 'system', $2, 'r', '1')"""
LINKS = """SELECT a.action, s.position FROM audit_seals s JOIN audit_log a ON a.id = s.row_id
           WHERE s.month = $1 ORDER BY s.position"""
BROKEN = """
SELECT count(*) FROM (
    SELECT s.hash, sha256(lag(s.hash, 1, sha256(('dits audit ' || to_char(s.month, 'YYYY-MM'))::bytea))
                              OVER (PARTITION BY s.month ORDER BY s.position)
                          || convert_to(audit_row_text(a), 'UTF8')) AS expected
    FROM audit_seals s JOIN audit_log a ON a.id = s.row_id) links
WHERE hash <> expected"""

CHANGES = [
    "UPDATE {} SET action = 'x'",
    "DELETE FROM {}",
    "TRUNCATE {}",
    "INSERT INTO {0} SELECT * FROM {0} ON CONFLICT (id, \"timestamp\") DO UPDATE SET action = 'x'",
    "MERGE INTO {0} a USING {0} b ON a.id = b.id WHEN MATCHED THEN DELETE",
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("role", ["origin", "replica"])
async def test_the_audit_log_only_grows(conn: Connection, change: str, role: str) -> None:
    """Through the table and through each of its partitions, and without the usual triggers, too."""
    await conn.execute(AUDIT, "a")
    await conn.execute("SELECT ensure_month_partitions(1)")
    await conn.execute(AUDIT, "b")
    await conn.execute(OLD, datetime(2020, 1, 1, tzinfo=UTC), "c")
    month = await conn.fetchval(
        "SELECT max(tableoid::regclass::text) FROM audit_log WHERE action = 'a'"
    )
    await conn.execute(f"SET session_replication_role = {role}")
    for table in ("audit_log", month, "audit_log_default"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="audit_log is append-only"):
            await conn.execute(change.format(table))
    assert await conn.fetchval("SELECT count(*) FROM audit_log") == 3


async def test_the_row_of_a_repository_tells_the_organisation_that_owns_it(
    conn: Connection,
) -> None:
    organisation, repository = await add_org(conn), await add_repo(conn)
    await conn.execute(
        "UPDATE repositories SET owner_type = 'organization', owner_id = $1", organisation
    )
    audit = AUDIT.replace("NULL, NULL, NULL, NULL, NULL, NULL", "$2, $3, NULL, NULL, NULL, NULL")
    await conn.execute(audit, "a", repository, None)
    await conn.execute(audit, "b", None, organisation)
    await conn.execute(audit, "c", None, None)
    rows = await conn.fetch("SELECT repo_id, org_id FROM audit_log ORDER BY action")
    assert [tuple(row) for row in rows] == [
        (repository, organisation), (None, organisation), (None, None),
    ]  # fmt: skip


async def links(conn: Connection) -> list[str]:
    """Actions of the sealed rows of this month, in the order of their links."""
    month = await conn.fetchval("SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date")
    rows = await conn.fetch(LINKS, month)
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    assert await conn.fetchval(BROKEN) == 0
    return [row["action"] for row in rows]


async def test_rows_are_sealed_once_and_in_order(conn: Connection) -> None:
    for action in ("a", "b", "c"):
        await conn.execute(AUDIT, action)
    assert [await conn.fetchval(SEAL, 2) for _ in range(3)] == [2, 1, 0]
    await conn.execute(AUDIT, "d")
    assert await conn.fetchval(SEAL, 2) == 1
    assert await links(conn) == ["a", "b", "c", "d"]


async def test_what_commits_late_is_sealed_once_in_its_place(
    conn: Connection, other: Connection
) -> None:
    """Rows behind an open transaction wait, whenever they were written."""
    await conn.execute(AUDIT, "before")
    late = other.transaction()
    await late.start()
    await other.execute(AUDIT, "late")
    await conn.execute(AUDIT, "after")
    assert await conn.fetchval(SEAL, 10) == 1
    assert await conn.fetchval(SEAL, 10) == 0
    await late.commit()
    assert await conn.fetchval(SEAL, 10) == 2
    assert await links(conn) == ["before", "late", "after"]


async def test_what_is_undone_leaves_no_gap(conn: Connection, other: Connection) -> None:
    undone = other.transaction()
    await undone.start()
    await other.execute(AUDIT, "undone")
    await conn.execute(AUDIT, "kept")
    await undone.rollback()
    assert await conn.fetchval(SEAL, 10) == 1
    assert await links(conn) == ["kept"]


async def test_of_two_sealers_one_seals(conn: Connection, other: Connection) -> None:
    for number in range(5):
        await conn.execute(AUDIT, str(number))
    first = other.transaction()
    await first.start()
    assert await other.fetchval(SEAL, 3) == 3
    assert await conn.fetchval(SEAL, 3) == 0
    await first.commit()
    assert await conn.fetchval(SEAL, 3) == 2
    assert sorted(await links(conn)) == [*"01234"]


async def test_a_sealer_that_is_undone_has_sealed_nothing(
    conn: Connection, other: Connection
) -> None:
    await conn.execute(AUDIT, "a")
    first = other.transaction()
    await first.start()
    assert await other.fetchval(SEAL, 10) == 1
    await first.rollback()
    assert await conn.fetchval(SEAL, 10) == 1
    assert await links(conn) == ["a"]


async def test_many_sealers_and_writers_make_one_chain(dsn: str, conn: Connection) -> None:
    async def write(number: int) -> None:
        async with connected(dsn) as connection:
            for step in range(20):
                async with connection.transaction():
                    await connection.execute(AUDIT, f"{number} {step}")
                    await connection.execute(AUDIT, f"{number} {step}")

    async def seal() -> int:
        async with connected(dsn) as connection:
            counts = [await connection.fetchval(SEAL, 7) or 0 for _ in range(30)]
        return sum(counts)

    writers = [asyncio.create_task(write(number)) for number in range(3)]
    sealed = sum(await asyncio.gather(seal(), seal()))
    await asyncio.gather(*writers)
    while count := await conn.fetchval(SEAL, 50):
        sealed += count
    assert sealed == len(await links(conn)) == 120


async def test_a_chain_outlives_the_move_of_its_rows(conn: Connection) -> None:
    """Of rows that were written before their month had a partition."""
    await conn.execute(AUDIT, "a")
    await conn.execute(OLD, datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC), "old")
    assert await conn.fetchval(SEAL, 10) == 2
    await conn.execute("SET timezone = 'Pacific/Kiritimati'")
    await conn.execute("SELECT ensure_month_partitions(0)")
    assert await conn.fetchval("SELECT count(*) FROM audit_log_default") == 0
    await conn.execute(AUDIT, "b")
    await conn.execute(OLD, datetime(2020, 2, 1, tzinfo=UTC), "older")
    assert await conn.fetchval(SEAL, 10) == 2
    assert await links(conn) == ["a", "b"]
    old = await conn.fetch(LINKS, datetime(2020, 2, 1).date())
    assert [row["action"] for row in old] == ["old", "older"]


async def test_retention_drops_the_chain_of_a_month_and_says_so(conn: Connection) -> None:
    await conn.execute(OLD, datetime(2020, 2, 1, tzinfo=UTC), "old")
    await conn.execute(AUDIT, "a")
    await conn.fetchval(SEAL, 10)
    await conn.execute("SELECT ensure_month_partitions(0)")
    await conn.execute("SELECT drop_month_partitions('audit_log', current_date)")
    rows = await conn.fetch(
        "SELECT length, dropped_at IS NOT NULL FROM audit_chains ORDER BY month"
    )
    assert [tuple(row) for row in rows] == [(1, True), (1, False)]
    assert await links(conn) == ["a"]
    await conn.execute(AUDIT, "b")
    assert await conn.fetchval(SEAL, 10) == 1


# Whole months, whatever the day is: of a month that has just begun, all is read.
MANY_ROWS = """
INSERT INTO audit_log ("timestamp", actor_id, actor_type, action, resource_type, resource_id,
                       repo_id, org_id)
SELECT date_trunc('month', now()) + interval '1 month' - n * interval '20 minutes', users.id,
       'user', 'token.created', 'lock', n::text,
       users.id, users.id
FROM generate_series(1, 6000) n JOIN users ON username = 'u' || n % 30"""
NULLS = ("actor_id", "repository_id", "organization_id", "action", "resource_type", "resource_id")


@pytest.mark.parametrize(
    "filters",
    [
        [], ["actor_id"], ["repository_id"], ["organization_id"], ["action"], ["resource_type"],
        ["resource_type", "resource_id"], ["actor_id", "action"], ["repository_id", "resource_type"],
    ],
    ids=" ".join,
)  # fmt: skip
async def test_a_listing_reads_an_index_of_each_month(conn: Connection, filters: list[str]) -> None:
    for number in range(30):
        await add_user(conn, f"u{number}")
    await conn.execute(MANY_ROWS)
    await conn.execute("SELECT ensure_month_partitions(0)")
    await conn.execute("ANALYZE audit_log")
    user = await conn.fetchval("SELECT id FROM users LIMIT 1")
    values = {"action": "token.revoked", "resource_type": "nothing", "resource_id": "17"}
    query, *arguments = listing.Q.bind.list_events(
        **{name: values.get(name, user) if name in filters else None for name in NULLS},
        refused_by=[UUID(int=1)],
        start=datetime(2000, 1, 1, tzinfo=UTC),
        at=datetime(3000, 1, 1, tzinfo=UTC),
        last_id=user,
        count=51,
        bytes=1 << 20,
    )
    async with conn.transaction():
        await conn.execute(listing.Q.plan_for_values)
        plan = "\n".join(
            row[0] for row in await conn.fetch(f"EXPLAIN (COSTS OFF) {query}", *arguments)
        )
    assert plan.count("Index Scan") >= 3, plan
    assert "Seq Scan on audit" not in plan, plan
