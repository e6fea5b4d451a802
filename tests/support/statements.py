"""What the services ask the database: every statement that runs, recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.db.pool import Connection, Database
from tests.support.sql_text import named_relations, without_comments


class StatementLog:
    """The statements of all services in this process, or of one database, until the end of the test.

    Attributes:
        statements: all of them so far, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, only: Database | None = None) -> None:
        self._only = only
        self.statements: list[str] = []
        self._connection = Database.connection
        monkeypatch.setattr(Database, "connection", lambda database: self._recorded(database))

    def texts(self, table: str) -> list[str]:
        """Returns the statements so far that name a table, in order."""
        return [text for text in self.statements if named_relations(text, [table])]

    def verbs(self, table: str) -> list[str]:
        """Returns the first words of the statements so far that name a table, in order."""
        return [without_comments(text).split()[0] for text in self.texts(table)]

    @asynccontextmanager
    async def _recorded(self, database: Database) -> AsyncIterator[Connection]:
        async with self._connection(database) as connection:
            if self._only not in (None, database):
                yield connection
                return
            with connection.query_logger(self._add):
                yield connection

    def _add(self, record: Any) -> None:
        self.statements.append(record.query)
