"""The filters of the repositories that are asked most. Each is built from the database, in the background.

A filter is a hint, as every answer of FindMissingChunks is. Whether it is up to date is asked with each
call: the repository counts how often chunks were added to it. What a commit names stays for a lease after
the last commit is gone, and a young claim for most of a lease: a filter holds for a quarter of one, and is
then built again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import asyncpg
import numpy as np
import structlog
from numpy.typing import NDArray

from services.chunk.catalog.presence_filter import (
    KEY_BYTES,
    Keys,
    PresenceFilter,
    read_keys,
    split_keys,
)
from services.chunk.runtime.threads import run_in_thread
from shared.db import sql
from shared.db.pool import UNREACHABLE, Database
from shared.errors import DomainError
from shared.runtime import metrics

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

# A repository is hot once the database was asked about so many of its chunks, and about a tenth of them.
HOT_DIGESTS = 30_000
HOT_SHARE = 10
_PAGE = 20_000
# Beyond this, the repositories that are asked now and then are counted anew.
_MAX_COUNTED = 10_000


class PresenceFilters:
    """The filters of one server, which together take `limit_bytes` at most; 0 = there are none.

    Attributes:
        building: builds a filter, if one is being built.
    """

    def __init__(self, lease: timedelta, limit_bytes: int, threads: ThreadPoolExecutor) -> None:
        self._lease = lease
        self._limit_bytes = limit_bytes
        self._threads = threads
        self._filters: OrderedDict[UUID, PresenceFilter] = OrderedDict()
        self._asked: Counter[UUID] = Counter()
        self.building: asyncio.Task[None] | None = None
        # What was added to the repository whose filter is being built.
        self._built_id: UUID | None = None
        self._added: list[tuple[Keys, int]] = []
        metrics.PRESENCE_FILTER_BYTES.set_function(self._measure)

    def find(self, repository_id: UUID, erasures: int) -> PresenceFilter | None:
        """Returns the filter of a repository from which chunks were erased so often, if there is one."""
        found = self._filters.get(repository_id)
        if found is None:
            return None
        if time.monotonic() > found.valid_until or found.erasures != erasures:
            del self._filters[repository_id]
            return None
        self._filters.move_to_end(repository_id)
        return found

    async def mark_present(self, found: PresenceFilter, packed: bytes) -> NDArray[np.bool_]:
        """Returns for each of the packed hashes whether it is in a filter."""
        return await run_in_thread(self._threads, found.mark_present, packed)

    def note_added(self, repository_id: UUID, packed: bytes, version: int) -> None:
        """Notes the packed hashes that a transaction of this server has added to a repository."""
        found = self._filters.get(repository_id)
        if found is not None:
            found.add(split_keys(packed), version)
        if repository_id == self._built_id:
            self._added.append((split_keys(packed), version))

    def note_asked(
        self, database: Database, repository_id: UUID, count: int, chunk_count: int
    ) -> None:
        """Notes that the database was asked about `count` chunks of a repository; it has `chunk_count`."""
        if chunk_count * KEY_BYTES > self._limit_bytes:
            return
        if len(self._asked) > _MAX_COUNTED:
            self._asked.clear()
        self._asked[repository_id] += count
        needed = max(HOT_DIGESTS, chunk_count // HOT_SHARE)
        if self._asked[repository_id] >= needed and self.building is None:
            del self._asked[repository_id]
            self._built_id = repository_id
            self.building = asyncio.create_task(self._build(database, repository_id))

    async def stop(self) -> None:
        """Ends what is being built."""
        if self.building is not None:
            self.building.cancel()
            with suppress(asyncio.CancelledError):
                await self.building

    async def _build(self, database: Database, repository_id: UUID) -> None:
        try:
            built = await self._read_filter(database, repository_id)
        except (*UNREACHABLE, asyncpg.PostgresError, DomainError) as error:
            log.warning("no presence filter", repository=str(repository_id), cause=repr(error))
        else:
            for keys, version in self._added:
                built.add(keys, version)
            self._filters[repository_id] = built
            self._make_room()
        finally:
            self.building = self._built_id = None
            self._added.clear()

    async def _read_filter(self, database: Database, repository_id: UUID) -> PresenceFilter:
        begun = time.monotonic()
        [state] = await database.fetch(Q.read_counts, repository_id)
        pages, left_out, after = [], 0, ""
        while True:
            [page] = await database.fetch(Q.list_keys, repository_id, after, self._lease, _PAGE)
            if not page["count"]:
                break
            pages.append(page["keys"])
            left_out += page["left_out"]
            after = page["last"]
        return PresenceFilter(
            await run_in_thread(self._threads, read_keys, b"".join(pages)),
            state["additions"],
            erasures=state["erasures"],
            is_complete=not left_out,
            valid_until=begun + self._lease.total_seconds() / 4,
        )

    def _measure(self) -> int:
        return sum(each.size for each in self._filters.values())

    def _make_room(self) -> None:
        while self._measure() > self._limit_bytes:
            self._filters.popitem(last=False)
