"""Measures reading a long history, beside `git log` on the same one.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.history [commits]

Times of dits are those of calls through gRPC on the same machine, those of git are of a process. Processor
time is that of the repo service and of its backends of PostgreSQL, or of git: other work of the machine is
not in it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import asyncpg
import grpc
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest, RepositorySettings
from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub

from benchmarks.history_meter import (
    Cost,
    Meter,
    import_into_git,
    measure_git,
    read_memory,
    run_git,
    show,
    timed,
)
from benchmarks.history_world import (
    FILES_EACH,
    LEAVES,
    BuiltCommit,
    build_commits,
    cut_pushes,
    make_changes,
    make_dense_changes,
)
from benchmarks.lock_world import populate, run_service, running_database

if TYPE_CHECKING:
    from dits.repo.v1.commit_service_pb2_grpc import CommitServiceAsyncStub as CommitStub
else:
    CommitStub = object

COMMITS = 6_000
DENSE_COMMITS = 2_000
PUSHED_AT_ONCE = 500
FAR = f"{LEAVES[0]}/file0"
MANY = [f"{LEAVES[0]}/file{n}" for n in range(FILES_EACH)] + [
    f"{LEAVES[0]}/no{n}" for n in range(42)
]


class Bench:
    """The calls that are measured, on one repository."""

    def __init__(self, stub: CommitStub, token: str, repository: str) -> None:
        self.stub = stub
        self.auth = (("authorization", f"Bearer {token}"),)
        self.repository = repository

    @classmethod
    async def create(cls, channel: grpc.aio.Channel, token: str, name: str) -> Bench:
        """Creates the repository."""
        request = CreateRepositoryRequest(
            name=name, settings=RepositorySettings(require_lock_for_edit=False)
        )
        metadata = (("authorization", f"Bearer {token}"),)
        response = await RepositoryServiceStub(channel).CreateRepository(request, metadata=metadata)
        return cls(CommitServiceStub(channel), token, response.repository.id)

    async def push(self, commits: Sequence[BuiltCommit], expected: str) -> None:
        """Pushes some commits; the last becomes the head of main."""
        contents = [content for commit in commits for content in commit.manifests.values()]
        update = pb.RefUpdate(branch="main", expected_head=expected, new_head=commits[-1].hash)
        requests = [
            pb.PushRequest(header=pb.PushHeader(repository=self.repository)),
            *(
                pb.PushRequest(manifests=pb.PushManifests(manifests=contents[at : at + 1000]))
                for at in range(0, len(contents), 1000)
            ),
            pb.PushRequest(commits=pb.PushCommits(commits=[c.content for c in commits])),
            pb.PushRequest(refs=pb.PushRefs(updates=[update])),
        ]
        await self.stub.Push(iter(requests), metadata=self.auth)

    async def list_commits(self, size: int, path: str = "") -> tuple[list[str], list[float]]:
        """Returns the messages of the commits of a whole listing, and the seconds of each page."""
        request = pb.ListCommitsRequest(
            repository=self.repository, revision="main", page_size=size, path=path
        )
        listed: list[str] = []
        seconds: list[float] = []
        while True:
            page, took = await timed(lambda: self.stub.ListCommits(request, metadata=self.auth))
            listed += [commit.message for commit in page.commits]
            seconds.append(took)
            request.page_token = page.next_page_token
            if not request.page_token:
                return listed, seconds

    async def find_changes(self, base: str, paths: Sequence[str]) -> pb.FindChangesSinceResponse:
        """Returns what main has changed since a commit."""
        request = pb.FindChangesSinceRequest(
            repository=self.repository, revision="main", base_commit=base, paths=paths
        )
        return await self.stub.FindChangesSince(request, metadata=self.auth)

    async def get_commit(self) -> pb.GetCommitResponse:
        """Returns the head: the cheapest call, for the cost of a call as such."""
        request = pb.GetCommitRequest(repository=self.repository, revision="main")
        return await self.stub.GetCommit(request, metadata=self.auth)


async def measure(bench: Bench, meter: Meter, built: Sequence[BuiltCommit], git: Path) -> None:
    """Prints the table."""
    show("GetCommit: the cost of a call", await meter.measure(bench.get_commit))
    page = measure_git(git, "log", "-100", "--format=%H", "main")
    await measure_listing(bench, meter, built, page)
    memory = read_memory(meter.pid)
    base = built[0].hash
    searches: dict[str, Callable[[], Awaitable[object]]] = {
        "FindChangesSince, 1 path": lambda: bench.find_changes(base, [FAR]),
        "FindChangesSince, 50 paths": lambda: bench.find_changes(base, MANY),
        "ListCommits of the path, to the end": lambda: bench.list_commits(100, FAR),
    }
    costs = {what: await meter.measure(work) for what, work in searches.items()}
    for graph in ("without commit-graph", "with commit-graph and changed paths"):
        if graph.startswith("with "):
            run_git(git, "commit-graph", "write", "--reachable", "--changed-paths")
        one = measure_git(git, "log", "-1", "--format=%s", "main", "--", FAR)
        many = measure_git(git, "log", "--format=%s", "main", "--", *MANY)
        to_end = measure_git(git, "log", "--format=%s", "main", "--", FAR)
        show(f"git {graph}: log -1 -- path", one)
        for (what, cost), compared in zip(costs.items(), (one, many, to_end), strict=True):
            show(f"{what}, {len(built)} commits back", cost, compared)
    await compare_logs(bench, git)
    print(f"memory of the repo service: {memory:.0f} MiB, then {read_memory(meter.pid):.0f} MiB")


async def measure_listing(
    bench: Bench, meter: Meter, built: Sequence[BuiltCommit], compared: Cost | None = None
) -> None:
    """Prints what pages of a whole listing cost."""
    _, pages = await bench.list_commits(100)
    whole = await meter.measure(lambda: bench.list_commits(100))
    listed, pages = await bench.list_commits(100)
    assert len(listed) == len(built)  # noqa: S101
    page = Cost(median(pages), whole.processor / len(pages))
    show("ListCommits, page of 100, mean of the whole listing", page, compared)
    print(f"the slowest page: {max(pages) * 1000:.1f} ms")


async def compare_logs(bench: Bench, git: Path) -> None:
    """Fails unless dits and git list the same commits for some paths."""
    for path in (FAR, LEAVES[7], f"{LEAVES[100]}/file1", "area3", "area3/part2"):
        listed, pages = await bench.list_commits(100, path)
        expected = run_git(git, "log", "--format=%s", "main", "--", path).split()
        if sorted(listed) != sorted(expected):
            raise RuntimeError(f"{path}: {len(listed)} commits, of git {len(expected)}")
        print(f"{path}: {len(listed)} commits, as git log; slowest page {max(pages) * 1000:.1f} ms")


async def fill(
    bench: Bench, built: Sequence[BuiltCommit], connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Pushes the history, and waits until every commit has its filter."""
    started = time.perf_counter()
    expected = ""
    for some in cut_pushes(built, PUSHED_AT_ONCE):
        await bench.push(some, expected)
        expected = some[-1].hash
    print(f"{len(built)} commits pushed in {time.perf_counter() - started:.1f} s")
    missing = "SELECT count(*) FROM commits WHERE changed_paths IS NULL"
    while await connection.fetchval(missing):  # noqa: ASYNC110  another process works on it
        await asyncio.sleep(0.2)
    size = await connection.fetchval("SELECT avg(octet_length(changed_paths)) FROM commits")
    print(
        f"every commit has a filter after {time.perf_counter() - started:.1f} s: {size:.0f} bytes each"
    )


