"""How locks are acquired: judged and granted while the mutex of the repository is held.

Mostly no other lock is met; then one statement does it all. A request that meets locks, steals, or
names a base commit goes step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks import rules, steal_locks
from services.lock.locks.base_commit import BaseCommitCheck, fetch_head
from services.lock.locks.grants import LockTerms, grant_locks, judge_locks
from services.lock.locks.messages import describe_conflict, describe_lock
from services.lock.locks.mutex import LockMutex
from services.lock.locks.requests import AcquireRequest
from services.lock.locks.steal_locks import Target
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import contention, lock_held
from shared.rpc.call import Call
from shared.rpc.timestamps import to_timestamp

Q = sql.load(__file__)

# How often the base commit is compared again because the branch has moved meanwhile.
ATTEMPTS = 5


class LockAcquisition:
    """Acquires locks."""

    def __init__(self, mutex: LockMutex, base_commits: BaseCommitCheck) -> None:
        self._mutex = mutex
        self._base_commits = base_commits

    async def acquire_locks(
        self, call: Call, asked: AcquireRequest
    ) -> tuple[list[pb.AcquireResult], datetime]:
        """Returns the outcome for each path, in the order of the request, and when it was judged.

        Raises LOCK_HELD if the batch is atomic and a lock conflicts, and BASE_OUTDATED.
        """
        if asked.base_commit is None and not asked.steal:
            granted = await self._acquire_free(call, asked)
            if granted is not None:
                return granted
        for _ in range(ATTEMPTS):
            head = await self._check_base_commit(call, asked)
            work = partial(self._acquire_at, call=call, asked=asked, head=head)
            results, now = await self._mutex.change_locks(call.repository.id, work, call)
            if results is not None:
                return results, now
        raise contention("the branch moves all the time")

    async def _acquire_free(
        self, call: Call, asked: AcquireRequest
    ) -> tuple[list[pb.AcquireResult], datetime] | None:
        """Grants all; None if a lock is met on one of the paths, or the repository has changed."""
        statement = Q.bind.acquire_locks(
            repository_id=call.repository.id,
            owner=call.repository.owner.lower(),
            paths=asked.paths,
            ttl=asked.ttl,
            holder_id=call.caller.user_id,
            lock_type=asked.lock_type,
            reason=asked.reason or None,
            release_on_push=asked.release_on_push,
        )
        rows = await self._mutex.execute_change(call.repository.id, *statement)
        if not rows or rows[0]["lock_id"] is None:
            return None
        now: datetime = rows[0]["server_time"]
        results = _describe_granted(call, asked, now, rows)
        return [results[path] for path in asked.paths], now

    async def _check_base_commit(self, call: Call, asked: AcquireRequest) -> str | None:
        """Returns the head of the branch, which has no newer changes of the paths."""
        if asked.base_commit is None:
            return None
        return await self._base_commits.require_current(
            call, asked.base_commit, asked.branch, asked.paths
        )

    async def _acquire_at(
        self,
        connection: Connection,
        now: datetime,
        call: Call,
        asked: AcquireRequest,
        head: str | None,
    ) -> list[pb.AcquireResult] | None:
        """Judges and grants, or returns None if the branch is no longer at `head`."""
        if head is not None and await fetch_head(connection, call, asked.branch) != head:
            return None
        return await _Attempt(connection, call, asked, now).acquire_locks()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt, step by step, in a transaction that holds the mutex."""

    connection: Connection
    call: Call
    asked: AcquireRequest
    now: datetime

    @property
    def terms(self) -> LockTerms:
        """What the new locks have in common."""
        asked = self.asked
        return LockTerms(
            self.call.caller.user_id,
            asked.lock_type,
            asked.reason or None,
            asked.base_commit,
            asked.release_on_push,
        )

    async def acquire_locks(self) -> list[pb.AcquireResult]:
        """Judges all paths, then grants those that are free."""
        call, asked = self.call, self.asked
        stolen = await steal_locks.find_targets(self.connection, call, asked, self.now)
        results = await self._judge_paths(stolen)
        conflicts = [
            describe_conflict(path, result.conflict)
            for path, result in results.items()
            if result.HasField("conflict")
        ]
        if conflicts and asked.is_atomic:
            raise lock_held(conflicts)
        free = [path for path in asked.paths if path not in results]
        if free:
            replaced = [target for target in stolen if not target.excluded_paths.isdisjoint(free)]
            await steal_locks.end_targets(self.connection, call, replaced, asked.reason, self.now)
            results |= await self._grant_paths(free)
        return [results[path] for path in asked.paths]

    async def _judge_paths(self, stolen: list[Target]) -> dict[str, pb.AcquireResult]:
        """Returns the outcome for each path that is not free, in the order of the request."""
        rows = await judge_locks(
            self.connection,
            self.call.repository.id,
            self.asked.paths,
            self.terms,
            self.now,
            [target.id for target in stolen],
        )
        met = {row["asked"]: row for row in rows}
        return {path: self._describe_met(met[path]) for path in self.asked.paths if path in met}

    def _describe_met(self, row: Row) -> pb.AcquireResult:
        lock = describe_lock(row, self.call.caller.user_id)
        if row["already_held"]:
            return pb.AcquireResult(path=row["asked"], lock=lock, already_held=True)
        return pb.AcquireResult(path=row["asked"], conflict=lock)

    async def _grant_paths(self, free: list[str]) -> dict[str, pb.AcquireResult]:
        """Grants locks on paths, and returns the outcomes."""
        rows = await grant_locks(
            self.connection,
            self.call.repository.id,
            free,
            self.terms,
            self.now,
            self.now + self.asked.ttl,
            self.terms.holder_id,
        )
        return _describe_granted(self.call, self.asked, self.now, rows)


def _describe_granted(
    call: Call, asked: AcquireRequest, now: datetime, rows: Sequence[Row]
) -> dict[str, pb.AcquireResult]:
    """Returns the outcomes for new locks by their paths."""
    common = pb.Lock(
        type=rules.TYPE_VALUES[asked.lock_type],
        holder_id=str(call.caller.user_id),
        holder=call.caller.username,
        ours=True,
        reason=asked.reason,
        lock_time=to_timestamp(now),
        expire_time=to_timestamp(now + asked.ttl),
        release_on_push=asked.release_on_push,
        base_commit=asked.base_commit or "",
    )
    results = {}
    for row in rows:
        path = row["path"]
        result = pb.AcquireResult(path=path, lock=common)
        lock = result.lock
        lock.id, lock.path, lock.fence = str(row["lock_id"]), path, row["fence"]
        results[path] = result
    return results
