"""AcquireLocks: judged and granted in one turn of the repository.

Most of the time nothing is in the way; then one statement does it all. Whatever else there is to say, to
compare or to take away is done step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks import messages, rules, steal
from services.lock.locks.base_commit import Bases
from services.lock.locks.mutex import Turns
from services.lock.locks.steal import Target
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import contention, lock_held
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

# How often the base is compared again because the branch has moved meanwhile.
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Ask:
    """A valid request."""

    paths: list[str]
    lock_type: str
    ttl: timedelta
    reason: str
    is_atomic: bool
    release_on_push: bool
    base_commit: str | None
    branch: str
    steal: list[str]

    @classmethod
    def of(cls, request: pb.AcquireLocksRequest) -> Ask:
        """Checks a request."""
        base = request.base_commit
        return cls(
            paths=rules.paths(request.paths),
            lock_type=rules.lock_type(request.type),
            ttl=rules.ttl(request.ttl, given=request.HasField("ttl")),
            reason=rules.reason(request.reason),
            is_atomic=rules.is_atomic(request.batch_mode),
            release_on_push=request.release_on_push,
            base_commit=validation.digest("base_commit", base) if base else None,
            branch=validation.branch("branch", request.branch) if request.branch else "",
            steal=rules.lock_ids(
                "steal_lock_ids", request.steal_lock_ids, most=rules.MAX_STOLEN, least=0
            ),
        )


class Acquiring:
    """Grants locks."""

    def __init__(self, turns: Turns, bases: Bases) -> None:
        self._turns = turns
        self._bases = bases

    async def AcquireLocks(
        self, request: pb.AcquireLocksRequest, call: Call
    ) -> pb.AcquireLocksResponse:
        """Takes locks on a batch of paths."""
        ask = Ask.of(request)
        if ask.base_commit is None and not ask.steal:
            granted = await self._acquire_free(call, ask)
            if granted is not None:
                return granted
        for _ in range(ATTEMPTS):
            head = await self._check_base(call, ask)
            response = await self._acquire(call, ask, head)
            if response is not None:
                return response
        raise contention("the branch moves all the time")

    async def _acquire_free(self, call: Call, ask: Ask) -> pb.AcquireLocksResponse | None:
        """None if something bears on one of the paths."""
        repo_id = call.repository.id
        rows = await self._turns.statement(
            repo_id,
            Q.acquire,
            *(repo_id, ask.paths, ask.ttl, ask.lock_type, call.caller.user_id),
            *(ask.reason or None, ask.release_on_push, rules.WARNING),
        )
        if rows[0]["lock_id"] is None:
            return None
        now = rows[0]["server_time"]
        results = _granted(call, ask, now, rows)
        return pb.AcquireLocksResponse(
            results=[results[path] for path in ask.paths], server_time=messages.moment(now)
        )

    async def _check_base(self, call: Call, ask: Ask) -> str | None:
        """The head of the branch, in which no path is newer than in the base commit."""
        if ask.base_commit is None:
            return None
        return await self._bases.check(call, ask.base_commit, ask.branch, ask.paths)

    async def _acquire(
        self, call: Call, ask: Ask, head: str | None
    ) -> pb.AcquireLocksResponse | None:
        """None if the branch is no longer at `head`."""

        async def work(connection: Connection, now: datetime) -> pb.AcquireLocksResponse | None:
            if head is not None and await self._bases.head(call, ask.branch) != head:
                return None
            return await _Turn(connection, call, ask, now).acquire()

        return await self._turns.change(call.repository.id, work)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One attempt, while nobody else changes the locks of the repository."""

    connection: Connection
    call: Call
    ask: Ask
    now: datetime

    async def acquire(self) -> pb.AcquireLocksResponse:
        """Judges, then grants what is free."""
        connection, call, ask, now = self.connection, self.call, self.ask, self.now
        me = call.caller.user_id
        stolen = await steal.targets(connection, call, ask.steal, ask.reason, now)
        steal.check_in_way(stolen, ask.paths, ask.lock_type, me)
        results = await self._judge(stolen)
        conflicts = [
            messages.lock_conflict(path, result.conflict)
            for path, result in results.items()
            if result.HasField("conflict")
        ]
        if conflicts and ask.is_atomic:
            raise lock_held(conflicts)
        free = [path for path in ask.paths if path not in results]
        if free:
            taken = steal.in_way(stolen, free, ask.lock_type, me)
            await steal.take(connection, call, taken, ask.reason, now)
            results |= await self._grant(free)
        return pb.AcquireLocksResponse(
            results=[results[path] for path in ask.paths], server_time=messages.moment(now)
        )

    async def _judge(self, stolen: list[Target]) -> dict[str, pb.AcquireResult]:
        """The outcome for each path that is not free, in the order of the request."""
        ask, me = self.ask, self.call.caller.user_id
        excepted = [target.id for target in stolen]
        rows = await self.connection.fetch(
            Q.judge, self.call.repository.id, ask.paths, me, ask.lock_type, self.now, excepted
        )
        found = {row["asked"]: row for row in rows}
        results = {}
        for path in ask.paths:
            row = found.get(path)
            if row is None:
                continue
            lock = messages.lock(row, me)
            if row["already_held"]:
                results[path] = pb.AcquireResult(path=path, lock=lock, already_held=True)
            else:
                results[path] = pb.AcquireResult(path=path, conflict=lock)
        return results

    async def _grant(self, free: list[str]) -> dict[str, pb.AcquireResult]:
        """The outcome for each of the paths that are free, which are the caller's then."""
        ask, now, caller = self.ask, self.now, self.call.caller
        rows = await self.connection.fetch(
            Q.grant_locks,
            *(self.call.repository.id, free, now, now + ask.ttl, ask.lock_type),
            *(caller.user_id, caller.user_id, ask.reason or None, ask.base_commit),
            *(ask.release_on_push, rules.WARNING),
        )
        return _granted(self.call, ask, now, rows)


def _granted(
    call: Call, ask: Ask, now: datetime, rows: Sequence[Row]
) -> dict[str, pb.AcquireResult]:
    """New locks by their paths."""
    common = pb.Lock(
        type=rules.TYPE_VALUES[ask.lock_type],
        holder_id=str(call.caller.user_id),
        holder=call.caller.username,
        ours=True,
        reason=ask.reason,
        lock_time=messages.moment(now),
        expire_time=messages.moment(now + ask.ttl),
        release_on_push=ask.release_on_push,
        base_commit=ask.base_commit or "",
    )
    results = {}
    for row in rows:
        path = row["path"]
        result = pb.AcquireResult(path=path, lock=common)
        lock = result.lock
        lock.id, lock.path, lock.fence = str(row["lock_id"]), path, row["fence"]
        results[path] = result
    return results
