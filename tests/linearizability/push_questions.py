"""What a push asks about locks, in a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from tests.linearizability.answers import SECOND
from tests.linearizability.operations import Held, Judged


class PushQuestions:
    """Asks the functions of the database, as pushes do, about a repository."""

    def __init__(self, database: asyncpg.Connection[asyncpg.Record], repository_id: str) -> None:
        self._database = database
        self._repository_id = repository_id

    async def find_blockers(self, user_id: UUID, path: str) -> Judged:
        """The locks that forbid a user to change a file."""
        query = """SELECT coalesce(array_agg(lock_id::text), '{}')
                   FROM lock_conflicts($1::uuid, $2, ARRAY[$3::text])"""
        first, blockers, last = await self._ask(query, user_id, path)
        return Judged(first, last, frozenset(blockers))

    async def check_fence(self, user_id: UUID, lock: Held) -> Judged:
        """Whether a user holds a lock under its fence."""
        query = "SELECT locks_stale($1::uuid, $2, ARRAY[$3::uuid], ARRAY[$4::bigint])"
        first, stale, last = await self._ask(query, user_id, lock.id, lock.fence)
        return Judged(first, last, not stale)

    async def _ask(self, query: str, *arguments: object) -> tuple[int, Sequence[str], int]:
        """The answer to a question, and the time before and after it."""
        clock = "SELECT share_lock_mutex($1::uuid)"
        async with self._database.transaction():
            first = await self._database.fetchval(clock, self._repository_id)
            answer = await self._database.fetchval(query, self._repository_id, *arguments)
            last = await self._database.fetchval(clock, self._repository_id)
        begin, end = (round(time.timestamp() * SECOND) for time in (first, last))
        return begin, answer, end
