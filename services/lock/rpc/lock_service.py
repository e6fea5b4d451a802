"""Locks: acquired, renewed, released, transferred, listed and watched."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from functools import partial

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks import rules
from services.lock.locks.acquisition import LockAcquisition
from services.lock.locks.event_scope import LockEvents
from services.lock.locks.force_release_lock import force_release_lock
from services.lock.locks.history import LockHistory, get_position
from services.lock.locks.holders import find_holders
from services.lock.locks.messages import (
    describe_entry,
    describe_event,
    describe_lock,
    describe_path,
)
from services.lock.locks.mutex import LockMutex
from services.lock.locks.release_locks import release_locks
from services.lock.locks.renew_locks import renew_locks
from services.lock.locks.requests import (
    AcquireRequest,
    ForceReleaseRequest,
    RenewRequest,
    TransferRequest,
)
from services.lock.locks.transfer_lock import transfer_lock
from shared.db import sql
from shared.db.pool import Connection, Databases
from shared.errors import not_found
from shared.outbox.cursors import CursorSeal
from shared.outbox.event_stream import EventStream
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.rpc.timestamps import to_timestamp
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


class LockService:
    """The RPCs of dits.lock.v1.LockService."""

    def __init__(
        self,
        databases: Databases,
        mutex: LockMutex,
        writes: IdempotentWrites,
        key: ServerKey,
        acquisition: LockAcquisition,
        events: EventStream,
    ) -> None:
        self._databases = databases
        self._mutex = mutex
        self._writes = writes
        self._key = key
        self._acquisition = acquisition
        self._events = events
        self._history = LockHistory(databases, mutex)

    async def AcquireLocks(
        self, request: pb.AcquireLocksRequest, call: Call
    ) -> pb.AcquireLocksResponse:
        """Acquires locks on a batch of paths."""
        asked = await validation.parse_in_time(AcquireRequest.parse, request)
        results, now = await self._acquisition.acquire_locks(call, asked)
        return pb.AcquireLocksResponse(results=results, server_time=to_timestamp(now))

    async def RenewLocks(self, request: pb.RenewLocksRequest, call: Call) -> pb.RenewLocksResponse:
        """Makes locks of the caller last longer."""
        work = partial(renew_locks, call=call, asked=RenewRequest.parse(request))
        results, now = await self._mutex.change_locks(call.repository.id, work, call)
        return pb.RenewLocksResponse(results=results, server_time=to_timestamp(now))

    async def ReleaseLocks(
        self, request: pb.ReleaseLocksRequest, call: Call
    ) -> pb.ReleaseLocksResponse:
        """Ends locks of the caller."""
        ids = rules.parse_lock_ids("lock_ids", request.lock_ids)
        results, now = await release_locks(self._mutex, call, ids)
        return pb.ReleaseLocksResponse(results=results, server_time=to_timestamp(now))

    async def ForceReleaseLock(
        self, request: pb.ForceReleaseLockRequest, call: Call
    ) -> pb.ForceReleaseLockResponse:
        """Ends a lock of any user."""
        work = partial(force_release_lock, call=call, asked=ForceReleaseRequest.parse(request))
        lock, now = await self._mutex.change_locks(call.repository.id, work, call)
        return pb.ForceReleaseLockResponse(
            lock=lock, already_ended=lock is None, server_time=to_timestamp(now)
        )

    async def TransferLock(
        self, request: pb.TransferLockRequest, call: Call
    ) -> pb.TransferLockResponse:
        """Gives a lock to another user, for the time it has left."""
        asked = TransferRequest.parse(request)

        async def work(connection: Connection, now: datetime) -> pb.TransferLockResponse:
            return await self._writes.once_in(
                connection,
                call,
                Repeatable.of(request),
                pb.TransferLockResponse,
                partial(transfer_lock, now=now, call=call, asked=asked),
            )

        response, _ = await self._mutex.change_locks(call.repository.id, work, call)
        return response

    async def GetLock(self, request: pb.GetLockRequest, call: Call) -> pb.GetLockResponse:
        """Returns a live lock."""
        lock_id = validation.uuid("lock_id", request.lock_id)
        rows, now = await self._mutex.read_locks(
            call.repository.id, Q.bind.get_lock, lock_id=lock_id
        )
        if not rows:
            raise not_found("lock", request.lock_id)
        return pb.GetLockResponse(
            lock=describe_lock(rows[0], call.caller_id), server_time=to_timestamp(now)
        )

    async def ListLocks(self, request: pb.ListLocksRequest, call: Call) -> pb.ListLocksResponse:
        """Lists locks by path."""
        page = Page(self._key, request, call)
        prefix = rules.parse_prefix("path_prefix", request.path_prefix)
        path, fence = page.after or (prefix, -1)
        user_id, is_only = await find_holders(self._databases, request, call)
        found, now = await self._mutex.read_locks(
            call.repository.id,
            Q.bind.list_locks_of_user if is_only else Q.bind.list_locks,
            path=path,
            fence=fence,
            end=rules.compute_prefix_end(prefix),
            expired=request.expired,
            user_id=user_id,
            count=page.size + 1,
        )
        rows, token = page.answer(found, lambda row: (row["path"], row["fence"]))
        locks = [describe_lock(row, call.caller_id) for row in rows]
        return pb.ListLocksResponse(
            locks=locks, next_page_token=token, server_time=to_timestamp(now)
        )

    async def CheckPaths(self, request: pb.CheckPathsRequest, call: Call) -> pb.CheckPathsResponse:
        """Tells which locks cover each of some paths."""
        paths = await validation.parse_in_time(_parse_checked, request)
        me = call.caller_id
        rows, now = await self._mutex.read_locks(
            call.repository.id, Q.bind.check_paths, paths=paths, user_id=me
        )
        covered = {row["asked"]: row for row in rows}
        statuses = [describe_path(path, covered.get(path), me) for path in paths]
        return pb.CheckPathsResponse(statuses=statuses, server_time=to_timestamp(now))

    async def ListHistory(
        self, request: pb.ListHistoryRequest, call: Call
    ) -> pb.ListHistoryResponse:
        """Lists beginnings and ends of locks, newest first."""
        page = Page(self._key, request, call)
        wanted = await self._history.parse_filter(request, call)
        now = await self._history.write_missing_ends(call.repository.id)
        found = await self._history.fetch_entries(
            call.repository.id, wanted, page.after, page.size + 1
        )
        rows, token = page.answer(found, get_position)
        entries = map(describe_entry, rows)
        return pb.ListHistoryResponse(
            entries=entries, next_page_token=token, server_time=to_timestamp(now)
        )

    async def Watch(
        self, request: pb.WatchRequest, call: Call
    ) -> AsyncGenerator[pb.WatchResponse, None]:
        """Sends what happens to the locks of a repository."""
        repository_id = call.repository.id
        cursors = CursorSeal(self._key, repository_id.bytes)
        position = cursors.read_cursor(request.cursor) if request.cursor else None
        moments = self._events.follow_events(
            self._databases.of(repository_id), LockEvents(repository_id), position, call.holder
        )
        async with aclosing(moments):
            async for position, server_time, event in moments:
                response = pb.WatchResponse(
                    cursor=cursors.write_cursor(position), server_time=to_timestamp(server_time)
                )
                if event is not None:
                    response.event.CopyFrom(await describe_event(event, call.caller_id))
                yield response


def _parse_checked(request: pb.CheckPathsRequest) -> list[str]:
    return rules.parse_paths(request.paths)
