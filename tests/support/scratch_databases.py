"""Databases beside one another in the PostgreSQL of a test process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from shared.db.pool import Database, Databases


def name_database(dsn: str, name: str) -> str:
    """The DSN of another database of the same server."""
    return re.sub(r"/[^/?]+(\?|$)", rf"/{name}\1", dsn)


async def execute(dsn: str, statement: str) -> None:
    """Runs a statement outside of a transaction, as CREATE DATABASE wants it."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def open_databases(dsn: str) -> AsyncIterator[Databases]:
    """A database as services have it, through a pool of the test's own."""
    databases = Databases(await Database.connect(dsn, service="test", size=6))
    try:
        yield databases
    finally:
        await databases.close()
