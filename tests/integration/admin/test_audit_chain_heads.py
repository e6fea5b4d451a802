"""verify-audit: heads that were kept elsewhere, and months that retention dropped."""

from __future__ import annotations

from datetime import UTC, datetime

from services.admin.audit_chain import Head
from shared.db.pool import Database
from tests.integration.schema.rows import Connection
from tests.support.audit_chain import MONTH, ROW, ids, verify


async def cut_off_without_a_trace(owner: Connection) -> None:
    """Removes the last row of the month, its link, and all that the database knows of it."""
    last = (await ids(owner))[2]
    await owner.execute("DELETE FROM audit_log WHERE id = $1::uuid", last)
    await owner.execute("DELETE FROM audit_seals WHERE row_id = $1::uuid", last)
    await owner.execute(
        """UPDATE audit_chains SET length = 2, head = (SELECT hash FROM audit_seals s
           WHERE s.month = $1 AND position = 2) WHERE month = $1""",
        MONTH,
    )


async def test_only_a_head_that_was_kept_elsewhere_tells_of_a_perfect_cut(
    owner: Connection, database: Database
) -> None:
    _, before = await verify(database)
    kept = {MONTH: Head(before.length, before.head)}
    await cut_off_without_a_trace(owner)
    assert (await verify(database))[1].fault is None
    _, month = await verify(database, kept)
    assert month.fault == "it ends at position 2 of 3: the rest was cut off"


async def test_a_chain_that_was_made_anew_has_not_the_head_that_was_kept(
    owner: Connection, database: Database
) -> None:
    _, before = await verify(database)
    kept = {MONTH: Head(before.length, before.head)}
    await owner.execute(
        "UPDATE audit_log SET action = 'x' WHERE id = $1::uuid", (await ids(owner))[1]
    )
    await owner.execute("TRUNCATE audit_seals")
    await owner.execute("TRUNCATE audit_chains")
    assert await owner.fetchval("SELECT seal_audit_rows(10)") == 4
    await owner.execute(ROW, datetime(2020, 2, 20, tzinfo=UTC), "more")
    assert await owner.fetchval("SELECT seal_audit_rows(10)") == 1
    assert (await verify(database))[1].fault is None
    _, month = await verify(database, kept)
    assert month.fault == "the hash at position 3 is not the one that was expected"


async def test_a_kept_head_holds_while_the_chain_grows(
    owner: Connection, database: Database
) -> None:
    _, before = await verify(database)
    await owner.execute(ROW, datetime(2020, 2, 20, tzinfo=UTC), "new")
    await owner.fetchval("SELECT seal_audit_rows(10)")
    report, _ = await verify(database, {MONTH: Head(before.length, before.head)})
    assert report.is_intact
    await owner.execute("SELECT drop_month_partitions('audit_log', '2020-03-01')")
    report, month = await verify(database, {MONTH: Head(before.length, before.head)})
    assert report.is_intact
    assert month.dropped_at is not None


async def test_dropped_months_are_no_breakage_unless_their_record_was_changed(
    owner: Connection, database: Database
) -> None:
    _, before = await verify(database)
    await owner.execute("SELECT drop_month_partitions('audit_log', '2020-03-01')")
    report, month = await verify(database)
    assert report.is_intact
    assert (month.length, month.head) == (before.length, before.head)
    for wrong in (Head(3, "00" * 32), Head(4, before.head)):
        _, month = await verify(database, {MONTH: wrong})
        assert month.fault is not None
        assert month.fault.startswith("it was dropped, and the record")


async def test_a_row_in_a_dropped_month_was_inserted(owner: Connection, database: Database) -> None:
    await owner.execute("SELECT drop_month_partitions('audit_log', '2020-03-01')")
    await owner.execute(ROW, datetime(2020, 2, 11, tzinfo=UTC), "x")
    await owner.fetchval("SELECT seal_audit_rows(10)")
    _, month = await verify(database)
    assert "2020-02-11 00:00:00 was inserted" in (month.fault or "")
