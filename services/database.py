"""The database that a command works on: the configured one, or the embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from migrations.restored import refuse_restored
from migrations.status import check_compatible
from shared.postgres.embedded import EmbeddedPostgres
from shared.runtime.config import Settings


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
    """Refuses a schema that this program does not fit, and a dump as restored. Raises MigrationError."""
    connection = await asyncpg.connect(dsn)
    try:
        await check_compatible(connection)
        await refuse_restored(connection)
    finally:
        await connection.close()
