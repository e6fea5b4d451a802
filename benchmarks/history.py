"""Measures reading a long history, beside `git log` on the same one.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.history [commits]

Times of dits are those of calls through gRPC on the same machine, those of git are of a process.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, TypeVar

import asyncpg
import grpc
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest, RepositorySettings
from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub

from benchmarks.history_world import (
    FILES_EACH,
    LEAVES,
    BuiltCommit,
    Change,
    build_commits,
    make_changes,
    write_fast_import,
)
from benchmarks.lock_world import populate, run_service, running_database

if TYPE_CHECKING:
    from dits.repo.v1.commit_service_pb2_grpc import CommitServiceAsyncStub as CommitStub
else:
    CommitStub = object

Result = TypeVar("Result")

COMMITS = 6_000
PUSHED_AT_ONCE = 500
REPEATS = 5
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
    async def create(cls, channel: grpc.aio.Channel, token: str) -> Bench:
        """Creates the repository."""
        request = CreateRepositoryRequest(
            name="history", settings=RepositorySettings(require_lock_for_edit=False)
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


async def timed(work: Callable[[], Awaitable[Result]]) -> tuple[Result, float]:
    """Returns the result and the seconds it took."""
    started = time.perf_counter()
    result = await work()
    return result, time.perf_counter() - started


async def time_median(work: Callable[[], Awaitable[object]]) -> float:
    """Returns the median seconds of some runs, after one that does not count."""
    await work()
    return median([(await timed(work))[1] for _ in range(REPEATS)])


def show(what: str, seconds: float, compared: float = 0.0) -> None:
    """Prints one line of the table."""
    ratio = f"{seconds / compared:8.2f} of git" if compared else ""
    print(f"{what:62} {seconds * 1000:9.1f} ms {ratio}", flush=True)


def import_into_git(changes: Sequence[Change], folder: Path) -> None:
    """Makes the same history a git repository."""
    subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True)
    process = subprocess.Popen(
        ["git", "-C", str(folder), "fast-import", "--quiet"],
        stdin=subprocess.PIPE,
    )
    assert process.stdin is not None  # noqa: S101
    for block in write_fast_import(changes):
        process.stdin.write(block)
    process.stdin.close()
    if process.wait():
        raise RuntimeError("git fast-import failed")


def run_git(folder: Path, *arguments: str) -> str:
    """Returns what a git command prints."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def time_git(folder: Path, *arguments: str) -> float:
    """Returns the median seconds of a git command."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run_git(folder, *arguments)
        times.append(time.perf_counter() - started)
    return median(times)


def read_memory(pid: int) -> float:
    """Returns the resident MiB of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def measure(bench: Bench, built: Sequence[BuiltCommit], git: Path, pid: int) -> None:
    """Prints the table."""
    call = await time_median(bench.get_commit)
    show("GetCommit: the cost of a call", call)
    await bench.list_commits(100)
    listed, pages = await bench.list_commits(100)
    assert len(listed) == len(built)  # noqa: S101
    plain = time_git(git, "log", "-100", "--format=%H", "main")
    show("ListCommits, page of 100: median", median(pages), plain)
    show("ListCommits, page of 100: slowest of all pages", max(pages), plain)
    memory = read_memory(pid)
    base = built[0].hash
    path_arguments = ("log", "-1", "--format=%s", "main", "--", FAR)
    for graph in ("no commit-graph", "commit-graph with changed paths"):
        if graph != "no commit-graph":
            run_git(git, "commit-graph", "write", "--reachable", "--changed-paths")
        one = time_git(git, *path_arguments)
        many = time_git(git, "log", "--format=%s", "main", "--", *MANY)
        print(f"{graph}: git log -1 -- path {one * 1000:.1f} ms, 50 paths {many * 1000:.1f} ms")
        far = await time_median(lambda: bench.find_changes(base, [FAR]))
        show(f"FindChangesSince, 1 path {len(built)} commits back", far, one)
        far = await time_median(lambda: bench.find_changes(base, MANY))
        show("FindChangesSince, 50 paths as far back", far, many)
        listing = await time_median(lambda: bench.list_commits(100, FAR))
        show("ListCommits of that path, to the end", listing, one)
    await compare_logs(bench, git)
    print(f"memory of the repo service: {memory:.0f} MiB before, {read_memory(pid):.0f} MiB after")


async def compare_logs(bench: Bench, git: Path) -> None:
    """Fails unless dits and git list the same commits for some paths."""
    for path in (FAR, LEAVES[7], f"{LEAVES[100]}/file1", "area3", "area3/part2"):
        listed, pages = await bench.list_commits(100, path)
        expected = run_git(git, "log", "--format=%s", "main", "--", path).split()
        if sorted(listed) != sorted(expected):
            raise RuntimeError(f"{path}: {len(listed)} commits, of git {len(expected)}")
        print(f"{path}: {len(listed)} commits, as git log; slowest page {max(pages) * 1000:.1f} ms")


async def fill(bench: Bench, built: Sequence[BuiltCommit], dsn: str) -> None:
    """Pushes the history, and waits until every commit has its filter."""
    started = time.perf_counter()
    expected = ""
    for at in range(0, len(built), PUSHED_AT_ONCE):
        some = built[at : at + PUSHED_AT_ONCE]
        await bench.push(some, expected)
        expected = some[-1].hash
    print(f"{len(built)} commits pushed in {time.perf_counter() - started:.1f} s")
    connection = await asyncpg.connect(dsn)
    missing = "SELECT count(*) FROM commits WHERE changed_paths IS NULL"
    while await connection.fetchval(missing):  # noqa: ASYNC110  another process works on it
        await asyncio.sleep(0.2)
    size = await connection.fetchval("SELECT avg(octet_length(changed_paths)) FROM commits")
    print(
        f"every commit has a filter after {time.perf_counter() - started:.1f} s: {size:.0f} bytes each"
    )
    await connection.close()


async def measure_all(dsn: str, address: str, pid: int, count: int, git: Path) -> None:
    """Makes the history, pushes it, and measures."""
    changes = make_changes(count)
    merges = sum(len(change.parents) > 1 for change in changes)
    print(f"{len(changes)} commits, {merges} of them merges")
    built = build_commits(changes)
    import_into_git(changes, git)
    token, _, _ = await populate(dsn)
    async with grpc.aio.insecure_channel(address) as channel:
        bench = await Bench.create(channel, token)
        await fill(bench, built, dsn)
        await measure(bench, built, git, pid)


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
