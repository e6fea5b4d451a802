"""Applies the SQL files of this package to a database, each once, from any number of processes.

A file is `<number>_<name>.sql`; numbers run 1, 2, 3, ... without gaps and are the versions that
`schema_migrations` records. A file begins with a comment whose first sentence is its description. What
was applied anywhere is never edited: the checksum is recorded with it, and a difference is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib import resources
from itertools import takewhile
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('dits.migrations', 0))"
_RETRIED = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


class MigrationError(Exception):
    """The database and the migrations of this program do not fit; the message is one sentence."""


class State(StrEnum):
    """How a step of the database compares with the file of the same number."""

    APPLIED = "applied"
    PENDING = "pending"
    EDITED = "edited"  # the file has changed since it was applied
    UNKNOWN = "unknown"  # applied by a newer program: there is no file


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: int
    name: str
    description: str
    sql: str
    checksum: str

    @classmethod
    def parse(cls, name: str, text: str) -> Migration:
        """Make a migration of a file's name and text; raises MigrationError if either is malformed."""
        match = _FILE_NAME.fullmatch(name)
        if match is None:
            raise MigrationError(f"{name} is not named like 0001_initial_schema.sql.")
        sql = text.replace("\r\n", "\n")
        opening = takewhile(lambda line: line.startswith("-- "), sql.splitlines())
        description = " ".join(line[3:] for line in opening).partition(". ")[0].rstrip(".")
        if not description:
            raise MigrationError(f"{name} does not begin with a comment that describes it.")
        checksum = f"sha256:{hashlib.sha256(sql.encode()).hexdigest()}"
        return cls(int(match[1]), name, description, sql, checksum)


@dataclass(frozen=True, slots=True)
class Applied:
    """A row of schema_migrations."""

    version: int
    description: str
    checksum: str
    applied_at: datetime


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One line of `status`: applied_at is None while the step is pending."""

    version: int
    description: str
    state: State
    applied_at: datetime | None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a step waits for locks that the running services hold, and how often it tries.

    While a step waits for a table, everybody who comes after waits behind it, so it waits briefly and
    tries again after a random pause. All times are in seconds.
    """

    lock_timeout: float = 5.0
    attempts: int = 6
    pause: float = 2.0
    statement_timeout: float = 900.0


def discover() -> list[Migration]:
    """Return the migrations of this program in order."""
    files = resources.files(__package__).iterdir()
    return ordered(
        Migration.parse(file.name, file.read_text("utf-8"))
        for file in files
        if file.name[0].isdigit() and file.name.endswith(".sql")
    )


def ordered(migrations: Iterable[Migration]) -> list[Migration]:
    """Sort by version; raises MigrationError unless the versions are 1, 2, 3, ..."""
    result = sorted(migrations, key=lambda migration: (migration.version, migration.name))
    for expected, migration in enumerate(result, start=1):
        if migration.version != expected:
            raise MigrationError(f"{migration.name} stands where migration {expected} is expected.")
    return result


async def migrate(
    dsn: str,
    migrations: Sequence[Migration] | None = None,
    patience: Patience | None = None,
) -> list[Migration]:
    """Bring the database up to date and return the steps that this call applied.

    Each step is one transaction with the row that records it. Steps are taken in turns under a
    transaction-scoped advisory lock, which works through PgBouncer too, and every turn reads anew what
    has been applied: processes that migrate at the same time share the work. Raises MigrationError when
    the database does not fit the files, or a step fails; the steps before it stay.
    """
    steps = discover() if migrations is None else ordered(migrations)
    patience = patience or Patience()
    async with _connect(dsn) as conn:
        return [step for step in steps if await _apply_patiently(conn, step, steps, patience)]


async def status(dsn: str, migrations: Sequence[Migration] | None = None) -> list[StatusRow]:
    """Compare the database with the files, one row per version that either knows."""
    steps = discover() if migrations is None else ordered(migrations)
    async with _connect(dsn) as conn:
        applied = await _applied(conn)
    known = [_status_row(step, applied.pop(step.version, None)) for step in steps]
    unknown = [
        StatusRow(row.version, row.description, State.UNKNOWN, row.applied_at)
        for _, row in sorted(applied.items())
    ]
    return known + unknown


