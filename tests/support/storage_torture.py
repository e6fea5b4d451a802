"""People who push, delete and crash beside a collector without patience: what the torture test runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import grpc
from dits.chunk.v1.tier_service_pb2 import STORAGE_CLASS_STANDARD, SetStorageClassRequest
from dits.common.v1.job_pb2 import (
    ApplyLifecyclePayload,
    CheckInventoryPayload,
    CheckPlacementPayload,
    CollectGarbagePayload,
    CompactPacksPayload,
    ReplicateChunksPayload,
    ScrubChunksPayload,
)
from google.protobuf.message import Message

from dits_client.errors import ClientError
from services.chunk.background.object_reaper import ObjectReaper
from services.chunk.background.open_pack_sweep import OpenPackSweep
from services.chunk.stores.tiers import open_places
from services.repo.repositories.purging import purge_repository
from shared.db.pool import Database, Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunk_replica import Replica
from tests.support.chunks import Shelf, chunk
from tests.support.client import Person, read_files, write
from tests.support.collection import end_claims, exhaust, reference, release
from tests.support.jobs import put, wait_for
from tests.support.regions import wait_while
from tests.support.torture_moves import COOLING, NOT_DONE
from tests.support.waiting import PATIENCE_SECONDS

PAYLOADS = (
    ApplyLifecyclePayload(),
    CollectGarbagePayload(),
    CompactPacksPayload(),
    ReplicateChunksPayload(),
    CheckPlacementPayload(),
    ScrubChunksPayload(everything=True),
    CheckInventoryPayload(),
)
# What passes by itself: a replica is away, a claim has ended, a repository is gone.
PASSING = (grpc.aio.AioRpcError, ClientError, AssertionError, TimeoutError)


@dataclass(slots=True)
class Torture:
    """Everybody, and what they were promised.

    Attributes:
        pushed: the files of each acknowledged commit, by repository.
        done: how often each kind of work succeeded.
        people: who pushes, by name.
        others: what else goes on, by name.
    """

    api: Api
    settings: Settings
    database: Database
    home: Path
    seed: int
    replica: Replica
    pushed: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    others: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    is_over: bool = False

    async def run(self, seconds: float) -> None:
        """Lets everybody work for a while, until chunks have moved in all ways; waits for their ends."""
        pool = [random.Random(1000 * self.seed + n).randbytes(3000) for n in range(30)]
        repeated = [
            self._repeat("push", self._pusher("ada", pool, self.api.addresses["chunk"])),
            self._repeat("push", self._pusher("bob", pool, self.replica.address)),
            self._repeat("claim", self._claimant(pool)),
            self._repeat("claim", self._claimant(pool)),
            self._repeat("delete", self._deleter(pool)),
            *(self._repeat("clean", partial(self._do_job, each)) for each in PAYLOADS),
            self._repeat("reap", self._reap),
            *(self._repeat(name, work) for name, work in self.others.items()),
            self._repeat("kill", self._kill),
        ]
        tasks = [asyncio.create_task(work) for work in repeated]
        await asyncio.sleep(seconds)
        await wait_while(self.api, NOT_DONE)
        self.is_over = True
        await asyncio.gather(*tasks)

    async def _repeat(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while not self.is_over:
            with suppress(*PASSING):
                await work()
                self.done[name] = self.done.get(name, 0) + 1
            await asyncio.sleep(0.01)

    def _pusher(
        self, name: str, pool: Sequence[bytes], address: str
    ) -> Callable[[], Awaitable[None]]:
        rng = random.Random(f"{name} {self.seed}")
        names: list[str] = []
        files: dict[str, bytes] = {}

        async def push() -> None:
            if not names:
                account = await self.api.account(name)
                repository = await self.api.repository(account, "film")
                query = "UPDATE repository_settings SET regions = '{far,local}' WHERE repo_id = $1::uuid"
                await self.api.fetch(query, repository.id)
                self.people[name] = Person(self.api, account, self.home / name, chunk=address)
                names.append(f"{account.username}/{repository.name}")
            [repository_name], person = names, self.people[name]
            for _ in range(3):
                path = f"{rng.choice('abc')}/{rng.randrange(8)}"
                files[path] = b"".join(rng.sample(pool, 3)) + rng.randbytes(50)
            write(person.home / "work", files)
            report = await person.push("work", repository_name)
            self.pushed[repository_name, report.commit] = dict(files)

        return push

    def _claimant(self, pool: Sequence[bytes]) -> Callable[[], Awaitable[None]]:
        rng = random.Random(len(self.done) + self.seed)
        shelves: list[Shelf] = []

        async def claim() -> None:
            if not shelves:
                shelves.append(await Shelf.open(self.api))
            [shelf] = shelves
            mine = rng.sample(pool, 6)
            await shelf.upload([chunk(each) for each in mine])
            if rng.random() < 0.7 and not await reference(shelf, *mine):
                await shelf.get(*mine)
                await release(shelf, *mine)

        return claim

    def _deleter(self, pool: Sequence[bytes]) -> Callable[[], Awaitable[None]]:
        rng = random.Random(self.seed)

        async def delete() -> None:
            shelf = await Shelf.open(self.api)
            mine = rng.sample(pool, 8)
            uploading = asyncio.create_task(shelf.upload([chunk(each) for each in mine]))
            await reference(shelf, *mine)
            await self.delete_repository(UUID(shelf.repo.id))
            await asyncio.gather(uploading, return_exceptions=True)

        return delete

    async def delete_repository(self, repository_id: UUID) -> None:
        """Deletes a repository whose time to come back is over, and purges it."""
        await self.database.statement(
            "UPDATE repositories SET deleted_at = now() - interval '31 days' WHERE id = $1",
            repository_id,
        )
        grace = timedelta(seconds=self.settings.chunk_grace_seconds)
        await exhaust(purge_repository(self.database, repository_id, grace))

    async def _clean(self) -> None:
        for payload in PAYLOADS:
            await self._do_job(payload)

    async def _do_job(self, payload: Message) -> None:
        # The replica may have been killed with the job.
        async with asyncio.timeout(5):
            await wait_for(self.database, await put(self.database, payload), "completed")

    async def warm_everything(self) -> None:
        """Makes all that was pushed hot again: some of its chunks are in the archive."""
        await wait_while(self.api, COOLING)
        for name in {name for name, _ in self.pushed}:
            rows = await self.database.fetch(
                """SELECT chunk_hash FROM chunk_refs JOIN repositories ON id = repo_id
                   JOIN users u ON u.id = owner_id
                   WHERE u.username = $1 AND storage_class = 'glacier'""",
                name.partition("/")[0],
            )
            hashes = b"".join(bytes.fromhex(row["chunk_hash"]) for row in rows)
            request = SetStorageClassRequest(
                repository=name, hashes=hashes, storage_class=STORAGE_CLASS_STANDARD
            )
            if rows:
                auth = self.people[name.partition("/")[0]].account.auth
                answer = await self.api.tiers.SetStorageClass(request, metadata=auth)
                await wait_for(self.database, UUID(answer.restore.job_id), "completed")

    async def end_lost_work(self) -> None:
        """As if minutes had passed: what the killed replica was at belongs to nobody any more."""
        await self.database.statement(
            "UPDATE jobs SET locked_until = now() - interval '1 ms' WHERE status = 'running'"
        )
        await self.database.statement("UPDATE maintenance_runs SET renewed_at = '-infinity'")

    async def _reap(self) -> None:
        databases = Databases(self.database)
        places = await open_places(self.database, self.settings)
        await ObjectReaper(databases, places, 0).reap_objects()
        await OpenPackSweep(databases, timedelta(seconds=3)).sweep_packs()
        await asyncio.sleep(0.2)

    async def _kill(self) -> None:
        await self.replica.ready()
        await asyncio.sleep(random.Random(self.seed).uniform(0.5, 2))
        if self.done.get("kill", 0) % 4 == 3:
            await self.replica.pause(self.settings.open_pack_seconds + 1)
        if self.replica.kill():
            self.done["failpoint"] = self.done.get("failpoint", 0) + 1
        # Every other time, it kills itself in the midst of something.
        rng = random.Random(f"{self.seed} {self.done.get('kill', 0)}")
        self.replica.start(rng.choice((0, rng.randrange(20, 200))))

    async def remove_everything(self) -> None:
        """Deletes all repositories, and collects until no pack is left."""
        for row in await self.database.fetch("SELECT id FROM repositories"):
            await self.delete_repository(row["id"])
        await self.end_lost_work()
        await end_claims(self.api)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.api.value(
                "SELECT EXISTS (TABLE packs) OR EXISTS (TABLE object_deletions)"
            ):
                await self._clean()
                await self._reap()

    async def check_pushes(self) -> None:
        """Clones every acknowledged commit, which verifies all hashes, and compares the files."""
        for (repository, commit), files in self.pushed.items():
            account = self.people[repository.partition("/")[0]].account
            with Person(self.api, account, self.home / "clones") as person:
                await person.clone(repository, commit, revision=commit)
                assert read_files(person.home / commit) == files, commit

    def close(self) -> None:
        """Ends the replica and closes all connections."""
        self.replica.kill()
        for person in self.people.values():
            person.client.close()
