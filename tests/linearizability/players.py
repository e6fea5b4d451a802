"""Players: they make random calls about locks, and write down what they were answered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from tests.linearizability.answers import LOCK_TYPES, SECOND, read_blocked, to_held, to_micros
from tests.linearizability.checker import Operation
from tests.linearizability.lock_model import compatible, overlap
from tests.linearizability.operations import (
    ADVISORY,
    EXCLUSIVE,
    SHARED,
    Acquire,
    Acquired,
    Asked,
    Change,
    Done,
    Ended,
    Force,
    Held,
    Look,
    Release,
    Renew,
    Result,
    Seen,
    Show,
    Transfer,
)
from tests.linearizability.push_questions import PushQuestions
from tests.support.api import Account, read_error
from tests.support.locks import Studio

TREES = ("t0/", "t1/")
NAMES = ("", "a", "b", "d/", "d/x")
if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceAsyncStub as LockStub

Answered = tuple[Asked, object]


@dataclass(slots=True)
class Player:
    """Makes random calls on one tree at a time, by some account, through some replica."""

    studio: Studio
    replicas: Sequence[LockStub]
    questions: PushQuestions
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
        for _ in range(count):
            self.who = self.random.choice((self.studio.ada, self.studio.bob, self.studio.cyn))
            self.tree = self.random.choice(TREES)
            [move] = self.random.choices(list(moves), list(moves.values()))
            await self.note(move())

    async def note(self, move: Awaitable[Answered | None]) -> None:
        """Makes a call, and writes down what was asked and answered."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        answered = await move
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
        if not locks:
            return None
        return self.random.choice(locks[-6:] if self.random.random() < 0.8 else locks)

    async def acquire(self) -> Answered:
        chosen = self.random.sample(NAMES, self.random.choice((1, 1, 1, 2, 3)))
        paths = tuple(self.tree + name for name in chosen)
        lock_type = self.random.choice((EXCLUSIVE, EXCLUSIVE, SHARED, SHARED, ADVISORY))
        asked = Acquire(
            self.who.username,
            paths,
            lock_type,
            self.random.choice((10, 12, 20)) * SECOND,
            self.random.random() < 0.5,
            self.stealable(paths, lock_type),
        )
        return await self.ask_acquire(asked)

    async def ask_acquire(self, asked: Acquire) -> Answered:
        request = pb.AcquireLocksRequest(
            repository=self.studio.repo.id,
            paths=asked.paths,
            type=LOCK_TYPES[asked.lock_type],
            ttl=Duration(seconds=asked.ttl // SECOND),
            batch_mode=pb.BATCH_MODE_ATOMIC if asked.is_atomic else pb.BATCH_MODE_PER_PATH,
            steal_lock_ids=asked.steal,
            reason="a history",
        )
        try:
            response = await self.stub.AcquireLocks(request, metadata=self.who.auth)
        except grpc.aio.AioRpcError as error:
            return asked, read_blocked(error)
        results = tuple(
            Result(r.path, to_held(r.lock), already_held=r.already_held)
            if r.HasField("lock")
            else Result(r.path, conflict=r.conflict.id)
            for r in response.results
        )
        new = [r.lock for r in results if r.lock is not None and not r.already_held]
        self.known.setdefault(self.tree, []).extend(new)
        return asked, Acquired(to_micros(response.server_time), results)

    def stealable(self, paths: Sequence[str], lock_type: str) -> tuple[str, ...]:
        """Sometimes a lock that may be in the way, and that this account may steal."""
        target = self.pick(own=self.who is not self.studio.ada)
        if target is None or self.random.random() < 0.6 or compatible(target.lock_type, lock_type):
            return ()
        if target.owner == self.who.username:
            is_in_way = target.path in paths and target.lock_type != lock_type
        else:
            is_in_way = any(overlap(target.path, path) for path in paths)
        return (target.id,) if is_in_way else ()

    async def renew(self) -> Answered | None:
        lock = self.pick(own=True)
        if lock is None:
            return None
        fence = lock.fence + self.random.choice((0, 0, 0, 1))
        seconds = self.random.choice((10, 15))
        return await self.ask_renew(Renew(self.who.username, lock.id, fence, seconds * SECOND))

    async def ask_renew(self, asked: Renew) -> Answered:
        request = pb.RenewLocksRequest(
            repository=self.studio.repo.id,
            locks=[LockFence(lock_id=asked.lock_id, fence=asked.fence)],
            ttl=Duration(seconds=asked.ttl // SECOND),
            batch_mode=pb.BATCH_MODE_PER_PATH,
        )
        response = await self.stub.RenewLocks(request, metadata=self.who.auth)
        now = to_micros(response.server_time)
        if response.results[0].outcome == pb.RENEW_OUTCOME_RENEWED:
            return asked, Done(now, to_held(response.results[0].lock))
        assert response.results[0].outcome == pb.RENEW_OUTCOME_STALE
        return asked, Ended(now)

    async def release(self) -> Answered | None:
        lock = self.pick(own=True)
        if lock is None:
            return None
        request = pb.ReleaseLocksRequest(repository=self.studio.repo.id, lock_ids=[lock.id])
        response = await self.stub.ReleaseLocks(request, metadata=self.who.auth)
        now, outcome = to_micros(response.server_time), response.results[0].outcome
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
        now = to_micros(response.server_time)
        return Force(lock.id), Ended(now) if response.already_ended else Done(now)

    async def transfer(self) -> Answered | None:
        lock = self.pick(own=self.who is not self.studio.ada)
        if lock is None:
            return None
        people = (self.studio.ada, self.studio.bob, self.studio.cyn)
        new_holder = self.random.choice([user for user in people if user.username != lock.owner])
        asked = Transfer(self.who.username, lock.id, lock.fence, new_holder.username)
        request = pb.TransferLockRequest(
            repository=self.studio.repo.id,
            lock=LockFence(lock_id=lock.id, fence=lock.fence),
            new_holder=new_holder.username,
        )
        try:
            response = await self.stub.TransferLock(request, metadata=self.who.auth)
        except grpc.aio.AioRpcError as error:
            stale = read_error(error).reason == "LOCK_STALE"
            return asked, Ended() if stale else read_blocked(error)
        new = to_held(response.lock)
        self.known[self.tree].append(new)
        return asked, Done(to_micros(response.server_time), new)

    async def look(self) -> Answered:
        request = pb.ListLocksRequest(
            repository=self.studio.repo.id, path_prefix=self.tree, page_size=1000
        )
        response = await self.stub.ListLocks(request, metadata=self.who.auth)
        return Look(), Seen(
            to_micros(response.server_time), frozenset(map(to_held, response.locks))
        )

    async def change(self) -> Answered:
        """Asks which locks forbid to change a file."""
        return await self.ask_change(self.tree + self.random.choice(("a", "b", "d/x")))

    async def ask_change(self, path: str) -> Answered:
        answer = await self.questions.find_blockers(self.who.id, path)
        return Change(self.who.username, path), answer

    async def show(self) -> Answered | None:
        """Shows a fence, maybe a stale one."""
        lock = self.pick(own=True)
        return None if lock is None else await self.ask_show(lock)

    async def ask_show(self, lock: Held) -> Answered:
        answer = await self.questions.check_fence(self.who.id, lock)
        return Show(self.who.username, lock.id, lock.fence), answer

    async def wait(self) -> None:
        """Time passes for the repository: enough for some locks, or for none."""
        await self.studio.pass_time(self.random.choice((0.5, 3, 9.999999, 11)))
