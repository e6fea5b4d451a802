"""ListHistory: who held what, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks import messages, rules
from services.lock.locks.ends import BATCH, end_expired
from services.lock.locks.mutex import Turns
from services.lock.locks.reading import find_user
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# Behind every entry.
_FIRST = ("9999-01-01T00:00:00+00:00", 0, "")


class Remembering:
    """Lists the history."""

    def __init__(self, database: Database, turns: Turns, key: ServerKey) -> None:
        self._database = database
        self._turns = turns
        self._key = key

    async def ListHistory(
        self, request: pb.ListHistoryRequest, call: Call
    ) -> pb.ListHistoryResponse:
        """Beginnings and ends, newest first."""
        page = Page(self._key, request, call)
        path = validation.path("path", request.path, directory=True) if request.path else None
        lock_id = validation.uuid("lock_id", request.lock_id) if request.lock_id else None
        owner = await find_user(self._database, request.holder, call)
        now = await self._write_ends(call.repository.id)
        at, fence, action = page.after or _FIRST
        query, filters = _query(lock_id, path, owner)
        position = (datetime.fromisoformat(at), fence, action)
        found = await self._database.fetch(
            query, call.repository.id, *position, page.size + 1, *filters
        )
        rows, token = page.answer(found, _position)
        return pb.ListHistoryResponse(
            entries=[_entry(row) for row in rows],
            next_page_token=token,
            server_time=messages.moment(now),
        )

    async def _write_ends(self, repo_id: UUID) -> datetime:
        """Writes what the history lacks: the ends of locks that nobody has touched since."""
        row = await self._database.fetchrow(Q.lock_time, repo_id)
        assert row is not None  # noqa: S101  there is always a time
        now: datetime = row["now"]
        if not row["has_expired"]:
            return now

        async def work(connection: Connection, now: datetime) -> tuple[datetime, int]:
            return now, await end_expired(connection, repo_id, now)

        count = BATCH
        while count == BATCH:
            now, count = await self._turns.change(repo_id, work)
        return now


def _query(lock_id: UUID | None, path: str | None, owner: UUID | None) -> tuple[str, Sequence[Any]]:
    """The query for these filters: by what narrows most, which has an index."""
    if lock_id is not None:
        return Q.history_of_lock, (lock_id, path, owner)
    if path is not None:
        return Q.history_of_path, (path, owner)
    if owner is not None:
        return Q.history_of_user, (owner,)
    return Q.history, ()


def _position(row: Row) -> tuple[str, int, str]:
    return row["action_at"].isoformat(), row["fence"], row["action"]


def _entry(row: Row) -> pb.HistoryEntry:
    return pb.HistoryEntry(
        lock_id=str(row["lock_id"]),
        path=row["path"],
        type=rules.TYPE_VALUES[row["lock_type"]],
        fence=row["fence"],
        holder_id=str(row["owner_id"]),
        holder=row["owner"],
        action=pb.HistoryAction.Value(f"HISTORY_ACTION_{row['action'].upper()}"),
        time=row["action_at"],
        actor_id=str(row["action_by"] or ""),
        actor=row["actor"] or "",
        reason=row["reason"] or "",
        expire_time=row["expires_at"],
    )
