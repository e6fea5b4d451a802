"""Random concurrent histories of locks, recorded through real calls, and what must be true of them."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg
import grpc
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.common.v1.lock_type_pb2 import LockType
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tests.linearizability.checker import Operation, check, partition
from tests.linearizability.lock_model import (
    ADVISORY,
    EXCLUSIVE,
    SHARED,
    Acquire,
    Acquired,
    Asked,
    Blocked,
    Change,
    Done,
    Ended,
    Force,
    Held,
    Judged,
    LockModel,
    Look,
    Release,
    Renew,
    Result,
    Seen,
    Show,
    Transfer,
    compatible,
    overlap,
)
from tests.support.api import Account, read_error
from tests.support.locks import Studio

TREES = ("t0/", "t1/")
NAMES = ("", "a", "b", "d/", "d/x")
SECOND = 1_000_000
MODES = {
    name: LockType.Value(f"LOCK_TYPE_{name.upper()}") for name in (EXCLUSIVE, SHARED, ADVISORY)
}
NAMES_OF_MODES = {value: name for name, value in MODES.items()}

if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceAsyncStub as LockStub

Answered = tuple[Asked, object]


def micros(time: Timestamp) -> int:
    return time.seconds * SECOND + time.nanos // 1000


def held(lock: pb.Lock) -> Held:
    """A lock as the model knows it."""
    return Held(
        lock.id,
        lock.path,
        NAMES_OF_MODES[lock.type],
        lock.holder,
        lock.fence,
        micros(lock.lock_time),
        micros(lock.expire_time),
    )


@dataclass(slots=True)
class Player:
    """Makes random calls on one tree at a time, by some account, through some replica."""

    studio: Studio
    replicas: Sequence[LockStub]
    database: asyncpg.Connection[asyncpg.Record]
    random: random.Random
    name: str
    history: list[Operation]
    known: dict[str, list[Held]]
    tree: str = ""
    who: Account = field(init=False)

    async def play(self, count: int) -> None:
        """Makes some calls, one after the other."""
        moves: dict[Callable[[], Awaitable[Answered | None]], int] = {
            self.acquire: 8,
            self.renew: 4,
            self.release: 3,
            self.look: 3,
            self.change: 2,
            self.show: 2,
            self.force: 1,
            self.transfer: 1,
            self.wait: 2,
        }
        loop = asyncio.get_running_loop()
        for _ in range(count):
            self.who = self.random.choice((self.studio.ada, self.studio.bob, self.studio.cyn))
            self.tree = self.random.choice(TREES)
            [move] = self.random.choices(list(moves), list(moves.values()))
            begin = loop.time()
            answered = await move()
            if answered is not None:
                self.history.append(
                    Operation(f"{self.name} {self.tree}", begin, loop.time(), *answered)
                )

    @property
    def stub(self) -> LockStub:
        return self.random.choice(self.replicas)

    def pick(self, *, own: bool) -> Held | None:
        """A lock that was granted at some time, maybe long ago."""
        locks = self.known.setdefault(self.tree, [])
        if own:
            locks = [lock for lock in locks if lock.owner == self.who.username]
        # Mostly a recent one.
        return (
            self.random.choice(locks[-6:] if self.random.random() < 0.8 else locks)
            if locks
            else None
        )

    async def acquire(self) -> Answered:
        chosen = self.random.sample(NAMES, self.random.choice((1, 1, 1, 2, 3)))
        paths = tuple(self.tree + name for name in chosen)
        mode = self.random.choice((EXCLUSIVE, EXCLUSIVE, SHARED, SHARED, ADVISORY))
        asked = Acquire(
            self.who.username,
            paths,
            mode,
            self.random.choice((10, 12, 20)) * SECOND,
            self.random.random() < 0.5,
            self.stealable(paths, mode),
        )
        request = pb.AcquireLocksRequest(
            repository=self.studio.repo.id,
            paths=paths,
            type=MODES[mode],
            ttl=Duration(seconds=asked.ttl // SECOND),
            batch_mode=pb.BATCH_MODE_ATOMIC if asked.is_atomic else pb.BATCH_MODE_PER_PATH,
            steal_lock_ids=asked.steal,
            reason="a history",
        )
        try:
            response = await self.stub.AcquireLocks(request, metadata=self.who.auth)
        except grpc.aio.AioRpcError as error:
            return asked, blocked(error)
        results = tuple(
            Result(r.path, held(r.lock), already_held=r.already_held)
            if r.HasField("lock")
            else Result(r.path, conflict=r.conflict.id)
            for r in response.results
        )
        new = [r.lock for r in results if r.lock is not None and not r.already_held]
        self.known.setdefault(self.tree, []).extend(new)
        return asked, Acquired(micros(response.server_time), results)

    def stealable(self, paths: Sequence[str], mode: str) -> tuple[str, ...]:
        """Sometimes a lock that may be in the way, and that this account may steal."""
        target = self.pick(own=self.who is not self.studio.ada)
        if target is None or self.random.random() < 0.6 or compatible(target.mode, mode):
            return ()
        if target.owner == self.who.username:
            is_in_way = target.path in paths and target.mode != mode
        else:
            is_in_way = any(overlap(target.path, path) for path in paths)
        return (target.id,) if is_in_way else ()

    async def renew(self) -> Answered | None:
        lock = self.pick(own=True)
        if lock is None:
            return None
        fence = lock.fence + self.random.choice((0, 0, 0, 1))
        seconds = self.random.choice((10, 15))
        asked = Renew(self.who.username, lock.id, fence, seconds * SECOND)
        request = pb.RenewLocksRequest(
            repository=self.studio.repo.id,
            locks=[LockFence(lock_id=lock.id, fence=fence)],
            ttl=Duration(seconds=seconds),
            batch_mode=pb.BATCH_MODE_PER_PATH,
        )
        response = await self.stub.RenewLocks(request, metadata=self.who.auth)
        now = micros(response.server_time)
        if response.results[0].outcome == pb.RENEW_OUTCOME_RENEWED:
            return asked, Done(now, held(response.results[0].lock))
        assert response.results[0].outcome == pb.RENEW_OUTCOME_STALE
        return asked, Ended(now)

    async def release(self) -> Answered | None:
        lock = self.pick(own=True)
        if lock is None:
            return None
        request = pb.ReleaseLocksRequest(repository=self.studio.repo.id, lock_ids=[lock.id])
        response = await self.stub.ReleaseLocks(request, metadata=self.who.auth)
        now, outcome = micros(response.server_time), response.results[0].outcome
        assert outcome != pb.RELEASE_OUTCOME_NOT_FOUND
        is_done = outcome == pb.RELEASE_OUTCOME_RELEASED
        return Release(self.who.username, lock.id), Done(now) if is_done else Ended(now)

    async def force(self) -> Answered | None:
        lock = self.pick(own=False)
        if lock is None:
            return None
        request = pb.ForceReleaseLockRequest(
            repository=self.studio.repo.id, lock_id=lock.id, reason="a history"
        )
        response = await self.stub.ForceReleaseLock(request, metadata=self.studio.ada.auth)
        now = micros(response.server_time)
        return Force(lock.id), Ended(now) if response.already_ended else Done(now)

    async def transfer(self) -> Answered | None:
        lock = self.pick(own=self.who is not self.studio.ada)
        if lock is None:
            return None
        people = (self.studio.ada, self.studio.bob, self.studio.cyn)
        heir = self.random.choice([user for user in people if user.username != lock.owner])
        asked = Transfer(self.who.username, lock.id, lock.fence, heir.username)
        request = pb.TransferLockRequest(
            repository=self.studio.repo.id,
            lock=LockFence(lock_id=lock.id, fence=lock.fence),
            new_holder=heir.username,
        )
        try:
            response = await self.stub.TransferLock(request, metadata=self.who.auth)
        except grpc.aio.AioRpcError as error:
            stale = read_error(error).reason == "LOCK_STALE"
            return asked, Ended() if stale else blocked(error)
        new = held(response.lock)
        self.known[self.tree].append(new)
        return asked, Done(micros(response.server_time), new)

    async def look(self) -> Answered:
        request = pb.ListLocksRequest(
            repository=self.studio.repo.id, path_prefix=self.tree, page_size=1000
        )
        response = await self.stub.ListLocks(request, metadata=self.who.auth)
        return Look(), Seen(micros(response.server_time), frozenset(map(held, response.locks)))

    async def change(self) -> Answered:
        """Asks what a push asks about a file."""
        path = self.tree + self.random.choice(("a", "b", "d/x"))
        query = """SELECT coalesce(array_agg(lock_id::text), '{}')
                   FROM lock_conflicts($1::uuid, $2, ARRAY[$3::text])"""
        first, blockers, last = await self.judged(query, path)
        return Change(self.who.username, path), Judged(first, last, frozenset(blockers))

    async def show(self) -> Answered | None:
        """Shows a fence, maybe a stale one, as a push does."""
        lock = self.pick(own=True)
        if lock is None:
            return None
        query = "SELECT locks_stale($1::uuid, $2, ARRAY[$3::uuid], ARRAY[$4::bigint])"
        first, stale, last = await self.judged(query, lock.id, lock.fence)
        return Show(self.who.username, lock.id, lock.fence), Judged(first, last, not stale)

    async def judged(self, query: str, *arguments: object) -> tuple[int, Sequence[str], int]:
        """The answer to a question of a push, and the time before and after it."""
        repo_id = self.studio.repo.id
        async with self.database.transaction():
            first = await self.database.fetchval("SELECT share_lock_mutex($1::uuid)", repo_id)
            answer = await self.database.fetchval(query, repo_id, self.who.id, *arguments)
            last = await self.database.fetchval("SELECT share_lock_mutex($1::uuid)", repo_id)
        begin, end = (round(time.timestamp() * SECOND) for time in (first, last))
        return begin, answer, end

    async def wait(self) -> None:
        """Time passes for the repository: enough for some locks, or for none."""
        await self.studio.pass_time(self.random.choice((0.5, 3, 9.999999, 11)))


def blocked(error: grpc.aio.AioRpcError) -> Blocked:
    refusal = read_error(error)
    if refusal.reason != "LOCK_HELD":
        raise error
    return Blocked(refusal.metadata["lock_id"])


async def record(
    studio: Studio, replicas: Sequence[LockStub], seed: int, *, players: int, calls: int
) -> list[Operation]:
    """Several players at once."""
    history: list[Operation] = []
    known: dict[str, list[Held]] = {}
    connections = [await asyncpg.connect(studio.api.dsn) for _ in range(players)]
    try:
        await asyncio.gather(
            *(
                Player(
                    *(studio, replicas, connection, random.Random(f"{seed}/{i}"), f"p{i}"),
                    *(history, known),
                ).play(calls)
                for i, connection in enumerate(connections)
            )
        )
    finally:
        for connection in connections:
            await connection.close()
    return history


def faults_of(history: Sequence[Operation]) -> list[str]:
    """What no sequence of calls explains, a text per tree."""
    parts = partition(history, lambda op: op.client.partition(" ")[2])
    verdicts = {tree: check(LockModel(), part) for tree, part in sorted(parts.items())}
    return [f"{tree}\n{found}" for tree, found in verdicts.items() if not found.is_linearizable]


async def faults_written(studio: Studio) -> list[str]:
    """What the history in the database must never say: overlaps, fences that do not rise, two ends."""
    rows = await studio.api.fetch(
        """SELECT a.lock_id, a.path, a.lock_type, a.owner_id, a.fence, a.action_at AS since,
                  coalesce(e.action_at, l.expires_at, 'infinity') AS until,
                  (SELECT count(*) FROM lock_history h WHERE h.lock_id = a.lock_id) AS entries,
                  l.id IS NULL AS is_gone
           FROM lock_history a
           LEFT JOIN lock_history e ON e.lock_id = a.lock_id AND e.action <> 'acquired'
           LEFT JOIN locks l ON l.id = a.lock_id
           WHERE a.repo_id = $1::uuid AND a.action = 'acquired' ORDER BY a.fence""",
        studio.repo.id,
    )
    found = [f"{row}: begun and ended?" for row in rows if row["entries"] != 1 + row["is_gone"]]
    for one, other in itertools.pairwise(rows):
        if not (one["fence"] < other["fence"] and one["since"] <= other["since"]):
            found.append(f"{one} and {other}: fences against the order of time")
    for one, other in itertools.combinations(rows, 2):
        if (
            overlap(one["path"], other["path"])
            and not compatible(one["lock_type"], other["lock_type"])
            and (one["owner_id"] != other["owner_id"] or one["path"] == other["path"])
            and one["since"] < other["until"]
            and other["since"] < one["until"]
        ):
            found.append(f"{one} and {other}: at the same time")
    return found
