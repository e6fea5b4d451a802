"""Which chunks a repository has. Answers are hints; they hold for half a lease."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from datetime import timedelta
from uuid import UUID

import numpy as np

from services.chunk.catalog.presence_filter import pack_missing
from services.chunk.catalog.presence_filters import PresenceFilters
from shared.db import sql
from shared.db.pool import Connection, Databases, Row
from shared.formats.bitmaps import mark_missing
from shared.rpc.validation import DIGEST_BYTES
from shared.runtime import metrics

Q = sql.load(__file__)
_count_filter = metrics.PRESENCE_LOOKUPS.labels("filter").inc
_count_database = metrics.PRESENCE_LOOKUPS.labels("database").inc
_count_both = metrics.PRESENCE_LOOKUPS.labels("both").inc


def join_hashes(digests: Iterable[bytes]) -> str:
    """Returns hashes in hex, with commas between them, as the queries take them."""
    return b"".join(digests).hex(",", DIGEST_BYTES)


class Presence:
    """Looks chunks up, and renews the claims on those that are found."""

    def __init__(
        self, databases: Databases, lease: timedelta, filters: PresenceFilters | None = None
    ) -> None:
        """`filters`: of the repositories that are asked most."""
        self._databases = databases
        self._lease = lease
        self._filters = filters

    async def find_missing_chunks(
        self, repository_id: UUID, digests: Sequence[bytes]
    ) -> tuple[bytes, int]:
        """Returns a bitmap of the missing chunks, lowest bit first, and their number."""
        database = self._databases.of(repository_id)
        state = await database.fetchrow(Q.presence_state, repository_id, self._lease)
        if state is None or not state["chunk_count"]:
            return mark_missing(digests, ())
        filters = self._filters
        found = None if filters is None else filters.find(repository_id, state["erasures"])
        if filters is None or found is None or state["has_lost"]:
            _count_database()
            return mark_missing(digests, await self._look_up(repository_id, digests, state))
        is_exact = found.is_complete and state["additions"] <= found.version
        present = await filters.mark_present(found, b"".join(digests))
        (_count_filter if is_exact else _count_both)()
        if not is_exact:
            left = np.flatnonzero(~present).tolist()
            asked = [digests[position] for position in left]
            there = await self._look_up(repository_id, asked, state)
            present[left] = [digest in there for digest in asked]
        return pack_missing(present)

    def note_added(self, repository_id: UUID, hashes: Sequence[str], additions: int) -> None:
        """Notes chunks that are new to a repository, which now counts so many `additions`."""
        if self._filters is not None:
            self._filters.note_added(repository_id, bytes.fromhex("".join(hashes)), additions)

    async def _look_up(
        self, repository_id: UUID, digests: Sequence[bytes], state: Row
    ) -> Set[bytes]:
        """Returns those chunks that the repository has, by the database."""
        if not digests:
            return frozenset()
        database = self._databases.of(repository_id)
        packed = b"".join(digests)
        row = await database.fetchrow(Q.present_chunks, repository_id, packed, state["has_lost"])
        if state["has_stale"]:
            hashes = join_hashes(digests)
            await database.statement(Q.renew_claims, repository_id, hashes, self._lease)
        if self._filters is not None:
            count = state["chunk_count"]
            self._filters.note_asked(database, repository_id, len(digests), count)
        found = (row and row["hashes"]) or b""
        return {found[i : i + DIGEST_BYTES] for i in range(0, len(found), DIGEST_BYTES)}

    async def find_kept_chunks(self, repository_id: UUID, digests: Iterable[bytes]) -> set[bytes]:
        """Returns those that the repository has, not encrypted, and has for another half lease at least."""
        database = self._databases.of(repository_id)
        hashes = join_hashes(digests)
        rows = await database.fetch(Q.kept_chunks, repository_id, hashes, self._lease)
        return {bytes.fromhex(row["chunk_hash"]) for row in rows}

    async def renew_claims(self, connection: Connection, repository_id: UUID, hashes: str) -> None:
        """Renews the claims on chunks (from `join_hashes`) that have used up half their lease."""
        await connection.execute(Q.renew_claims, repository_id, hashes, self._lease)
