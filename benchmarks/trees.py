"""Measures trees of many files: comparing two of them, looking paths up, merging, beside `git`.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.trees [folders]

Trees of `folders` folders (1,000) of 100 links each, of which 10 differ, and ten times smaller ones; and as
many links in one folder. A push brings one commit that changes one of the links.
Times are those of calls through gRPC on the same machine, those of git of a process.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import grpc
from dits.repo.v1 import commit_service_pb2, merge_pb2, ref_service_pb2
from dits.repo.v1 import tree_service_pb2 as pb
from dits.repo.v1.ref_service_pb2_grpc import RefServiceStub
from dits.repo.v1.tree_service_pb2_grpc import TreeServiceStub

from benchmarks.history import Bench
from benchmarks.history_meter import (
    REPEATS,
    Meter,
    import_into_git,
    measure_git,
    read_memory,
    show,
)
from benchmarks.history_world import BuiltCommit, Change, build_commits
from benchmarks.lock_world import populate, run_service, running_database

if TYPE_CHECKING:
    from dits.repo.v1.ref_service_pb2_grpc import RefServiceAsyncStub as RefStub
    from dits.repo.v1.tree_service_pb2_grpc import TreeServiceAsyncStub as TreeStub
else:
    RefStub = TreeStub = object

FOLDERS = 1_000
FILES_EACH = 100
DIFFERENCES = 10
DEPTH = 10
PATHS = 1_000
# As often as a call is measured, and once before.
PUSHES = REPEATS + 1


def make_changes(folders: int) -> list[Change]:
    """Returns a tree, two commits on it that change 10 files each, and some that change one."""
    deep = "/".join(f"level{n}" for n in range(DEPTH - 1))
    first = {f"d{d}/f{f}": "0" for d in range(folders) for f in range(FILES_EACH)}
    first |= {f"{deep}/f{f}": "0" for f in range(PATHS)}
    step = folders // DIFFERENCES
    ours = {f"d{d * step}/f1": "1" for d in range(DIFFERENCES)}
    theirs = {f"d{d * step + 1}/f2": "2" for d in range(DIFFERENCES)}
    changes = [Change((), first), Change((0,), ours), Change((0,), theirs)]
    for number in range(PUSHES):
        above = number + 2 if number else 1
        changes.append(Change((above,), {f"d{number + 2}/f7": f"edit {number}"}))
    return changes


def make_flat_changes(links: int) -> list[Change]:
    """Returns a folder of many links, and a commit that changes 10 of them."""
    step = links // DIFFERENCES
    first = {f"all/link{n:06}": "0" for n in range(links)}
    return [
        Change((), first),
        Change((0,), {f"all/link{d * step:06}": "1" for d in range(DIFFERENCES)}),
    ]


@dataclass(frozen=True, slots=True)
class Forest:
    """A repository with a tree and its two changes."""

    bench: Bench
    trees: TreeStub
    refs: RefStub
    commits: list[str]
    # Commits that are not pushed yet, the next one last.
    edits: list[BuiltCommit]

    @classmethod
    async def create(
        cls, channel: grpc.aio.Channel, token: str, name: str, built: list[BuiltCommit]
    ) -> Forest:
        """Pushes the commits: main is at the second, side at the third."""
        bench = await Bench.create(channel, token, name)
        await bench.push(built[:2], "")
        forest = cls(
            bench,
            TreeServiceStub(channel),
            RefServiceStub(channel),
            [c.hash for c in built],
            built[:2:-1],
        )
        if len(built) == 2:
            return forest
        create = ref_service_pb2.CreateBranchRequest(
            repository=bench.repository, name="side", head=built[0].hash
        )
        await forest.refs.CreateBranch(create, metadata=bench.auth)
        await _push_side(bench, built)
        return forest

    async def diff(self) -> None:
        """DiffTrees of the first two commits."""
        request = pb.DiffTreesRequest(
            repository=self.bench.repository, base=self.commits[0], head=self.commits[1]
        )
        found = 0
        async for message in self.trees.DiffTrees(request, metadata=self.bench.auth):
            found += len(message.changes)
        if found != DIFFERENCES:
            raise AssertionError(f"{found} differences")

    async def get_deep(self) -> None:
        """GetEntry at depth 10."""
        path = "/".join([f"level{n}" for n in range(DEPTH - 1)] + ["f7"])
        request = pb.GetEntryRequest(repository=self.bench.repository, path=path)
        await self.trees.GetEntry(request, metadata=self.bench.auth)

    async def get_many(self) -> None:
        """GetEntries of 1,000 paths at depth 10."""
        above = "/".join(f"level{n}" for n in range(DEPTH - 1))
        paths = [f"{above}/f{n}" for n in range(PATHS)]
        request = pb.GetEntriesRequest(repository=self.bench.repository, paths=paths)
        await self.trees.GetEntries(request, metadata=self.bench.auth)

    async def plan_merge(self) -> None:
        """MergeBranches, judged and undone."""
        request = merge_pb2.MergeBranchesRequest(
            repository=self.bench.repository,
            target="main",
            expected_head=self.commits[1],
            source=self.commits[2],
            validate_only=True,
        )
        await self.refs.MergeBranches(request, metadata=self.bench.auth)

    async def push_edit(self) -> None:
        """Push of one commit that changes one file."""
        edit = self.edits.pop()
        await self.bench.push([edit], edit.content.parent_hashes[0].hex())


async def _push_side(bench: Bench, built: list[BuiltCommit]) -> None:
    update = commit_service_pb2.RefUpdate(
        branch="side", expected_head=built[0].hash, new_head=built[2].hash
    )
    requests = [
        commit_service_pb2.PushRequest(
            header=commit_service_pb2.PushHeader(repository=bench.repository)
        ),
        commit_service_pb2.PushRequest(
            manifests=commit_service_pb2.PushManifests(manifests=list(built[2].manifests.values()))
        ),
        commit_service_pb2.PushRequest(
            commits=commit_service_pb2.PushCommits(commits=[built[2].content])
        ),
        commit_service_pb2.PushRequest(refs=commit_service_pb2.PushRefs(updates=[update])),
    ]
    await bench.stub.Push(iter(requests), metadata=bench.auth)


async def measure_all(dsn: str, address: str, pid: int, folders: int, git: Path) -> None:
    """Makes two forests, and measures both."""
    token, _, _ = await populate(dsn)
    changes = make_changes(folders)
    import_into_git(changes[:3], git)
    options = [("grpc.max_send_message_length", 64 << 20)]
    async with grpc.aio.insecure_channel(address, options) as channel:
        connection = await asyncpg.connect(dsn)
        meter = Meter(pid, connection)
        for name, some in (("small", make_changes(folders // 10)), ("large", changes)):
            forest = await Forest.create(channel, token, name, build_commits(some))
            before = read_memory(pid)
            for what, work in (
                ("DiffTrees, 10 differences", forest.diff),
                ("GetEntry at depth 10", forest.get_deep),
                ("GetEntries, 1,000 paths at depth 10", forest.get_many),
                ("MergeBranches, judged and undone", forest.plan_merge),
                ("Push, one file of one folder", forest.push_edit),
            ):
                show(f"{name}: {what}", await meter.measure(work))
            print(f"memory {before:.0f} -> {read_memory(pid):.0f} MiB")
        flat = build_commits(make_flat_changes(folders * FILES_EACH))
        forest = await Forest.create(channel, token, "flat", flat)
        show("flat: DiffTrees, 10 differences", await meter.measure(forest.diff))
        show("git diff-tree", measure_git(git, "diff-tree", "-r", "main~1", "main"))
        await connection.close()


def main() -> None:
    """Runs the benchmark."""
    folders = int(sys.argv[1]) if len(sys.argv) > 1 else FOLDERS
    with (
        tempfile.TemporaryDirectory() as place,
        running_database() as (dsn, folder),
        run_service("auth", dsn, folder) as (auth, _),
        run_service("repo", dsn, folder, auth=auth, chunk=auth) as (repo, pid),
    ):
        asyncio.run(measure_all(dsn, repo, pid, folders, Path(place, "git")))


if __name__ == "__main__":
    main()
