"""Rules that the whole schema obeys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from migrations import dump
from tests.integration.schema.rows import (
    Connection,
    rows,
)


async def test_the_schema_is_the_one_on_file(dsn: str, conn: Connection) -> None:
    made, filed = await dump.dump(dsn), dump.SCHEMA.read_text()
    if conn.get_server_version().major < 18:  # which writes views with more table names in them
        made, filed = (
            re.sub(r"^CREATE VIEW .*?;$", "", sql, flags=re.M | re.S) for sql in (made, filed)
        )
    assert made == filed, "run `python -m migrations.dump` and review the difference"


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


async def test_a_column_that_no_program_names_says_why(conn: Connection) -> None:
    """It is a part of a key, an index or a check, or its comment begins with `unused`."""
    root = Path(dump.__file__).parents[1]
    folders = ("services", "shared", "migrations/functions")
    files = [
        path
        for name in folders
        for path in (root / name).rglob("*.*")
        if path.suffix in {".py", ".sql"}
    ]
    named = {word for path in files for word in re.findall(r"\w+", path.read_text())}
    columns = await rows(
        conn,
        """
        SELECT c.relname, a.attname FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
          AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND a.attnum = ANY (i.indkey))
          AND NOT EXISTS (SELECT FROM pg_constraint k
                          WHERE k.conrelid = c.oid AND k.contype <> 'n' AND a.attnum = ANY (k.conkey))
          AND coalesce(col_description(c.oid, a.attnum), '') NOT LIKE 'unused%'
        """,
    )
    assert [name for name in columns if name[1] not in named] == []


@pytest.mark.parametrize(
    ("table", "unnoticed"),
    [
        ("users", "last_active_at"),
        (
            "repositories",
            "has_obliterations, pushed_at, purge_started_at, storage_bucket, storage_region",
        ),
    ],
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
          AND attgenerated = '' AND attnum <> ALL (SELECT unnest(tgattr) FROM pg_trigger
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