async def measure_all(dsn: str, address: str, pid: int, count: int, git: Path) -> None:
    """Makes the history, pushes it, and measures."""
    changes = make_changes(count)
    merges = sum(len(change.parents) > 1 for change in changes)
    print(f"{len(changes)} commits, {merges} of them merges")
    built = build_commits(changes)
    import_into_git(changes, git)
    token, _, _ = await populate(dsn)
    async with grpc.aio.insecure_channel(address) as channel:
        connection = await asyncpg.connect(dsn)
        meter = Meter(pid, connection)
        bench = await Bench.create(channel, token, "history")
        await fill(bench, built, connection)
        await measure(bench, meter, built, git)
        dense = build_commits(make_dense_changes(DENSE_COMMITS))
        bench = await Bench.create(channel, token, "dense")
        await fill(bench, dense, connection)
        await measure_listing(bench, meter, dense)
        await connection.close()


def main() -> None:
    """Runs the benchmark."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COMMITS
    with (
        tempfile.TemporaryDirectory() as place,
        running_database() as (dsn, folder),
        run_service("auth", dsn, folder) as (auth, _),
        run_service("repo", dsn, folder, auth=auth, chunk=auth) as (repo, pid),
    ):
        asyncio.run(measure_all(dsn, repo, pid, count, Path(place, "git")))


if __name__ == "__main__":
    main()
