"""The history of locks: who held which lock, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks.ends import BATCH, end_expired_locks
from services.lock.locks.holders import find_holder
from services.lock.locks.mutex import LockMutex
from shared.db import sql
from shared.db.pool import Databases, Row
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

# Behind every entry.
_FIRST = ("9999-01-01T00:00:00+00:00", 0, "")


class HistoryFilter(NamedTuple):
    """Which entries to list: those that pass all fields that are not None."""

    lock_id: UUID | None
    path: str | None
    user_id: UUID | None


class LockHistory:
    """Reads the history, and completes it before."""

    def __init__(self, databases: Databases, mutex: LockMutex) -> None:
        self._databases = databases
        self._mutex = mutex

    async def parse_filter(self, request: pb.ListHistoryRequest, call: Call) -> HistoryFilter:
        """Returns the filters of a request, or raises INVALID_FIELD."""
        path = validation.path("path", request.path, directory=True) if request.path else None
        lock_id = validation.uuid("lock_id", request.lock_id) if request.lock_id else None
        user_id = await find_holder(self._databases, request.holder, call)
        return HistoryFilter(lock_id, path, user_id)

    async def write_missing_ends(self, repository_id: UUID) -> datetime:
        """Writes the ends of locks that have expired, and returns the time of the repository."""
        row = await self._databases.of(repository_id).fetchrow(Q.lock_time, repository_id)
        assert row is not None  # noqa: S101  there is always a time
        now: datetime = row["now"]
        count = BATCH if row["has_expired"] else 0
        while count == BATCH:
            work = partial(end_expired_locks, repository_id=repository_id)
            count, now = await self._mutex.change_locks(repository_id, work)
        return now

    async def fetch_entries(
        self,
        repository_id: UUID,
        wanted: HistoryFilter,
        position: Sequence[Any] | None,
        count: int,
    ) -> list[Row]:
        """Returns up to `count` entries behind a position, newest first. None = from the newest on."""
        at, fence, action = position or _FIRST
        query = _bind_query(
            wanted,
            repository_id=repository_id,
            at=datetime.fromisoformat(at),
            fence=fence,
            action=action,
            count=count,
        )
        return await self._databases.of(repository_id).fetch(*query)


def get_position(entry: Row) -> tuple[str, int, str]:
    """Returns the position of an entry in the order of the history."""
    return entry["action_at"].isoformat(), entry["fence"], entry["action"]


def _bind_query(wanted: HistoryFilter, **values: object) -> tuple[Any, ...]:
    """Returns the query for these filters: by the field that has an index and narrows most."""
    lock_id, path, user_id = wanted
    if lock_id is not None:
        return Q.bind.history_of_lock(lock_id=lock_id, path=path, user_id=user_id, **values)
    if path is not None:
        return Q.bind.history_of_path(path=path, user_id=user_id, **values)
    if user_id is not None:
        return Q.bind.history_of_user(user_id=user_id, **values)
    return Q.bind.history(**values)
