"""Which chunks were read since their times of access were last stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from uuid import UUID

from shared.db.pool import Database, Databases

# Beyond this, reads between two drains are not noted; 32 bytes each.
_MAX_CHUNKS = 500_000


class AccessTimes:
    """Chunks whose time of access in the database is out of date."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._digests: dict[Database, set[bytes]] = {}

    def note_chunks(self, repository_id: UUID, digests: Iterable[bytes]) -> None:
        """Notes that chunks of a repository are being read."""
        noted = self._digests.setdefault(self._databases.of(repository_id), set())
        if len(noted) < _MAX_CHUNKS:
            noted.update(digests)

    def drain(self) -> Mapping[Database, Set[bytes]]:
        """Returns the noted chunks of each database, and forgets them."""
        drained, self._digests = self._digests, {}
        return drained
