"""How a database compares with the SQL files of this package."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from migrations.files import Files, FunctionFile, MigrationError, Step, discover

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]


class State(StrEnum):
    """How the database compares with a file."""

    APPLIED = "applied"
    PENDING = "pending"
    CHANGED = "changed"  # functions that will be applied again
    EDITED = "edited"  # the step has changed since it was applied
    UNKNOWN = "unknown"  # applied by another program: there is no file


@dataclass(frozen=True, slots=True)
class Applied:
    """A row of schema_migrations or, with the path as description, of schema_functions."""

    description: str
    checksum: str
    applied_at: datetime


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One line of the status: version is None for functions, applied_at while a file is pending."""

    version: int | None
    description: str
    state: State
    applied_at: datetime | None


async def read_status(dsn: str, files: Files | None = None) -> list[StatusRow]:
    """Compare the database with the files: a row per step, then one per file of functions."""
    async with connect(dsn) as conn:
        return await compare(conn, files or discover())


async def compare(conn: Connection, files: Files) -> list[StatusRow]:
    """Return the rows of `read_status`."""
    steps, functions = await applied_steps(conn), await applied_functions(conn)
    rows = [_step_row(step, steps.pop(step.version, None)) for step in files.steps]
    rows += [
        StatusRow(version, row.description, State.UNKNOWN, row.applied_at)
        for version, row in sorted(steps.items())
    ]
    rows += [_function_row(file, functions.pop(file.name, None)) for file in files.functions]
    rows += [
        StatusRow(None, name, State.UNKNOWN, row.applied_at)
        for name, row in sorted(functions.items())
    ]
    return rows


async def check_compatible(conn: Connection, files: Files | None = None) -> None:
    """Refuse to serve on a schema that is newer than this program or more than one step older.

    One step older is allowed, so that services can be replaced before the database is migrated.
    """
    await refuse_encoding(conn)
    steps, applied = (files or discover()).steps, await applied_steps(conn)
    latest, current = len(steps), max(applied, default=0)
    if current > latest:
        raise MigrationError(
            f"The database is at step {current}, newer than this program, which knows {latest}:"
            " upgrade the program."
        )
    if current < max(latest - 1, 1):
        raise MigrationError(
            f"The database is at step {current}, too old for this program, which needs"
            f" {latest}: run `dits-server migrate`."
        )
    refuse_edited(steps, applied)


def refuse_edited(steps: Sequence[Step], applied: Mapping[int, Applied]) -> None:
    """Raise MigrationError if a step is not the one that was applied: only unreleased ones are edited."""
    for step in steps:
        if step.version in applied and step.checksum != applied[step.version].checksum:
            raise MigrationError(
                f"{step.name} was edited after it had been applied to this database: that was made by"
                " another program, before the release. Use that one, or make the database anew: no step"
                " leads from one to the other."
            )


async def refuse_encoding(conn: Connection) -> None:
    """Raise MigrationError unless the database can hold all text; its encoding cannot be changed later."""
    encoding = await conn.fetchval("SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        raise MigrationError(
            f"The database has the encoding {encoding}, and UTF8 is needed: make it anew with"
            " `createdb --encoding=UTF8 --template=template0`."
        )


@asynccontextmanager
async def connect(dsn: str) -> AsyncIterator[Connection]:
    """A connection that works through PgBouncer too."""
    conn = await asyncpg.connect(dsn, statement_cache_size=0)
    try:
        yield conn
    finally:
        await conn.close()


async def applied_steps(conn: Connection) -> dict[int, Applied]:
    """Return what schema_migrations records, by version; nothing in an empty database."""
    if await conn.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
        return {}
    rows = await conn.fetch(
        "SELECT version, description, checksum, applied_at FROM schema_migrations"
    )
    return {version: Applied(*row) for version, *row in rows}


async def applied_functions(conn: Connection) -> dict[str, Applied]:
    """Return what schema_functions records, by path; nothing before the step that makes the table."""
    if await conn.fetchval("SELECT to_regclass('schema_functions') IS NULL"):
        return {}
    rows = await conn.fetch("SELECT path, checksum, applied_at FROM schema_functions")
    return {row["path"]: Applied(*row) for row in rows}


def _step_row(step: Step, applied: Applied | None) -> StatusRow:
    if applied is None:
        return StatusRow(step.version, step.description, State.PENDING, None)
    state = State.APPLIED if applied.checksum == step.checksum else State.EDITED
    return StatusRow(step.version, step.description, state, applied.applied_at)


def _function_row(file: FunctionFile, applied: Applied | None) -> StatusRow:
    if applied is None:
        return StatusRow(None, file.name, State.PENDING, None)
    state = State.APPLIED if applied.checksum == file.checksum else State.CHANGED
    return StatusRow(None, file.name, state, applied.applied_at)
