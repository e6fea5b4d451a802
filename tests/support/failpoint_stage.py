"""A server that does no jobs, and processes that do them and are killed; and what has to hold then."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from dits.common.v1.job_pb2 import CollectGarbagePayload, ReplicateChunksPayload
from google.protobuf.message import Message
from obstore.store import S3Store

from services.chunk.stores.blob_store import ID_NAME, owner_name
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, digest
from tests.support.counters import assert_counters
from tests.support.jobs import put
from tests.support.regions import objects

_PLACES = """
    SELECT hash, storage_bucket AS bucket, storage_key FROM chunks
    UNION ALL SELECT chunk_hash, bucket, storage_key FROM chunk_locations"""

_UNFINISHED = """
    SELECT key FROM object_deletions UNION ALL SELECT key FROM packs WHERE state = 'open'"""


@dataclass(frozen=True, slots=True)
class Act:
    """Work, and what has to hold.

    Attributes:
        work: its name in tests.support.failpoints.
        shelf: the repository.
        kept: chunks that can be read at any time.
        wanted: that can be read when the work is done.
        cold: that are archived then.
        gone: that the repository does not have then.
        damaged: keys of packs that may be damaged before.
        buckets: where the chunks lie then, sorted; empty = anywhere.
    """

    work: str
    shelf: Shelf
    arguments: dict[str, Any] = field(default_factory=dict)
    kept: Sequence[bytes] = ()
    wanted: Sequence[bytes] = ()
    cold: Sequence[bytes] = ()
    gone: Sequence[bytes] = ()
    damaged: Sequence[str] = ()
    buckets: Sequence[str] = ()


class Stage:
    """A server that does no jobs, and a process that forks others which do them, and are killed."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        databases: Databases,
        root: Path,
        office: subprocess.Popen[str],
        bucket: S3Store | None,
    ) -> None:
        self.api = api
        self.settings = settings
        self.database = databases.every()[0]
        self.root = root
        self._office = office
        self._bucket = bucket
        self.roots = {
            "local": settings.data_dir / "chunks" / "local",
            "far": root / "far",
            "local.glacier": root / "local-ice",
            "far.glacier": root / "far-ice",
        }

    @classmethod
    def open(
        cls,
        api: Api,
        settings: Settings,
        databases: Databases,
        root: Path,
        bucket: S3Store | None = None,
    ) -> Stage:
        """Starts the process. `bucket`: where the packs of the region local lie, unless in a directory."""
        office = subprocess.Popen(
            [sys.executable, "-m", "tests.support.failpoints"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        return cls(api, settings, databases, root, office, bucket)

    async def close(self) -> None:
        """Ends the process."""
        await asyncio.to_thread(self._office.communicate)

    async def is_killed(self, act: Act, step: int, *, every: bool = False) -> bool:
        """Does the work until it is killed before a step; returns False if it has ended before."""
        if act.work == "job":
            await self._put_first(act.arguments["job"])
        order = {
            "work": act.work,
            "arguments": act.arguments,
            "step": step,
            "every": every,
            "dsn": self.api.dsn,
            "root": str(self.root),
            "settings": self.settings.model_dump(mode="json"),
        }
        status = await asyncio.to_thread(self._order, json.dumps(order))
        assert status in (0, 9), status
        if status:
            # As if minutes had passed: its job belongs to nobody any more.
            await self.api.fetch(
                """UPDATE jobs SET locked_until = now() - interval '1 ms', max_attempts = 100
                   WHERE status = 'running'"""
            )
            await self.api.fetch("SELECT end_expired_leases(10)")
        return status != 0

    def _order(self, line: str) -> int:
        assert self._office.stdin is not None
        assert self._office.stdout is not None
        self._office.stdin.write(f"{line}\n")
        self._office.stdin.flush()
        return int(self._office.stdout.readline())

    async def do(self, act: Act) -> None:
        """Does the work to its end."""
        assert not await self.is_killed(act, 0)

    async def plan_job(self, shelf: Shelf, payload: Message, **what: Any) -> Act:
        """Enqueues a job."""
        job_id = await put(self.database, payload)
        return Act("job", shelf, {"job": str(job_id)}, **what)

    async def do_job(self, shelf: Shelf, payload: Message) -> None:
        """Has a job done."""
        act = await self.plan_job(shelf, payload)
        await self.do(act)
        query = "SELECT status FROM jobs WHERE id = $1::uuid"
        assert await self.api.value(query, act.arguments["job"]) == "completed"

    async def _put_first(self, job_id: str) -> None:
        """Makes a job that waits due, and no other one."""
        await self.api.fetch(
            """UPDATE jobs SET scheduled_at = CASE WHEN id = $1::uuid THEN now() ELSE 'infinity' END
               WHERE status = 'pending'""",
            job_id,
        )

    async def check(self, act: Act) -> None:
        """What holds at any time: counters, the bytes of every copy, and what was promised."""
        await assert_counters(self.api.dsn)
        for row in await self.api.fetch(_PLACES):
            key, _, extent = row["storage_key"].partition("@")
            offset, _, length = extent.partition("+")
            if key not in act.damaged:
                stored = self._read(row["bucket"], key)[int(offset) :][: int(length)]
                assert digest(stored).hex() == row["hash"]
        if act.kept:
            await act.shelf.get(*act.kept)

    async def finish(self, act: Act) -> None:
        """What holds when the work is done, and the rest was cleaned up."""
        await self.do(Act("reap", act.shelf))
        await self.check(Act(act.work, act.shelf, kept=[*act.kept, *act.wanted]))
        if act.gone:
            assert await act.shelf.missing(*act.gone) == [True] * len(act.gone)
        if act.buckets:
            hashes = [digest(data).hex() for data in (*act.kept, *act.wanted, *act.cold)]
            query = f"SELECT DISTINCT bucket FROM ({_PLACES}) AS p WHERE hash = ANY ($1) ORDER BY 1"
            rows = await self.api.fetch(query, hashes)
            assert [row["bucket"] for row in rows] == list(act.buckets)
        packs = await self.api.fetch("SELECT bucket, key FROM packs WHERE state = 'sealed'")
        assert self._list_objects() == {(row["bucket"], row["key"]) for row in packs}
        assert not [path for root in self.roots.values() for path in root.glob("unsealed/*")]
        assert await self.api.fetch(_UNFINISHED) == []

    async def remove_everything(self) -> None:
        """Deletes all repositories; nothing is left then."""
        shelf = await Shelf.open(self.api)
        for row in await self.api.fetch("SELECT id FROM repositories"):
            await self.delete(row["id"])
            await self.do(Act("purge", shelf, {"repository": str(row["id"])}))
        for payload in (CollectGarbagePayload(), ReplicateChunksPayload()):
            await self.do_job(shelf, payload)
        await self.do(Act("reap", shelf))
        for table in ("chunks", "chunk_refs", "packs", "object_deletions", "due_copies"):
            assert await self.api.value(f"SELECT count(*) FROM {table}") == 0, table

    async def delete(self, repository_id: UUID) -> None:
        """Deletes a repository whose time to come back is over."""
        await self.api.fetch(
            "UPDATE repositories SET deleted_at = now() - interval '31 days' WHERE id = $1",
            repository_id,
        )

    def _read(self, bucket: str, key: str) -> bytes:
        if self._bucket is not None and bucket == "local":
            return bytes(self._bucket.get(key).bytes())
        return self._path(bucket, key).read_bytes()

    def _list_objects(self) -> set[tuple[str, str]]:
        """The buckets and keys of all sealed objects."""
        found = {
            (bucket, f"{path.parts[-3]}/{path.name}")
            for bucket, root in self.roots.items()
            for path in objects(root)
        }
        if self._bucket is not None:
            names = {meta["path"] for meta in self._bucket.list().collect()}
            found |= {("local", name) for name in names - {ID_NAME, owner_name(0)}}
        return found

    def _path(self, bucket: str, key: str) -> Path:
        cell, _, name = key.partition("/")
        return self.roots[bucket] / cell / name[:2] / name

    def pack_path(self, key: str) -> Path:
        """Where the object of a pack at home lies."""
        return self._path("local", key)
