"""How a database is migrated, and that it ends up as the file says."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from migrations import dump
from migrations.files import Files, MigrationError, Step, discover
from migrations.runner import Patience, migrate
from migrations.status import State, StatusRow, check_compatible, read_status
from tests.integration.schema.rows import (
    Connection,
    add_org,
    add_repo,
    add_user,
    connected,
    rows,
    until,
    until_blocked,
)

FILES = discover()
HURRIED = Patience(lock_timeout=0.05, attempts=3, pause=0.01)

# Rows as the first schema allowed them: counters that are wrong, a worker's claim without a token.
IN_USE = """
    INSERT INTO manifests (repo_id, hash, commit_hash, entry_count, total_size, chunk_count, content)
        SELECT id, 't', 'c', 1, 1, 1, '' FROM repositories;
    INSERT INTO commits (repo_id, hash, tree_hash, message, author_name, author_email, author_timestamp,
                         committer_name, committer_email, committer_timestamp)
        SELECT id, 'c', 't', '', '', '', now(), '', '', now() FROM repositories;
    INSERT INTO branches (repo_id, name, head_commit) SELECT id, 'main', 'c' FROM repositories;
    INSERT INTO assets (repo_id, hash, size, chunk_count) SELECT id, 'x', 1, 1 FROM repositories;
    INSERT INTO chunks (hash, size, storage_bucket, storage_key, ref_count, delete_after)
        VALUES ('a', 1, 'main', 'k1', 7, now()), ('b', 1, 'main', 'k1', 0, NULL);
    INSERT INTO chunk_refs (repo_id, chunk_hash) SELECT id, 'a' FROM repositories;
    INSERT INTO chunk_locations (chunk_hash, region, bucket, storage_key) VALUES ('a', 'eu', 'eu', 'k2');
    INSERT INTO webhooks (repo_id, url, secret_encrypted) SELECT id, '', '' FROM repositories;
    INSERT INTO webhook_deliveries (webhook_id, event, payload, success)
        SELECT id, 'push', '{}', TRUE FROM webhooks;
    INSERT INTO locks (repo_id, path, owner_id, expires_at)
        SELECT id, 'a', owner_id, now() + interval '1 hour' FROM repositories;
    INSERT INTO lock_history (lock_id, repo_id, path, owner_id, action)
        SELECT id, repo_id, path, owner_id, 'acquired' FROM locks;
    INSERT INTO jobs (job_type, payload, status, locked_by) VALUES ('t', '{}', 'running', 'w');
    INSERT INTO audit_log (actor_type, action, resource_type, resource_id)
        VALUES ('system', 'a', 'r', '1');
    INSERT INTO usage_metrics (entity_type, entity_id, metric_date)
        SELECT 'repository', id, '2025-01-08' FROM repositories;
