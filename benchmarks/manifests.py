"""What one changed file costs in a large folder: bytes stored, and the times of pushes and reads.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.manifests [--checkout OTHER_STATE_WITH_ITS_VENV]

For the other state of the code, if there is one, and for this one, one after the other: a folder of so many
files is pushed, then version after version of it with some of them changed, and the last one is read.
Times are medians of calls by the clock, and means of the processor time of the server's process, PostgreSQL
apart; what is stored is what the database holds for the folder.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from blake3 import blake3
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1 import tree_service_pb2
from dits.repo.v1.manifest_pb2 import Directory, Entry, File
from dits.repo.v1.tree_service_pb2_grpc import TreeServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import Usage, User, commit_of, push_requests, tree_of, upload_chunks
from benchmarks.server import running
from shared.postgres.embedded import EmbeddedPostgres

# Chunks in one message.
UPLOADED = 5_000
READS = 20
STORED = """
    SELECT pg_column_size(content) FROM manifests
    WHERE entry_count = $1 AND repo_id = $2::uuid ORDER BY created_at"""


@dataclass(slots=True)
class Folder:
    """A folder of small files, and how far it is pushed.

    Attributes:
        changes: files that each version changes.
        seconds: of the calls, by what they do.
        processor: seconds of processor time of the same calls.
    """

    user: User
    files: int
    changes: int
    entries: list[Entry] = field(default_factory=list)
    head: bytes = b""
    version: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    processor: dict[str, list[float]] = field(default_factory=dict)

    def push_version(self) -> None:
        """Uploads what is new in the next version and pushes it."""
        if self.version:
            first = self.version * self.changes * 7919
            changed = [(first + n * 101) % self.files for n in range(self.changes)]
        else:
            self.entries, changed = [Entry()] * self.files, list(range(self.files))
        chunks = {}
        for number in changed:
            data = b"%d of %d" % (number, self.version)
            digest = blake3(data).digest()
            chunks[digest] = data
            file = File(mode=0o644, size=len(data), hash=digest)
            file.chunk_hashes, file.chunk_sizes[:] = digest, [len(data)]
            self.entries[number] = Entry(name=f"frame_{number:06}.exr", file=file)
        listed = list(chunks.items())
        for at in range(0, len(listed), UPLOADED):
            upload_chunks(self.user, dict(listed[at : at + UPLOADED]))
        folder, content = tree_of(self.entries)
        top = Entry(name="shots", directory=Directory(manifest_hash=folder))
        root, root_content = tree_of([top])
        head, made = commit_of(root, *filter(None, [self.head]), message=str(self.version))
        requests = push_requests(self.user.repository, [content, root_content], [made], head)
        requests[-1].refs.updates[0].expected_head = self.head.hex()
        self._measure("push" if self.version else "first push", lambda: self._push(requests))
        self.head, self.version = head, self.version + 1

    def _push(self, requests: Sequence[pb.PushRequest]) -> None:
        code = self.user.push(requests)
        if code != "OK":
            raise SystemExit(f"the push ended with {code}")

    def read_versions(self) -> None:
        """Reads the last version in several ways, so often."""
        stub = TreeServiceStub(self.user.channels["repo"])
        repository, auth = self.user.repository, self.user.auth
        path = f"shots/frame_{self.files // 2:06}.exr"
        entry = tree_service_pb2.GetEntryRequest(repository=repository, path=path)
        listing = tree_service_pb2.ListDirectoryRequest(repository=repository, path="shots")
        tree = tree_service_pb2.StreamTreeRequest(repository=repository)
        for _ in range(READS):
            self._measure("GetEntry", lambda: stub.GetEntry(entry, metadata=auth))
            self._measure("ListDirectory", lambda: stub.ListDirectory(listing, metadata=auth))
            self._measure("StreamTree", lambda: list(stub.StreamTree(tree, metadata=auth)))

    def _measure(self, what: str, call: Callable[[], object]) -> None:
        begun = time.perf_counter()
        with Usage(self.user.server.pid).measured() as usage:
            call()
        self.seconds.setdefault(what, []).append(time.perf_counter() - begun)
        self.processor.setdefault(what, []).append(usage.seconds)

    def list_times(self) -> list[str]:
        """Returns milliseconds by the clock and of the processor, for each thing that was done."""
        return [
            f"{1000 * statistics.median(seconds):.0f} / {1000 * statistics.mean(processor):.0f}"
            for seconds, processor in zip(
                self.seconds.values(), self.processor.values(), strict=True
            )
        ]


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.manifests")
    parser.add_argument("--checkout", type=Path)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--versions", type=int, default=40)
    parser.add_argument("--changes", default="1,500")
    arguments = parser.parse_args()
    table = Table("state", "changed", "first KB", "KB a version", "most KB", "all KB")
    for what in ("first push", "push", "GetEntry", "ListDirectory", "StreamTree"):
        table.add_column(f"{what}, ms / CPU")
    states = [arguments.checkout, None] if arguments.checkout else [None]
    for state in states:
        for changes in map(int, arguments.changes.split(",")):
            name = "other" if state else "this"
            row = _measure_state(state, arguments.files, arguments.versions, changes)
            table.add_row(name, str(changes), *row)
    Console(width=140).print(table)


def _measure_state(state: Path | None, files: int, versions: int, changes: int) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="dits-bench-", dir=os.environ.get("BENCH_DIR")) as base:
        data = Path(base, "data")
        with running(data, checkout=state) as server:
            folder = Folder(User(server), files, changes)
            for _ in range(versions + 1):
                folder.push_version()
            folder.read_versions()
        with EmbeddedPostgres(data / "postgres") as postgres:
            first, *sizes = asyncio.run(_fetch_sizes(postgres.dsn, files, folder.user.repository))
    stored = [first, statistics.mean(sizes), max(sizes), first + sum(sizes)]
    return [f"{size / 1000:,.1f}" for size in stored] + folder.list_times()


async def _fetch_sizes(dsn: str, files: int, repository: str) -> list[int]:
    connection = await asyncpg.connect(dsn)
    try:
        # The folder, not the directory above it.
        return [row[0] for row in await connection.fetch(STORED, files, repository)]
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
