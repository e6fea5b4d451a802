"""The database that a command works on: the configured one, or the embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import structlog

from migrations.files import discover
from migrations.restored import refuse_restored
from migrations.status import State, check_compatible, compare
from shared.postgres.embedded import EmbeddedPostgres
from shared.runtime.config import Settings

log = structlog.get_logger(__name__)


@contextmanager
def database(settings: Settings) -> Iterator[tuple[str, EmbeddedPostgres | None]]:
    """The configured database, or the embedded one for as long as the block lasts."""
    if settings.database_url is not None:
        yield settings.database_url, None
        return
    postgres = EmbeddedPostgres(settings.data_dir / "postgres", bin_dir=settings.postgres_bin)
    try:
        yield postgres.start(), postgres
    finally:
        postgres.stop()


async def check_schema(dsn: str) -> None:
    """Refuses a schema that this program does not fit, and a dump as restored. Raises MigrationError.

    What differs and may do so while the program is being replaced is logged.
    """
    files = discover()
    connection = await asyncpg.connect(dsn)
    try:
        await check_compatible(connection, files)
        await refuse_restored(connection)
        rows = await compare(connection, files)
    finally:
        await connection.close()
    if differing := [row.description for row in rows if row.state is not State.APPLIED]:
        log.warning(
            "the database is that of another release: `dits-server migrate` of the newer one, and then "
            "the newer program everywhere",
            count=len(differing),
            first=differing[0],
        )
