"""What the tests of locks share: people in a repository, short calls, and a clock to move on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dits.common.v1.lock_fence_pb2 import LockFence
from dits.common.v1.lock_type_pb2 import LockType
from dits.lock.v1 import lock_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import Repository

from services.lock.background.expiry import LockExpiry
from services.lock.locks.mutex import LockMutex
from shared.db.pool import Database, Databases
from shared.outbox.change_signal import ChangeSignal
from tests.support.api import Account, Api
from tests.support.notifications import BEGUN, list_told, until

EXCLUSIVE = LockType.LOCK_TYPE_EXCLUSIVE
SHARED = LockType.LOCK_TYPE_SHARED
ADVISORY = LockType.LOCK_TYPE_ADVISORY
PER_PATH = pb.BATCH_MODE_PER_PATH


@dataclass(frozen=True, slots=True)
class Replica:
    """The parts of a lock service that a test works by itself."""

    databases: Databases
    signal: ChangeSignal
    expiry: LockExpiry


def make_replica(database: Database) -> Replica:
    """Parts of another lock service; nothing runs in the background."""
    databases = Databases(database)
    signal = ChangeSignal(databases)
    return Replica(databases, signal, LockExpiry(databases, LockMutex(databases)))


@asynccontextmanager
async def open_replica(api: Api) -> AsyncIterator[Replica]:
    """Yields parts of another lock service on the same database."""
    database = await Database.connect(api.dsn, service="test", size=2)
    yield make_replica(database)
    await database.close()


@dataclass(frozen=True, slots=True)
class Studio:
    """A repository of `ada` (its administrator), in which `bob` and `cyn` write and `dan` reads."""

    api: Api
    repo: Repository
    ada: Account
    bob: Account
    cyn: Account
    dan: Account

    @classmethod
    async def open(cls, api: Api) -> Studio:
        """A studio with people of its own."""
        await until(api, BEGUN)
        people = [await api.account() for _ in range(4)]
        return await cls._of(api, *people)

    async def next_repository(self) -> Studio:
        """The same people in a new repository."""
        return await self._of(self.api, self.ada, self.bob, self.cyn, self.dan)

    @classmethod
    async def _of(cls, api: Api, *people: Account) -> Studio:
        repo = await api.repository(people[0])
        for user, permission in zip(people[1:], ("write", "write", "read"), strict=True):
            await api.grant(repo, user, permission)
        return cls(api, repo, *people)

    async def acquire(self, user: Account, *paths: str, **fields: Any) -> pb.AcquireLocksResponse:
        """AcquireLocks."""
        request = pb.AcquireLocksRequest(repository=self.repo.id, paths=paths, **fields)
        response: pb.AcquireLocksResponse = await self.api.locks.AcquireLocks(
            request, metadata=user.auth
        )
        return response

    async def take(self, user: Account, path: str, **fields: Any) -> pb.Lock:
        """A new lock on one path."""
        response = await self.acquire(user, path, **fields)
        assert not response.results[0].already_held
        return response.results[0].lock

    async def renew(self, user: Account, *locks: pb.Lock, **fields: Any) -> pb.RenewLocksResponse:
        """RenewLocks."""
        held = [LockFence(lock_id=lock.id, fence=lock.fence) for lock in locks]
        request = pb.RenewLocksRequest(repository=self.repo.id, locks=held, **fields)
        response: pb.RenewLocksResponse = await self.api.locks.RenewLocks(
            request, metadata=user.auth
        )
        return response

    async def release(self, user: Account, *locks: pb.Lock) -> list[str]:
        """ReleaseLocks; the outcomes without their prefix."""
        request = pb.ReleaseLocksRequest(
            repository=self.repo.id, lock_ids=[lock.id for lock in locks]
        )
        response = await self.api.locks.ReleaseLocks(request, metadata=user.auth)
        return [
            pb.ReleaseOutcome.Name(result.outcome).removeprefix("RELEASE_OUTCOME_")
            for result in response.results
        ]

    async def force(self, user: Account, lock: pb.Lock, reason: str) -> pb.ForceReleaseLockResponse:
        """ForceReleaseLock."""
        request = pb.ForceReleaseLockRequest(
            repository=self.repo.id, lock_id=lock.id, reason=reason
        )
        response: pb.ForceReleaseLockResponse = await self.api.locks.ForceReleaseLock(
            request, metadata=user.auth
        )
        return response

    async def transfer(
        self, user: Account, lock: pb.Lock, to: Account, **fields: Any
    ) -> pb.TransferLockResponse:
        """TransferLock."""
        request = pb.TransferLockRequest(
            repository=self.repo.id,
            lock=LockFence(lock_id=lock.id, fence=lock.fence),
            new_holder=to.username,
            **fields,
        )
        response: pb.TransferLockResponse = await self.api.locks.TransferLock(
            request, metadata=user.auth
        )
        return response

    async def list(self, user: Account, **fields: Any) -> pb.ListLocksResponse:
        """ListLocks."""
        request = pb.ListLocksRequest(repository=self.repo.id, **fields)
        response: pb.ListLocksResponse = await self.api.locks.ListLocks(request, metadata=user.auth)
        return response

    async def paths(self, **fields: Any) -> Sequence[str]:
        """The paths that are locked."""
        return [lock.path for lock in (await self.list(self.ada, **fields)).locks]

    async def history(self, user: Account, **fields: Any) -> pb.ListHistoryResponse:
        """ListHistory."""
        request = pb.ListHistoryRequest(repository=self.repo.id, **fields)
        response: pb.ListHistoryResponse = await self.api.locks.ListHistory(
            request, metadata=user.auth
        )
        return response

    async def story(self, lock: pb.Lock) -> Sequence[str]:
        """What the history says happened to a lock, oldest first."""
        entries = (await self.history(self.ada, lock_id=lock.id)).entries
        names = [pb.HistoryAction.Name(entry.action) for entry in entries]
        return [name.removeprefix("HISTORY_ACTION_").lower() for name in reversed(names)]

    async def events(self) -> Sequence[tuple[str, Sequence[str]]]:
        """The events about locks, with the paths they speak of."""
        rows = await self.api.fetch(
            """SELECT type, ARRAY(SELECT l ->> 'path' FROM jsonb_array_elements(payload -> 'locks') l)
               FROM events WHERE repo_id = $1::uuid AND type LIKE 'lock.%' ORDER BY id""",
            self.repo.id,
        )
        return [(row[0], row[1]) for row in rows]

    async def notifications(self, user: Account) -> Sequence[tuple[str, str]]:
        """Type and title of a user's notifications."""
        return await list_told(self.api, user)

    async def audited(self, action: str) -> int:
        """How many audit records of an action there are."""
        count: int = await self.api.value(
            "SELECT count(*) FROM audit_log WHERE action = $1 AND repo_id = $2::uuid",
            action,
            self.repo.id,
        )
        return count

    async def pass_time(self, seconds: float) -> datetime:
        """Lets the clock of the repository's locks run ahead, and returns its time."""
        time: datetime = await self.api.value(
            """INSERT INTO lock_clocks AS c (repo_id, high_water)
               VALUES ($1::uuid, clock_timestamp() + make_interval(secs => $2))
               ON CONFLICT (repo_id) DO UPDATE SET
                   high_water = greatest(c.high_water, clock_timestamp()) + make_interval(secs => $2)
               RETURNING high_water""",
            self.repo.id,
            seconds,
        )
        return time

    async def grow_old(self, seconds: float) -> None:
        """Makes all locks older than they are, as if time had passed for the whole database."""
        for statement in (
            """UPDATE locks SET locked_at = locked_at - make_interval(secs => $2),
                                expires_at = expires_at - make_interval(secs => $2)
               WHERE repo_id = $1::uuid""",
            """UPDATE lock_history SET action_at = action_at - make_interval(secs => $2),
                                       expires_at = expires_at - make_interval(secs => $2)
               WHERE repo_id = $1::uuid""",
        ):
            await self.api.fetch(statement, self.repo.id, seconds)
