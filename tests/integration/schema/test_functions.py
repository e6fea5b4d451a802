"""Functions in a database are those of the files, and follow them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from migrations.files import Files, FunctionFile, MigrationError, Step, discover
from migrations.runner import migrate
from migrations.status import State, StatusRow, read_status
from tests.integration.schema.rows import Connection, rows
from tests.support.sql_text import defined_functions

FILES = discover()
KEYS = next(file for file in FILES.functions if file.name == "functions/shared/advisory_keys.sql")
OTHER_KEYS = FunctionFile.parse(KEYS.name, KEYS.sql.replace("':'", "'/'"))

OURS = """
    FROM pg_proc p
    WHERE pronamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_depend
                      WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
"""


def with_functions(*files: FunctionFile) -> Files:
    """All files, with these in the place of those of the same name, or after them."""
    changed = {file.name: file for file in (*FILES.functions, *files)}
    return replace(FILES, functions=tuple(changed.values()))


async def key(conn: Connection) -> int:
    return int(await conn.fetchval("SELECT advisory_key('kind', 'name')"))


async def test_the_functions_of_a_database_are_those_of_the_files(conn: Connection) -> None:
    """Each with the body in its file; other functions belong to numbered steps. None is overloaded."""
    texts = [step.sql for step in FILES.steps] + [file.sql for file in FILES.functions]
    expected = dict(function for text in texts for function in defined_functions(text))
    found = await rows(conn, f"SELECT proname, prosrc {OURS} ORDER BY proname")
    assert [name for name, _ in found] == sorted(expected)
    assert dict(found) == expected


@pytest.mark.parametrize("file", FILES.functions, ids=lambda file: file.name)
async def test_a_file_applies_again_with_its_bodies_checked(
    conn: Connection, file: FunctionFile
) -> None:
    definitions = f"SELECT oid, pg_get_functiondef(oid), proacl {OURS} ORDER BY oid"
    before = await rows(conn, definitions)
    await conn.execute("SET check_function_bodies = on")
    await conn.execute(file.sql)
    assert await rows(conn, definitions) == before


async def test_only_the_file_that_changed_is_applied_again(dsn: str, conn: Connection) -> None:
    before = await key(conn)
    versions = f"SELECT proname, xmin::text {OURS} ORDER BY proname"
    applied = "SELECT path, applied_at FROM schema_functions ORDER BY path"
    functions, records = await rows(conn, versions), await rows(conn, applied)

    assert await migrate(dsn) == []
    assert await migrate(dsn, with_functions(OTHER_KEYS)) == [OTHER_KEYS]
    assert await key(conn) != before
    changed = set(await rows(conn, versions)) - set(functions)
    assert {name for name, _ in changed} == {"advisory_key"}
    assert {name for name, _ in set(await rows(conn, applied)) - set(records)} == {KEYS.name}

    assert await migrate(dsn) == [KEYS]
    assert await key(conn) == before


async def test_of_eight_that_migrate_at_once_one_applies_a_change(dsn: str) -> None:
    files = with_functions(OTHER_KEYS)
    done = await asyncio.gather(*(migrate(dsn, files) for _ in range(8)))
    assert sorted(done, key=len) == [[]] * 7 + [[OTHER_KEYS]]


async def test_functions_may_name_what_a_later_file_brings(dsn: str, conn: Connection) -> None:
    first = FunctionFile.parse(
        "functions/shared/first.sql",
        "-- First\nCREATE FUNCTION first() RETURNS INT LANGUAGE sql AS $$ SELECT second() $$;",
    )
    second = FunctionFile.parse(
        "functions/shared/second.sql",
        "-- Second\nCREATE FUNCTION second() RETURNS INT LANGUAGE sql AS $$ SELECT 2 $$;",
    )
    assert await migrate(dsn, with_functions(first, second)) == [first, second]
    assert await conn.fetchval("SELECT first()") == 2


async def test_a_failing_file_undoes_the_last_step_too(dsn: str, conn: Connection) -> None:
    step = Step.parse(f"{len(FILES.steps) + 1:04}_next.sql", "-- Next\nCREATE TABLE extra ();")
    broken = FunctionFile.parse("functions/shared/broken.sql", "-- Broken\nSELECT 1;\nCREAT;")
    files = replace(with_functions(OTHER_KEYS, broken), steps=(*FILES.steps, step))
    before = await key(conn)
    with pytest.raises(MigrationError) as failure:
        await migrate(dsn, files)
    assert str(failure.value) == (
        "functions/shared/broken.sql, line 3, failed and changed nothing:"
        ' syntax error at or near "CREAT".'
    )
    assert await key(conn) == before
    assert await conn.fetchval("SELECT to_regclass('extra') IS NULL")
    assert await migrate(dsn) == []


async def test_status_tells_the_states_of_functions(dsn: str) -> None:
    added = FunctionFile.parse("functions/shared/added.sql", "-- Added\nSELECT 1;")
    kept, *others = FILES.functions
    files = replace(FILES, functions=(kept, OTHER_KEYS, added))
    found = [row for row in await read_status(dsn, files) if row.version is None]
    assert [(row.description, row.state) for row in found] == [
        (kept.name, State.APPLIED),
        (KEYS.name, State.CHANGED),
        (added.name, State.PENDING),
        *((file.name, State.UNKNOWN) for file in others if file is not KEYS),
    ]
    assert found[2] == StatusRow(None, added.name, State.PENDING, None)

    assert await migrate(dsn, files) == [OTHER_KEYS, added]
    states = [row.state for row in await read_status(dsn, files)]
    assert set(states) == {State.APPLIED}
    assert len(states) == len(FILES.steps) + 3