"""


def first(count: int) -> Files:
    """The first steps, without the functions, which fit the schema after the last one."""
    return Files(FILES.steps[:count])


def edited(version: int) -> Files:
    """All files, of which one step has another text than databases know."""
    steps = list(FILES.steps)
    steps[version - 1] = replace(steps[version - 1], checksum="sha256:other")
    return replace(FILES, steps=tuple(steps))


def next_step(sql: str) -> Files:
    """All files and one step more."""
    number = len(FILES.steps) + 1
    step = Step.parse(f"{number:04}_next.sql", f"-- Next\n{sql}")
    return replace(FILES, steps=(*FILES.steps, step))


async def columns(conn: Connection) -> set[tuple[str, ...]]:
    query = """
        SELECT table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema = 'public'
    """
    return set(await rows(conn, query))


async def tables(conn: Connection) -> set[str]:
    return {table for table, _, _ in await columns(conn)}


async def test_the_schema_is_the_one_on_file(dsn: str, conn: Connection) -> None:
    made, filed = await dump.dump(dsn), dump.SCHEMA.read_text()
    if conn.get_server_version().major < 18:  # which writes views with more table names in them
        made, filed = (
            re.sub(r"^CREATE VIEW .*?;$", "", sql, flags=re.M | re.S) for sql in (made, filed)
        )
    assert made == filed, "run `python -m migrations.dump` and review the difference"


async def test_nothing_of_the_specification_is_lost(empty_database: str) -> None:
    await migrate(empty_database, first(1))
    async with connected(empty_database) as conn:
        specified = await columns(conn)
        assert len({table for table, _, _ in specified}) == 36
        await migrate(empty_database)
        assert specified <= await columns(conn)


async def test_a_database_in_use_is_carried_over(empty_database: str) -> None:
    await migrate(empty_database, first(1))
    async with connected(empty_database) as conn:
        ada, org = await add_user(conn, "Ada"), await add_org(conn, "Pixar")
        await add_repo(conn, ada)
        await conn.execute(IN_USE)

        await migrate(empty_database)

        names = await rows(conn, "SELECT name_key, owner_id FROM namespaces ORDER BY name_key")
        assert names == [("ada", ada), ("pixar", org)]
        chunks = await rows(
            conn, "SELECT ref_count, delete_after IS NULL FROM chunks ORDER BY hash"
        )
        assert chunks == [(1, True), (0, False)]
        packs = await rows(conn, "SELECT key, state, live FROM packs ORDER BY key")
        assert packs == [("k1", "sealed", 2), ("k2", "sealed", 1)]
        assert await rows(conn, "SELECT ref_count, claimed_at FROM chunk_refs") == [(1, None)]
        assert await conn.fetchval("SELECT status FROM jobs") == "pending"
        assert await conn.fetchval("SELECT state FROM webhook_deliveries") == "succeeded"
        assert await conn.fetchval("SELECT excl_key = fence FROM locks")
        assert await rows(conn, "SELECT repo_id, fence FROM lock_clocks") == await rows(
            conn, "SELECT repo_id, fence FROM locks"
        )
        for partitioned in ("audit_log", "usage_metrics"):
            assert await conn.fetchval(f"SELECT count(*) FROM {partitioned}") == 1


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


async def test_no_index_repeats_another(conn: Connection) -> None:
    repeated = await rows(
        conn,
        """
        SELECT a.indexrelid::regclass, b.indexrelid::regclass
        FROM pg_index a JOIN pg_index b USING (indrelid)
        WHERE a.indexrelid <> b.indexrelid AND NOT a.indisunique AND a.indrelid >= 16384
          AND (a.indkey, a.indclass, a.indcollation) = (b.indkey, b.indclass, b.indcollation)
          AND a.indexprs IS NOT DISTINCT FROM b.indexprs AND a.indpred IS NOT DISTINCT FROM b.indpred
        """,
    )
    assert repeated == []


async def test_keys_stand_before_generated_columns(conn: Connection) -> None:
    """A tool that copies rows by their key can then read it without computing the rest."""
    late = await rows(
        conn,
        """
        SELECT a.attrelid::regclass::text, a.attname
        FROM pg_attribute a
        JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)
        JOIN pg_attribute g ON g.attrelid = a.attrelid AND g.attgenerated <> '' AND g.attnum < a.attnum
        """,
    )
    assert late == []


async def test_hashes_are_compared_by_bytes(conn: Connection) -> None:
    """So are paths and refs: the order of the services is the order of the keys."""
    others = await rows(
        conn,
        """
        SELECT DISTINCT c.relname, a.attname
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE a.attcollation <> '"C"'::regcollation
          AND (a.attname ~ '(^|_)hash(es)?$' OR a.attname IN ('path', 'pack_key'))
          AND a.attname <> 'token_hash'
        """,
    )
    assert others == []


@pytest.mark.parametrize(
    ("table", "unnoticed"),
    [("users", "last_active_at"), ("repositories", "pushed_at, storage_bucket, storage_region")],
)
async def test_every_other_column_dates_a_change(
    conn: Connection, table: str, unnoticed: str
) -> None:
    """A column that a later step adds is either dated or listed here."""
    undated = await rows(
        conn,
        """
        SELECT attname FROM pg_attribute
        WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
          AND attnum <> ALL (SELECT unnest(tgattr) FROM pg_trigger
                             WHERE tgrelid = $1::text::regclass AND tgname ~ '^update_.*_updated_at$')
        """,
        table,
    )
    assert {name for (name,) in undated} == {
        "id",
        "created_at",
        "updated_at",
        *unnoticed.split(", "),
    }
