"""What the services ask the database: every statement that runs, recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.db.pool import Connection, Database
from tests.support.sql_text import named_relations, without_comments


class StatementLog:
    """The statements of all services in this process, from now until the end of the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._statements: list[str] = []
        self._connection = Database.connection
        monkeypatch.setattr(Database, "connection", lambda database: self._recorded(database))

    def verbs(self, table: str) -> list[str]:
        """Returns the first words of the statements so far that name a table, in order."""
        texts = [text for text in self._statements if named_relations(text, [table])]
        return [without_comments(text).split()[0] for text in texts]

    @asynccontextmanager
    async def _recorded(self, database: Database) -> AsyncIterator[Connection]:
        async with self._connection(database) as connection:
            with connection.query_logger(self._add):
                yield connection

    def _add(self, record: Any) -> None:
        self._statements.append(record.query)