async def check_compatible(conn: Connection, migrations: Sequence[Migration] | None = None) -> None:
    """Refuse to serve on a schema that is newer than this program or more than one step older.

    One step older is allowed, so that services can be replaced before the database is migrated.
    """
    latest = len(discover() if migrations is None else ordered(migrations))
    current = max(await _applied(conn), default=0)
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


@asynccontextmanager
async def _connect(dsn: str) -> AsyncIterator[Connection]:
    conn = await asyncpg.connect(dsn, statement_cache_size=0)
    try:
        yield conn
    finally:
        await conn.close()


async def _applied(conn: Connection) -> dict[int, Applied]:
    if await conn.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
        return {}
    rows = await conn.fetch(
        "SELECT version, description, checksum, applied_at FROM schema_migrations"
    )
    return {row["version"]: Applied(**row) for row in rows}


def _status_row(step: Migration, applied: Applied | None) -> StatusRow:
    if applied is None:
        return StatusRow(step.version, step.description, State.PENDING, None)
    state = State.APPLIED if applied.checksum == step.checksum else State.EDITED
    return StatusRow(step.version, step.description, state, applied.applied_at)


def _refuse_misfits(steps: Sequence[Migration], applied: Mapping[int, Applied]) -> None:
    """Raise MigrationError unless what was applied is a beginning of what the files say."""
    for version in sorted(applied):
        if version > len(steps):
            raise MigrationError(
                f"The database has step {version} ({applied[version].description}), which this program"
                f" does not know: it knows {len(steps)}."
            )
        if version > 1 and version - 1 not in applied:
            raise MigrationError(f"The database has step {version} but not step {version - 1}.")
        step = steps[version - 1]
        if step.checksum != applied[version].checksum:
            raise MigrationError(
                f"{step.name} was edited after it had been applied to this database."
            )


async def _apply_patiently(
    conn: Connection,
    step: Migration,
    steps: Sequence[Migration],
    patience: Patience,
) -> bool:
    attempt = 1
    while True:
        try:
            return await _apply(conn, step, steps, patience)
        except _RETRIED as error:
            if attempt == patience.attempts:
                raise MigrationError(
                    f"{step.name} found its tables locked in {attempt} attempts and changed nothing:"
                    f" {_sentence(error)}"
                ) from error
        except asyncpg.PostgresError as error:
            raise MigrationError(
                f"{step.name}{_line(step, error)} failed and changed nothing: {_sentence(error)}"
            ) from error
        attempt += 1
        await asyncio.sleep(random.uniform(0.5, 1.5) * patience.pause)  # noqa: S311 - jitter


async def _apply(
    conn: Connection,
    step: Migration,
    steps: Sequence[Migration],
    patience: Patience,
) -> bool:
    """Apply one step in one transaction, or find it applied: returns whether it was this call."""
    async with conn.transaction():
        # One's turn may be minutes away while others migrate; only then does the short limit begin.
        await _set_limits(conn, 0, patience.statement_timeout)
        await conn.execute(_TURN)
        await _set_limits(conn, patience.lock_timeout, patience.statement_timeout)
        applied = await _applied(conn)
        _refuse_misfits(steps, applied)
        if step.version in applied:
            return False
        await conn.execute(step.sql)
        await conn.execute(
            "INSERT INTO schema_migrations (version, description, checksum) VALUES ($1, $2, $3)",
            step.version,
            step.description,
            step.checksum,
        )
    return True


async def _set_limits(conn: Connection, lock_timeout: float, statement_timeout: float) -> None:
    await conn.execute(
        "SELECT set_config('lock_timeout', $1, TRUE), set_config('statement_timeout', $2, TRUE)",
        f"{round(lock_timeout * 1000)}ms",
        f"{round(statement_timeout * 1000)}ms",
    )


def _line(step: Migration, error: asyncpg.PostgresError) -> str:
    """Where a syntax error or an unknown name stands in the file, if that is what it is."""
    position: str | None = getattr(error, "position", None)
    return f", line {step.sql.count(chr(10), 0, int(position) - 1) + 1}," if position else ""


def _sentence(error: asyncpg.PostgresError) -> str:
    """PostgreSQL's message without the details that asyncpg puts on further lines."""
    return str(error).partition("\n")[0].rstrip(".") + "."
