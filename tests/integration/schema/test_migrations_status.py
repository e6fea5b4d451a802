"""What a database says about its migrations, and which programs fit it."""

from __future__ import annotations

import pytest

from migrations.files import Files, MigrationError
from migrations.runner import migrate
from migrations.status import State, StatusRow, check_compatible, read_status
from tests.integration.schema.rows import connected
from tests.integration.schema.steps import FILES, edited, first
from tests.support.scratch_databases import name_database


async def test_status_tells_the_states_of_steps(empty_database: str) -> None:
    steps = FILES.steps
    assert {row.state for row in await read_status(empty_database)} == {State.PENDING}

    await migrate(empty_database, first(3))
    rows = await read_status(empty_database, Files(edited(2).steps[:2]))
    assert [(row.version, row.state) for row in rows] == [
        (1, State.APPLIED),
        (2, State.EDITED),
        (3, State.UNKNOWN),
    ]
    assert [row.description for row in rows] == [step.description for step in steps[:3]]
    assert all(row.applied_at for row in rows)
    assert (await read_status(empty_database))[3] == StatusRow(
        4, steps[3].description, State.PENDING, None
    )


@pytest.mark.parametrize(
    ("applied", "known", "sentence"),
    [
        (3, 3, None),
        (2, 3, None),
        (1, 3, "too old for this program, which needs 3: run `dits-server migrate`"),
        (0, 1, "too old for this program, which needs 1"),
        (3, 2, "newer than this program, which knows 2: upgrade the program"),
    ],
)
async def test_a_service_serves_its_own_schema_and_the_one_before(
    empty_database: str, applied: int, known: int, sentence: str | None
) -> None:
    await migrate(empty_database, first(applied))
    async with connected(empty_database) as conn:
        if sentence is None:
            await check_compatible(conn, first(known))
            return
        with pytest.raises(MigrationError, match=f"The database is at step {applied}, {sentence}"):
            await check_compatible(conn, first(known))


async def test_a_database_that_cannot_hold_all_text_is_refused(empty_database: str) -> None:
    """As `createdb` makes it where no locale is set."""
    async with connected(empty_database) as conn:
        await conn.execute(
            "CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
        )
        ascii_database = name_database(empty_database, "ascii")
        sentence = "has the encoding SQL_ASCII, and UTF8 is needed"
        with pytest.raises(MigrationError, match=sentence):
            await migrate(ascii_database)
        async with connected(ascii_database) as inside:
            assert await inside.fetchval("SELECT to_regclass('schema_migrations')") is None
            with pytest.raises(MigrationError, match=sentence):
                await check_compatible(inside)
        await conn.execute("DROP DATABASE ascii WITH (FORCE)")
