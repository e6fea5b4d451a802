"""What another caller waits while others are at work: a push, far questions, downloads that nobody reads.

    python -m benchmarks.fairness [--checkout FOLDER] [--manifests N] [--commits N]

FOLDER is a checkout of another state, with a virtual environment of its own, whose server is measured.
A witness asks for a commit of its own repository all the time: alone, then while others push N manifests
five times, ask 12 times what has changed since the first of N commits, leave 60 downloads of 100 chunks of
4 MiB unread for ten seconds, and do all of this at once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from blake3 import blake3
from dits.chunk.v1 import chunk_service_pb2 as chunk_pb
from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
from dits.repo.v1.manifest_pb2 import CommitContent, Directory, Entry
from rich.console import Console
from rich.table import Table

from benchmarks.callers import (
    Usage,
    User,
    Witness,
    commit_of,
    link,
    make_witness,
    push_requests,
    tree_of,
    upload_chunks,
)
from benchmarks.server import Server, running

QUIET_SECONDS = 5.0
UNREAD_SECONDS = 10.0
PATHS = 50
# One push takes a second or two: too short for a percentile.
PUSHES = 5


@dataclass(slots=True)
class Crowd:
    """The others: what they do is prepared, so that only the server's work is measured."""

    user: User
    pushes: Sequence[Sequence[pb.PushRequest]]
    base: str
    chunk: bytes

    @classmethod
    def prepare(cls, server: Server, manifests: int, commits: int) -> Crowd:
        """Pushes the history that is asked about, and uploads the chunk that is downloaded."""
        user = User(server)
        base = _push_history(user, commits)
        data = os.urandom(4 << 20)
        digest = blake3(data).digest()
        upload_chunks(user, {digest: data})
        pushes = [_wide_push(user.create_repository(), manifests) for _ in range(PUSHES)]
        return cls(user, pushes, base, digest)

    def push_manifests(self) -> None:
        """Makes the pushes, one after the other."""
        for requests in self.pushes:
            ended = self.user.push(requests)
            if ended != "OK":
                raise SystemExit(f"a push ended with {ended}")

    def ask_far(self) -> None:
        """Asks 12 times at once what has changed on paths that only the first commit has touched."""
        stub = CommitServiceStub(self.user.channels["repo"])
        request = pb.FindChangesSinceRequest(
            repository=self.user.repository,
            base_commit=self.base,
            paths=[f"old/{number}" for number in range(PATHS)],
        )

        def ask(_: int) -> None:
            # A server may refuse some; what they cost until then counts all the same.
            with suppress(grpc.RpcError):
                stub.FindChangesSince(request, metadata=self.user.auth, timeout=120)

        with ThreadPoolExecutor(12) as pool:
            list(pool.map(ask, range(12)))

    def leave_unread(self) -> None:
        """Begins 60 downloads and breaks them off after a while."""
        request = chunk_pb.DownloadChunksRequest(
            repository=self.user.repository, hashes=self.chunk * 100
        )
        stub = ChunkServiceStub(self.user.channels["chunk"])
        calls: list[Any] = [
            stub.DownloadChunks(request, metadata=self.user.auth) for _ in range(60)
        ]
        time.sleep(UNREAD_SECONDS)
        for call in calls:
            call.cancel()

    def do_all(self) -> None:
        """Does everything at once; the pushes go into other repositories than before."""
        count = sum(len(request.manifests.manifests) for request in self.pushes[0]) - 1
        self.pushes = [_wide_push(self.user.create_repository(), count) for _ in range(PUSHES)]
        works = (self.push_manifests, self.ask_far, self.leave_unread)
        threads = [threading.Thread(target=work) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _wide_push(repository: str, count: int) -> list[pb.PushRequest]:
    """A push of one commit with so many directories, and one above them."""
    made = [tree_of([link(f"x{time.monotonic_ns()}-{number}")]) for number in range(count)]
    entries = [
        Entry(name=f"d{number:06}", directory=Directory(manifest_hash=digest))
        for number, (digest, _) in enumerate(made)
    ]
    root, top = tree_of(entries)
    head, commit = commit_of(root)
    return push_requests(repository, [*(content for _, content in made), top], [commit], head)


def _push_history(user: User, count: int) -> str:
    """Pushes commits that change one file each, after a first one; returns the first."""
    old, below = tree_of(sorted((link(str(n)) for n in range(PATHS)), key=lambda entry: entry.name))
    contents, commits, heads = [below], list[CommitContent](), list[bytes]()
    for number in range(count):
        new, content = tree_of([link(f"n{number}")])
        directories = [("new", new), ("old", old)]
        root, top = tree_of(
            [Entry(name=name, directory=Directory(manifest_hash=h)) for name, h in directories]
        )
        head, commit = commit_of(root, *heads[-1:], message=str(number))
        contents += [content, top]
        commits.append(commit)
        heads.append(head)
    ended = user.push(push_requests(user.repository, contents, commits, heads[-1]))
    if ended != "OK":
        raise SystemExit(f"the history cannot be pushed: {ended}")
    return heads[0].hex()


def main() -> None:
    """Runs the benchmark and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.fairness")
    parser.add_argument("--checkout", type=Path)
    parser.add_argument("--manifests", type=int, default=20_000)
    parser.add_argument("--commits", type=int, default=2_000)
    arguments = parser.parse_args()
    columns = ("meanwhile", "s", "median ms", "p99 ms", "most ms", "refused", "CPU s", "MB more")
    table = Table(*columns, title=f"GetCommit of another caller: {arguments.checkout or 'here'}")
    for column in table.columns[1:]:
        column.justify = "right"
    with (
        tempfile.TemporaryDirectory(prefix="dits-bench-", dir=os.environ.get("BENCH_DIR")) as base,
        running(Path(base, "data"), checkout=arguments.checkout) as server,
    ):
        witness = make_witness(server)
        crowd = Crowd.prepare(server, arguments.manifests, arguments.commits)
        works: dict[str, Callable[[], None]] = {
            "nothing": lambda: time.sleep(QUIET_SECONDS),
            f"5 pushes of {arguments.manifests:,} manifests": crowd.push_manifests,
            "12 far FindChangesSince": crowd.ask_far,
            "60 unread downloads": crowd.leave_unread,
            "all of this": crowd.do_all,
        }
        for name, work in works.items():
            table.add_row(name, *_measure(witness, server, work))
    Console(width=120).print(table)


def _measure(witness: Witness, server: Server, work: Callable[[], None]) -> list[str]:
    usage = Usage(server.pid)
    begun = time.perf_counter()
    with witness.watching(), usage.measured():
        work()
    return [
        f"{time.perf_counter() - begun:.1f}",
        f"{witness.percentile(0.5) * 1000:.0f}",
        f"{witness.percentile(0.99) * 1000:.0f}",
        f"{max(witness.waits, default=0) * 1000:.0f}",
        f"{witness.refusals} of {len(witness.waits)}",
        f"{usage.seconds:.1f}",
        f"{usage.peak_bytes / 1e6:.0f}",
    ]


if __name__ == "__main__":
    main()
