"""The database can be split: each statement stays on the side of its owner, global or cell.

`migrations/placement.toml` says where tables live. A service runs its own statements only, so what holds
for each of them holds for its transactions.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import asyncpg
import pytest

from migrations.files import FunctionFile, discover
from shared.db.sql import Queries
from tests.support.sql_text import (
    called_functions,
    defined_functions,
    defined_views,
    named_relations,
    written_tables,
)

ROOT = Path(__file__).parents[2]
SQL_FILES = sorted(
    path for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.sql")
)
FILES = discover()
FUNCTIONS = {name: body for file in FILES.functions for name, body in defined_functions(file.sql)}
VIEWS = {name: query for step in FILES.steps for name, query in defined_views(step.sql)}

PLACES: dict[str, list[str]] = tomllib.loads((ROOT / "migrations/placement.toml").read_text())
PLACE = {table: place for place, tables in PLACES.items() for table in tables}

SIDE = {
    "admin": "any",
    "auth": "global",
    "repo": "cell",
    "chunk": "cell",
    "lock": "cell",
    "shared": "any",
}
WRITES = {
    "global": {"global", "replicated", "both"},
    "cell": {"cell", "indexed", "both"},
    "any": {"both"},
}
READS = {
    "global": WRITES["global"] | {"indexed"},
    "cell": WRITES["cell"] | {"replicated"},
    # What both sides have.
    "any": WRITES["any"] | {"replicated", "indexed"},
}


@cache
def used_tables(sql: str) -> frozenset[str]:
    """Tables that a statement names itself or by views and functions."""
    tables = named_relations(sql, PLACE)
    inner = [VIEWS[name] for name in named_relations(sql, VIEWS)]
    inner += [FUNCTIONS[name] for name in called_functions(sql, FUNCTIONS)]
    return frozenset(tables.union(*map(used_tables, inner)))


@cache
def changed_tables(sql: str) -> frozenset[str]:
    """Tables that a statement writes itself or by functions."""
    inner = [FUNCTIONS[name] for name in called_functions(sql, FUNCTIONS)]
    return frozenset(written_tables(sql).union(*map(changed_tables, inner)))


def strangers(sql: str, side: str) -> set[str]:
    """Tables that a statement of this side must not write or read."""
    written, used = changed_tables(sql), used_tables(sql)
    return {table for table in written if PLACE[table] not in WRITES[side]} | {
        table for table in used if PLACE[table] not in READS[side]
    }


async def test_every_table_has_one_place(read_only_dsn: str) -> None:
    connection = await asyncpg.connect(read_only_dsn)
    try:
        rows = await connection.fetch(
            """SELECT relname, relkind = 'v' AS is_view FROM pg_class
               WHERE relkind IN ('r', 'p', 'v') AND NOT relispartition
                 AND relnamespace = 'public'::regnamespace"""
        )
    finally:
        await connection.close()
    placed = [table for tables in PLACES.values() for table in tables]
    assert len(placed) == len(set(placed))
    assert {row["relname"] for row in rows if not row["is_view"]} == set(placed)
    assert {row["relname"] for row in rows if row["is_view"]} == set(VIEWS)


def test_queries_stay_on_their_side() -> None:
    found = set()
    for path in SQL_FILES:
        name = str(path.relative_to(ROOT))
        owner = name.split("/")[1] if name.startswith("services/") else "shared"
        for query, statement in Queries(path).statements.items():
            found |= {(name, query, table) for table in strangers(statement.text, SIDE[owner])}
    assert not found


@pytest.mark.parametrize("file", FILES.functions, ids=lambda file: file.name)
def test_functions_stay_on_their_side(file: FunctionFile) -> None:
    side = SIDE[file.name.split("/")[1]]
    for _, body in defined_functions(file.sql):
        assert strangers(body, side) == set()


async def test_references_stay_within_a_database(read_only_dsn: str) -> None:
    """What a row refers to is in the same database, or is copied into it."""
    connection = await asyncpg.connect(read_only_dsn)
    try:
        rows = await connection.fetch(
            """SELECT DISTINCT conrelid::regclass::text AS referring, confrelid::regclass::text AS referred
               FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
               WHERE contype = 'f' AND NOT r.relispartition"""
        )
    finally:
        await connection.close()
    allowed = {
        "global": READS["global"],
        "replicated": {"replicated"},
        "cell": READS["cell"],
        "indexed": {"replicated", "indexed"},
        "both": {"replicated", "both"},
    }
    for row in rows:
        referring, referred = row["referring"], row["referred"]
        assert PLACE[referred] in allowed[PLACE[referring]], f"{referring} refers to {referred}"


def test_uses_are_seen_through_functions_and_views() -> None:
    assert used_tables("SELECT repository_permission($1, $2)") >= {"repositories", "team_members"}
    assert used_tables("SELECT * FROM owner_names") == {"former_names", "namespaces"}
    assert changed_tables("SELECT release_locks($1, $2, $3)") == {
        "lock_clocks",
        "lock_history",
        "locks",
        "events",
    }
    assert strangers("SELECT * FROM user_credentials", "cell") == {"user_credentials"}
    assert strangers("UPDATE users SET name = 'sessions'", "cell") == {"users"}
