"""Brings a database up to date with the SQL files of this package, from any number of processes.

Each step is applied once; its checksum is recorded, and a difference is refused. After the last step, files
of functions whose checksum differs from the recorded one are applied, in the same transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from migrations.files import Files, FunctionFile, MigrationError, Step, discover
from migrations.status import (
    Applied,
    applied_functions,
    applied_steps,
    connect,
    refuse_edited,
    refuse_encoding,
)

if TYPE_CHECKING:
    from migrations.status import Connection

_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('dits.migrations', 0))"
_RETRIED = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


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


async def migrate(
    dsn: str, files: Files | None = None, patience: Patience | None = None
) -> list[Step | FunctionFile]:
    """Bring the database up to date and return the files that this call applied.

    Each step is one transaction with the row that records it. Steps are taken in turns under a
    transaction-scoped advisory lock, which works through PgBouncer too, and every turn reads again what
    has been applied: processes that migrate at the same time share the work. Raises MigrationError when
    the database does not fit the files, or a file fails; the steps before it stay.
    """
    files = files or discover()
    patience = patience or Patience()
    applied: list[Step | FunctionFile] = []
    async with connect(dsn) as conn:
        await refuse_encoding(conn)
        for step in files.steps:
            applied += await _apply_patiently(conn, step, files, patience)
    return applied


async def take_turn(conn: Connection, patience: Patience | None = None) -> None:
    """Wait, in a transaction, until no other process migrates; then set the limits of patience."""
    patience = patience or Patience()
    # One's turn may be minutes away while others migrate; only then does the short limit begin.
    await _set_limits(conn, 0, patience.statement_timeout)
    await conn.execute(_TURN)
    await _set_limits(conn, patience.lock_timeout, patience.statement_timeout)


def _refuse_misfits(steps: Sequence[Step], applied: Mapping[int, Applied]) -> None:
    """Raise MigrationError unless what was applied is a beginning of what the files say."""
    for version in sorted(applied):
        if version > len(steps):
            raise MigrationError(
                f"The database has step {version} ({applied[version].description}), which this program"
                f" does not know: it knows {len(steps)}."
            )
        if version > 1 and version - 1 not in applied:
            raise MigrationError(f"The database has step {version} but not step {version - 1}.")
    refuse_edited(steps, applied)


async def _apply_patiently(
    conn: Connection, step: Step, files: Files, patience: Patience
) -> list[Step | FunctionFile]:
    attempt = 1
    while True:
        try:
            return await _apply(conn, step, files, patience)
        except _RETRIED as error:
            if attempt == patience.attempts:
                raise MigrationError(
                    f"{step.name} found its tables locked in {attempt} attempts and changed nothing:"
                    f" {_sentence(error)}"
                ) from error
        except asyncpg.PostgresError as error:
            raise _failure(step, error) from error
        attempt += 1
        await asyncio.sleep(random.uniform(0.5, 1.5) * patience.pause)  # noqa: S311 - jitter


async def _apply(
    conn: Connection, step: Step, files: Files, patience: Patience
) -> list[Step | FunctionFile]:
    """Apply one step, and the functions after the last one, unless that is done; return what was not."""
    done: list[Step | FunctionFile] = []
    async with conn.transaction():
        await take_turn(conn, patience)
        applied = await applied_steps(conn)
        _refuse_misfits(files.steps, applied)
        if step.version not in applied:
            await conn.execute(step.sql)
            await conn.execute(
                "INSERT INTO schema_migrations (version, description, checksum) VALUES ($1, $2, $3)",
                step.version,
                step.description,
                step.checksum,
            )
            done.append(step)
        if step is files.steps[-1] and files.functions:
            done += await _replace_functions(conn, files.functions)
    return done


async def _replace_functions(conn: Connection, files: Sequence[FunctionFile]) -> list[FunctionFile]:
    """Apply the files that differ from what is recorded, and return them."""
    recorded = await applied_functions(conn)
    changed = [
        file
        for file in files
        if file.name not in recorded or recorded[file.name].checksum != file.checksum
    ]
    # Functions call each other, and no order would suit all.
    await conn.execute("SET LOCAL check_function_bodies = off")
    for file in changed:
        try:
            await conn.execute(file.sql)
        except _RETRIED:
            raise
        except asyncpg.PostgresError as error:
            raise _failure(file, error) from error
        await conn.execute(
            """INSERT INTO schema_functions (path, checksum) VALUES ($1, $2)
               ON CONFLICT (path) DO UPDATE SET checksum = $2, applied_at = now()""",
            file.name,
            file.checksum,
        )
    await conn.execute(
        "DELETE FROM schema_functions WHERE path <> ALL ($1)", [file.name for file in files]
    )
    return changed


async def _set_limits(conn: Connection, lock_timeout: float, statement_timeout: float) -> None:
    await conn.execute(
        "SELECT set_config('lock_timeout', $1, TRUE), set_config('statement_timeout', $2, TRUE)",
        f"{round(lock_timeout * 1000)}ms",
        f"{round(statement_timeout * 1000)}ms",
    )


def _failure(file: Step | FunctionFile, error: asyncpg.PostgresError) -> MigrationError:
    """Say which file failed, and in which line if it is a syntax error or an unknown name."""
    position: str | None = getattr(error, "position", None)
    line = f", line {file.sql.count(chr(10), 0, int(position) - 1) + 1}," if position else ""
    return MigrationError(f"{file.name}{line} failed and changed nothing: {_sentence(error)}")


def _sentence(error: asyncpg.PostgresError) -> str:
    """PostgreSQL's message without the details that asyncpg puts on further lines."""
    return str(error).partition("\n")[0].rstrip(".") + "."
