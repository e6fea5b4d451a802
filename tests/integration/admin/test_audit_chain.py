"""verify-audit: what is done to the log or to its chains, and what the check says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.admin.audit_chain import Head, LogReport, verify_log
from shared.db.pool import Database
from shared.records.audit_chain import AuditSealer
from shared.runtime.metrics import REGISTRY
from tests.integration.schema.rows import Connection
from tests.support.audit_chain import MONTH, NEXT, ROW, ids, verify


async def test_an_untouched_log_is_intact(owner: Connection, database: Database) -> None:
    report, month = await verify(database)
    assert report.is_intact
    assert report.unsealed == 0
    assert [(m.month, m.length) for m in report.months] == [(MONTH, 3), (NEXT, 1)]
    assert len(month.head) == 64


async def test_rows_that_are_not_sealed_yet_are_counted(
    owner: Connection, database: Database
) -> None:
    await owner.execute(ROW, datetime(2020, 2, 20, tzinfo=UTC), "new")
    report, month = await verify(database)
    assert (report.is_intact, report.unsealed, month.length) == (True, 1, 3)
    await AuditSealer(database, batch=1).seal_rows()
    report, month = await verify(database)
    assert (report.is_intact, report.unsealed, month.length) == (True, 0, 4)


async def test_an_open_transaction_shows_in_the_metrics(
    owner: Connection, database: Database
) -> None:
    def lag() -> float | None:
        return REGISTRY.get_sample_value("dits_audit_lag_seconds")

    await AuditSealer(database).seal_rows()
    assert lag() == 0
    open_one = owner.transaction()
    await open_one.start()
    await owner.execute("SELECT pg_current_xact_id()")
    await database.fetch(ROW, datetime(2020, 2, 20, tzinfo=UTC), "new")
    await AuditSealer(database).seal_rows()
    assert (lag() or 0) > 365 * 86_400
    await open_one.rollback()
    await AuditSealer(database).seal_rows()
    assert lag() == 0


async def test_a_dump_of_a_cluster_with_higher_numbers_is_sealed_on(
    owner: Connection, database: Database
) -> None:
    """Transaction numbers of the rows are those of the old cluster; those of the new one are lower."""
    await owner.execute("UPDATE audit_log SET xid = (xid::text::bigint + 1000000)::text::xid8")
    await owner.execute("UPDATE audit_chains SET xid = (xid::text::bigint + 1000000)::text::xid8")
    for number in range(2):
        await owner.execute(ROW, datetime(2020, 2, 20, tzinfo=UTC), "new")
        await AuditSealer(database).seal_rows()
        report, month = await verify(database)
        assert (report.is_intact, report.unsealed, month.length) == (True, 0, 4 + number)


async def test_a_log_without_a_chain_has_only_unsealed_rows(dsn: str, database: Database) -> None:
    assert await verify_log(database, {}) == LogReport([], 0)
    await database.fetch(ROW, datetime(2020, 2, 20, tzinfo=UTC), "new")
    assert await verify_log(database, {}) == LogReport([], 1)


CHANGES = [
    "action = 'x'",
    "actor_type = 'user'",
    "resource_type = 'x'",
    "resource_id = '2'",
    "resource_name = ''",
    "details = '{}'",
    "details = NULL",
    "ip_address = '2001:db8::'",
    "user_agent = 'x'",
    "request_id = 'x'",
    "repo_id = gen_random_uuid()",
    "org_id = gen_random_uuid()",
    '"timestamp" = "timestamp" + interval \'1 microsecond\'',
]


async def test_a_changed_row_is_named(owner: Connection, database: Database) -> None:
    """Whichever column, but the one that tells nothing of the event."""
    row_id = (await ids(owner))[1]
    await owner.execute(
        "CREATE TEMP TABLE kept AS SELECT * FROM audit_log WHERE id = $1::uuid", row_id
    )
    for change in CHANGES:
        await owner.execute(f"UPDATE audit_log SET {change} WHERE id = $1::uuid", row_id)
        _, month = await verify(database)
        assert month.fault == f"the row {row_id} at position 2 was changed", change
        await owner.execute("DELETE FROM audit_log WHERE id = $1::uuid", row_id)
        await owner.execute("INSERT INTO audit_log SELECT * FROM kept")
        assert (await verify(database))[1].fault is None


async def test_all_columns_are_hashed_but_one(owner: Connection, database: Database) -> None:
    columns = await owner.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'audit_log'::regclass AND attnum > 0"
    )
    tried = {change.partition(" = ")[0].strip('"') for change in CHANGES} | {"id", "actor_id"}
    assert {row["attname"] for row in columns} == tried | {"xid"}


@pytest.mark.parametrize("position", [1, 2, 3])
async def test_a_deleted_row_is_named(owner: Connection, database: Database, position: int) -> None:
    row_id = (await ids(owner))[position - 1]
    await owner.execute("DELETE FROM audit_log WHERE id = $1::uuid", row_id)
    _, month = await verify(database)
    assert month.fault == f"the row {row_id} at position {position} was deleted"


async def test_an_inserted_row_is_named(owner: Connection, database: Database) -> None:
    """One that says it was there before the sealing came by."""
    row_id = await owner.fetchval(ROW, datetime(2020, 2, 11, tzinfo=UTC), "x")
    await owner.execute("UPDATE audit_log SET xid = '3' WHERE id = $1", row_id)
    report, month = await verify(database)
    assert month.fault == f"the row {row_id} of 2020-02-11 00:00:00 was inserted or moved in time"
    assert report.unsealed == 0


async def test_a_row_that_is_never_sealed_is_named(owner: Connection, database: Database) -> None:
    """One that says it comes from a transaction that has not been: so it could be changed for ever."""
    row_id = await owner.fetchval(ROW, datetime(2020, 2, 11, tzinfo=UTC), "x")
    await owner.execute("UPDATE audit_log SET xid = '4000000000000' WHERE id = $1", row_id)
    await AuditSealer(database).seal_rows()
    report, month = await verify(database)
    named = f"the row {row_id} of 2020-02-11 00:00:00 is never sealed"
    assert month.fault == f"{named}: no transaction has had its number 4000000000000 yet"
    assert report.unsealed == 1


@pytest.mark.parametrize("position", [1, 2, 3])
async def test_a_missing_link_is_named(
    owner: Connection, database: Database, position: int
) -> None:
    await owner.execute(
        "DELETE FROM audit_seals WHERE month = $1 AND position = $2", MONTH, position
    )
    _, month = await verify(database)
    cut = "it ends at position 2 of 3: the rest was cut off"
    assert month.fault == (cut if position == 3 else f"the link at position {position} is missing")


async def test_links_that_were_exchanged_do_not_hold(owner: Connection, database: Database) -> None:
    first, second, _ = await ids(owner)
    await owner.execute("DELETE FROM audit_seals WHERE row_id = $1::uuid", second)
    await owner.execute(
        "UPDATE audit_seals SET row_id = $2::uuid WHERE row_id = $1::uuid", first, second
    )
    _, month = await verify(database)
    assert month.fault == f"the row {second} at position 1 was changed"


async def test_rows_that_were_cut_off_with_their_links_are_missed(
    owner: Connection, database: Database
) -> None:
    last = (await ids(owner))[2]
    await owner.execute("DELETE FROM audit_seals WHERE row_id = $1::uuid", last)
    await owner.execute("DELETE FROM audit_log WHERE id = $1::uuid", last)
    _, month = await verify(database)
    assert month.fault == "it ends at position 2 of 3: the rest was cut off"


@pytest.mark.parametrize(
    "change", ["length = 4", "length = 2", r"head = decode(repeat('00', 32), 'hex')"]
)
async def test_the_record_of_a_chain_is_checked(
    owner: Connection, database: Database, change: str
) -> None:
    await owner.execute(f"UPDATE audit_chains SET {change} WHERE month = $1", MONTH)
    _, month = await verify(database)
    assert month.fault is not None
    assert "cut off" in month.fault or "the record of its length and head" in month.fault


async def test_a_chain_that_is_gone_is_missed(owner: Connection, database: Database) -> None:
    await owner.execute("DELETE FROM audit_chains WHERE month = $1", MONTH)
    assert (await verify(database))[1].fault == "its chain is missing"
    await owner.execute("DELETE FROM audit_seals WHERE month = $1", MONTH)
    assert "was inserted or moved" in ((await verify(database))[1].fault or "")
    await owner.execute("DELETE FROM audit_log WHERE action <> 'b'")
    _, month = await verify(database, {MONTH: Head(3, "00" * 32)})
    assert month.fault == "its chain is missing"
