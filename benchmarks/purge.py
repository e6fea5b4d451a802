"""What pushes wait while a deleted repository of many chunks is purged.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.purge [--chunks N] [--seconds N]

A server holds a repository of N chunks (1,000,000), N / 10 file contents, N / 50 directories and N / 50
commits, whose rows are written straight into its database. A user uploads one chunk and pushes one
commit into another repository, again and again: alone for some seconds, then while the server's job
purges the first one, then alone again. Printed are the waits of uploads and pushes together, and those
of the purge against those before.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
from blake3 import blake3
from dits.common.v1.job_pb2 import PurgeRepositoriesPayload
from dits.repo.v1.manifest_pb2 import Entry, File
from dits.repo.v1.repository_service_pb2 import DeleteRepositoryRequest
from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import User, commit_of, push_requests, tree_of, upload_chunks
from benchmarks.server import running
from shared.db.pool import Connection, Database
from shared.jobs.queue import enqueue

# Chunks of one pack.
PACK = 10_000
FILL = (
    """INSERT INTO packs (key, bucket, region, state, live, bytes)
       SELECT 'bench/' || n, 'b', 'r', 'sealed', $2, 1 FROM generate_series(0, ($1 - 1) / $2) n""",
    """INSERT INTO chunks (hash, size, storage_bucket, storage_key, ref_count)
       SELECT md5('c' || n) || md5('d' || n), 65536, 'b', 'bench/' || n / $2 || '@0+65536', 1
       FROM generate_series(0, $1 - 1) n""",
    """INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size, ref_count, claimed_at)
       SELECT $3, md5('c' || n) || md5('d' || n), 65536, 1, NULL FROM generate_series(0, $1 - 1) n
       WHERE $2 > 0""",
    """INSERT INTO assets (repo_id, hash, size, chunk_count, ref_count, recipe_hash)
       SELECT $3, md5('a' || n) || md5('b' || n), 655360, 10, 1, '' FROM generate_series(1, $1 / 10) n
       WHERE $2 > 0""",
    """INSERT INTO manifests (repo_id, hash, commit_hash, entry_count, total_size, chunk_count, content)
       SELECT $3, md5('m' || n) || md5('n' || n), '', 10, 1, 10,
              decode(repeat(md5(n::text), 64), 'hex')
       FROM generate_series(1, $1 / 50) n WHERE $2 > 0""",
    """INSERT INTO commits (repo_id, hash, parent_hashes, tree_hash, author_name, author_email,
           author_timestamp, committer_name, committer_email, committer_timestamp, message, generation,
           changed_paths)
       SELECT $3, md5('k' || n) || md5('l' || n), '{}', md5('m' || n) || md5('n' || n),
              'Ada', 'ada@example.com', now(), 'Ada', 'ada@example.com', now(), 'm', n, ''
       FROM generate_series(1, $1 / 50) n WHERE $2 > 0""",
)
BEGUN = "SELECT purge_started_at IS NOT NULL FROM repositories WHERE id = $1"
GONE = "SELECT NOT EXISTS (SELECT FROM repositories WHERE id = $1)"
DUE = "UPDATE repositories SET deleted_at = now() - interval '31 days' WHERE id = $1"


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.purge")
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder,
        running(Path(folder) / "data") as server,
    ):
        user = User(server)
        large = user.create_repository()
        asyncio.run(fill(server.dsn, UUID(large), arguments.chunks))
        RepositoryServiceStub(user.channels["repo"]).DeleteRepository(
            DeleteRepositoryRequest(repository=large), metadata=user.auth
        )
        pusher = Pusher(user)
        before = pusher.watch(lambda: time.sleep(arguments.seconds))
        asyncio.run(begin_purge(server.dsn, UUID(large)))
        began = time.perf_counter()
        during = pusher.watch(lambda: asyncio.run(wait_until(server.dsn, GONE, UUID(large))))
        seconds = time.perf_counter() - began
        after = pusher.watch(lambda: time.sleep(arguments.seconds))
    table = Table(title=f"{arguments.chunks:,} chunks purged in {seconds:.0f} s")
    for heading in ("", "pushes", "median", "p99", "longest", "p99 / before"):
        table.add_column(heading, justify="right")
    for name, waits in (("before", before), ("during", during), ("after", after)):
        ratio = percentile(waits, 0.99) / percentile(before, 0.99)
        figures = (percentile(waits, 0.5), percentile(waits, 0.99), max(waits))
        shown = (f"{figure * 1000:.1f} ms" for figure in figures)
        table.add_row(name, f"{len(waits):,}", *shown, f"{ratio:.2f}")
    Console().print(table)


async def fill(dsn: str, repository_id: UUID, count: int) -> None:
    """Writes the rows of the repository that is to be purged."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in FILL:
            arguments = [count, PACK] if "$3" not in statement else [count, PACK, repository_id]
            await connection.execute(statement, *arguments)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def begin_purge(dsn: str, repository_id: UUID) -> None:
    """Asks the server to purge the repository, and returns when it has begun."""
    database = await Database.connect(dsn, service="bench", size=2)

    async def put(connection: Connection) -> None:
        await connection.execute(DUE, repository_id)
        await enqueue(connection, PurgeRepositoriesPayload())

    try:
        await database.transaction(put)
    finally:
        await database.close()
    await wait_until(dsn, BEGUN, repository_id)


async def wait_until(dsn: str, question: str, repository_id: UUID) -> None:
    """Returns when the database answers yes."""
    connection = await asyncpg.connect(dsn)
    try:
        while not await connection.fetchval(question, repository_id):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


class Pusher:
    """A user who uploads a chunk and pushes a commit, again and again."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._head = b""
        self._number = 0
        self._push()

    def watch(self, work: Callable[[], None]) -> list[float]:
        """Pushes while some work is done; returns the seconds that each took."""
        done = threading.Event()
        waits: list[float] = []
        thread = threading.Thread(target=self._push_until, args=(done, waits))
        thread.start()
        try:
            work()
        finally:
            done.set()
            thread.join()
        return waits

    def _push_until(self, done: threading.Event, waits: list[float]) -> None:
        while not done.is_set():
            began = time.perf_counter()
            self._push()
            waits.append(time.perf_counter() - began)

    def _push(self) -> None:
        self._number += 1
        data = b"%020d" % self._number * 1000
        digest = blake3(data).digest()
        upload_chunks(self._user, {digest: data})
        file = File(
            mode=0o644, hash=digest, size=len(data), chunk_hashes=digest, chunk_sizes=[len(data)]
        )
        tree, content = tree_of([Entry(name="a", file=file)])
        head, made = commit_of(tree, *filter(None, [self._head]))
        requests = push_requests(self._user.repository, [content], [made], head)
        move = requests[-1].refs.updates[0]
        move.expected_head = self._head.hex()
        ended = self._user.push(requests)
        if ended != "OK":
            raise SystemExit(f"a push ended with {ended}")
        self._head = head


def percentile(waits: Sequence[float], share: float) -> float:
    """Returns the seconds that this share of the waits stayed below."""
    ordered = sorted(waits)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


if __name__ == "__main__":
    main()
