"""A server with two cells: one auth, and two times repo, chunk and lock.

They may share a database: then what is tested is who answers for a repository, not where its rows lie.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.runtime.config import Settings
from shared.runtime.setting_types import CellAddresses
from tests.integration.schema.rows import connected
from tests.support.api import Account, Api, running_suite


@dataclass(frozen=True, slots=True)
class Cells:
    """The running services.

    Attributes:
        first: auth, and cell 0.
        second: cell 1; its own auth is only asked by its services.
    """

    first: Api
    second: Api

    async def account_in_second(self, username: str) -> Account:
        """A new user whose repositories are in cell 1."""
        account = await self.first.account(username)
        await move_to(self.first, account, 1)
        if self.second.dsn != self.first.dsn:
            await _replicate(self.first.dsn, self.second.dsn, account)
            await move_to(self.second, account, 1)
        return account


async def move_to(api: Api, account: Account, cell: int) -> None:
    """Says that the repositories of a user are in a cell."""
    await api.fetch("UPDATE namespaces SET cell = $2 WHERE owner_id = $1", account.id, cell)


async def _replicate(source: str, target: str, account: Account) -> None:
    """Copies what a cell knows of a user, and the session, for the auth of the cell."""
    async with connected(source) as one, connected(target) as other:
        for table, key in (("users", "id"), ("sessions", "user_id")):
            columns = await one.fetchval(
                """SELECT array_agg(column_name::text) FROM information_schema.columns
                   WHERE table_name = $1 AND is_generated = 'NEVER'""",
                table,
            )
            listed = ", ".join(columns)
            found = await one.fetch(f"SELECT {listed} FROM {table} WHERE {key} = $1", account.id)
            await other.copy_records_to_table(table, columns=columns, records=map(tuple, found))


@asynccontextmanager
async def running_cells(
    dsn: str, settings: Settings, second_dsn: str | None = None
) -> AsyncIterator[Cells]:
    """Runs both cells, each on a database of its own if there are two."""
    folder = settings.data_dir
    second = {"cell": 1, "region": "second", "data_dir": folder / "second"}
    async with running_suite(second_dsn or dsn, settings.model_copy(update=second)) as there:
        addresses = {name: there.addresses[name] for name in CellAddresses.model_fields}
        async with connected(dsn) as connection:
            # Where both share it.
            await connection.execute("UPDATE deployment SET cell = NULL")
        first = {"cells": {1: CellAddresses(**addresses)}, "data_dir": folder / "first"}
        async with running_suite(dsn, settings.model_copy(update=first)) as here:
            yield Cells(here, there)
