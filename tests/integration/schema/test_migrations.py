"""How a database is migrated."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from migrations import dump
from migrations.files import MigrationError
from migrations.runner import Patience, migrate
from migrations.status import State, read_status
from tests.integration.schema.rows import (
    Connection,
    rows,
    until,
)
from tests.integration.schema.steps import FILES, edited, first, next_step
from tests.support.waiting import until_blocked

HURRIED = Patience(lock_timeout=0.05, attempts=3, pause=0.01)


async def tables(conn: Connection) -> set[str]:
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    return {name for (name,) in await rows(conn, query)}


async def test_eight_that_migrate_at_once_apply_each_step_once(empty_database: str) -> None:
    done = await asyncio.gather(*(migrate(empty_database) for _ in range(8)))
    names = sorted(file.name for files in done for file in files)
    assert names == sorted(
        [*(step.name for step in FILES.steps), *(file.name for file in FILES.functions)]
    )
    assert await migrate(empty_database) == []


async def test_an_edited_file_is_refused(dsn: str) -> None:
    with pytest.raises(
        MigrationError, match=r"^0002_shared.sql was edited after it had been applied"
    ):
        await migrate(dsn, edited(2))


async def test_a_newer_database_is_refused(dsn: str) -> None:
    with pytest.raises(MigrationError, match=r"has step 2 .* which this program does not know"):
        await migrate(dsn, first(1))


async def test_a_database_with_a_gap_is_refused(dsn: str, conn: Connection) -> None:
    await conn.execute("DELETE FROM schema_migrations WHERE version = 2")
    with pytest.raises(MigrationError, match="has step 3 but not step 2"):
        await migrate(dsn)


async def test_a_failing_step_leaves_nothing(dsn: str, conn: Connection) -> None:
    before = await dump.dump(dsn)
    files = next_step("CREATE TABLE extra (id INT); INSERT INTO extra VALUES (1); SELECT 1 / 0;")
    with pytest.raises(MigrationError) as failure:
        await migrate(dsn, files)
    name = files.steps[-1].name
    assert str(failure.value) == f"{name} failed and changed nothing: division by zero."
    assert await dump.dump(dsn) == before
    assert (await read_status(dsn, files))[len(FILES.steps)].state is State.PENDING


async def test_a_syntax_error_is_shown(dsn: str) -> None:
    files = next_step("SELECT 1;\nSELEC 2;")
    with pytest.raises(MigrationError) as failure:
        await migrate(dsn, files)
    assert str(failure.value) == (
        f"{files.steps[-1].name}, line 3, failed and changed nothing:"
        ' syntax error at or near "SELEC".'
    )


async def test_a_step_gives_up_on_a_locked_table(
    dsn: str, conn: Connection, other: Connection
) -> None:
    files = next_step("CREATE TABLE extra (id INT); ALTER TABLE users ADD COLUMN extra INT;")
    async with conn.transaction():
        await conn.execute("LOCK TABLE users IN ACCESS SHARE MODE")
        with pytest.raises(
            MigrationError, match="found its tables locked in 3 attempts"
        ) as failure:
            await migrate(dsn, files, HURRIED)
    assert str(failure.value).endswith("canceling statement due to lock timeout.")
    assert "extra" not in await tables(other)


async def test_a_step_tries_again_until_the_table_is_free(
    dsn: str, conn: Connection, other: Connection
) -> None:
    files = next_step("ALTER TABLE users ADD COLUMN extra INT;")
    async with conn.transaction():
        await conn.execute("LOCK TABLE users IN ACCESS SHARE MODE")
        migrating = asyncio.create_task(migrate(dsn, files, replace(HURRIED, attempts=10_000)))
        await until_blocked(other, times=2)
    assert await migrating == [files.steps[-1]]


async def test_waiting_for_ones_turn_is_not_limited(dsn: str, conn: Connection) -> None:
    """Another process may keep the turn for longer than a step may wait for a table."""
    files = next_step("CREATE TABLE extra (id INT);")
    last = files.steps[-1]
    slow = replace(last, sql=f"SELECT pg_sleep({HURRIED.lock_timeout * 20}); {last.sql}")
    sleeper = asyncio.create_task(migrate(dsn, replace(files, steps=(*FILES.steps, slow)), HURRIED))
    await until(
        conn,
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'PgSleep')",
    )
    assert await migrate(dsn, files, HURRIED) == []
    assert await sleeper == [slow]
