"""Which chunks were read since their times of access were last stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from uuid import UUID

# Beyond this, reads between two drains are not noted; 32 bytes each.
_MAX_CHUNKS = 500_000


class AccessTimes:
    """Chunks whose time of access in the database is out of date, by repository."""

    def __init__(self) -> None:
        self._digests: dict[UUID, set[bytes]] = {}
        self._count = 0

    def note_chunks(self, repository_id: UUID, digests: Iterable[bytes]) -> None:
        """Notes that chunks of a repository are being read."""
        if self._count < _MAX_CHUNKS:
            noted = self._digests.setdefault(repository_id, set())
            before = len(noted)
            noted.update(digests)
            self._count += len(noted) - before

    def drain(self) -> Mapping[UUID, Set[bytes]]:
        """Returns the noted chunks of each repository, and forgets them."""
        drained, self._digests, self._count = self._digests, {}, 0
        return drained
