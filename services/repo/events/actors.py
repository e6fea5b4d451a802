"""Names of the users who did things, remembered for the length of a stream."""

from __future__ import annotations

from uuid import UUID

from shared.db import sql
from shared.db.pool import Database

Q = sql.load(__file__)

MAX_NAMES = 1000


class Actors:
    """The usernames of those who occur in a stream."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names: dict[UUID, str] = {}

    async def find_name(self, user_id: UUID | None) -> str:
        """Returns a username; empty for nobody, and for a user who is not known."""
        if user_id is None:
            return ""
        if user_id not in self._names:
            row = await self._database.fetchrow(Q.username, user_id)
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
            self._names[user_id] = row["username"] if row else ""
        return self._names[user_id]
