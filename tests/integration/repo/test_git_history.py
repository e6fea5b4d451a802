"""A history of 600 commits, in Git and in dits: both tell the same of it."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1 import merge_pb2
from dits.repo.v1 import tree_service_pb2 as tree_pb
from dits.repo.v1.ref_service_pb2 import CreateBranchRequest
from dits.repo.v1.repository_service_pb2 import Repository

from tests.support.api import Account, Api
from tests.support.branches import read_head
from tests.support.git_histories import START, GitHistory, make_git_history

COUNT = 600


async def list_all(api: Api, who: Account, repository: Repository, **fields: Any) -> list[str]:
    """All commits of a listing."""
    request = pb.ListCommitsRequest(repository=repository.id, page_size=300, **fields)
    listed: list[str] = []
    while True:
        page = await api.commits.ListCommits(request, metadata=who.auth)
        listed += [commit.hash for commit in page.commits]
        request.page_token = page.next_page_token
        if not request.page_token:
            return listed


async def test_dits_tells_of_a_history_what_git_tells(api: Api, tmp_path: Path) -> None:
    git = make_git_history(tmp_path / "git", 5, COUNT)
    ada = await api.account()
    repository = await api.repository(ada)
    await git.push(api, ada, repository)
    rng = random.Random(9)
    commits = list(git.hashes)
    pairs = [rng.sample(commits[-200:], 2) for _ in range(25)]
    pairs += [rng.sample(commits, 2) for _ in range(10)]
    await check_comparisons(api, ada, repository, git, pairs)
    await check_lists(api, ada, repository, git, pairs[:8])
    await check_trees(api, ada, repository, git, pairs[::4])
    await check_merges(api, ada, repository, git, pairs[:15])


async def check_comparisons(
    api: Api, who: Account, repository: Repository, git: GitHistory, pairs: list[list[str]]
) -> None:
    """CompareCommits, against merge-base and rev-list."""
    crossed = 0
    for base, head in pairs:
        request = pb.CompareCommitsRequest(
            repository=repository.id, base=git.hashes[base], head=git.hashes[head]
        )
        found = await api.commits.CompareCommits(request, metadata=who.auth)
        bases = git.run("merge-base", "--all", base, head)
        assert set(found.merge_bases) == set(git.translate(bases))
        crossed += len(bases) > 1
        (counts,) = git.run("rev-list", "--left-right", "--count", f"{base}...{head}")
        assert f"{found.behind_count}\t{found.ahead_count}" == counts
    assert crossed


async def check_lists(
    api: Api, who: Account, repository: Repository, git: GitHistory, pairs: list[list[str]]
) -> None:
    """ListCommits with each filter, against rev-list and log."""
    last = list(git.hashes)[-1]
    at = START + 200 * 60
    moment = datetime.fromtimestamp(at, UTC)
    tables: list[tuple[dict[str, Any], list[str]]] = [
        ({}, []),
        ({"author": "ASA@"}, ["-i", "--author=asa@"]),
        ({"since": moment}, [f"--since=@{at}"]),
        # Git counts the second itself.
        ({"until": moment}, [f"--until=@{at - 1}"]),
        ({"path": "d1/ü 1/2.txt"}, ["--", "d1/ü 1/2.txt"]),
        ({"path": "d2/ü 0/"}, ["--", "d2/ü 0"]),
        ({"path": "d3", "author": "bob"}, ["--author=bob", "--", "d3"]),
    ]
    for fields, arguments in tables:
        listed = await list_all(api, who, repository, **fields)
        expected = git.translate(git.run("rev-list", last, *arguments))
        assert set(listed) == set(expected), fields
        assert len(listed) == len(expected)
    for one, two in pairs:
        listed = await list_all(
            api, who, repository, revision=git.hashes[one], not_in=[git.hashes[two]]
        )
        assert set(listed) == set(git.translate(git.run("rev-list", one, f"^{two}")))


async def check_trees(
    api: Api, who: Account, repository: Repository, git: GitHistory, pairs: list[list[str]]
) -> None:
    """ListPaths and DiffTrees, against ls-tree and diff-tree."""
    kinds = {tree_pb.CHANGE_KIND_ADDED: "A", tree_pb.CHANGE_KIND_MODIFIED: "M"}
    for base, head in pairs:
        listed = await list_paths(api, who, repository, git.hashes[head])
        assert listed == sorted(git.run("ls-tree", "-r", "-t", "--name-only", head))
        request = tree_pb.DiffTreesRequest(
            repository=repository.id, base=git.hashes[base], head=git.hashes[head]
        )
        found = set()
        async for message in api.trees.DiffTrees(request, metadata=who.auth):
            for change in message.changes:
                if change.kind == tree_pb.CHANGE_KIND_RENAMED:
                    found.add(f"D\t{change.old_path}")
                found.add(f"{_letter(kinds, change)}\t{change.path}")
        expected = git.run("diff-tree", "-r", "--no-renames", "--name-status", base, head)
        assert found == set(expected)


def _letter(kinds: dict[tree_pb.ChangeKind.ValueType, str], change: tree_pb.TreeChange) -> str:
    if change.kind == tree_pb.CHANGE_KIND_DELETED:
        return "D"
    return kinds.get(change.kind, "A")


async def list_paths(api: Api, who: Account, repository: Repository, revision: str) -> list[str]:
    """All paths of a tree, sorted."""
    request = tree_pb.ListPathsRequest(repository=repository.id, revision=revision, page_size=17)
    listed: list[str] = []
    while True:
        page = await api.trees.ListPaths(request, metadata=who.auth)
        listed += [entry.path for entry in page.entries]
        request.page_token = page.next_page_token
        if not request.page_token:
            assert len(set(listed)) == len(listed)
            return sorted(listed)


async def check_merges(
    api: Api, who: Account, repository: Repository, git: GitHistory, pairs: list[list[str]]
) -> None:
    """MergeBranches, against merge-tree without renames."""
    clean = 0
    for number, (ours, theirs) in enumerate(pairs):
        name = f"merge{number}"
        create = CreateBranchRequest(repository=repository.id, name=name, head=git.hashes[ours])
        await api.refs.CreateBranch(create, metadata=who.auth)
        request = merge_pb2.MergeBranchesRequest(
            repository=repository.id,
            target=name,
            expected_head=git.hashes[ours],
            source=git.hashes[theirs],
            validate_only=True,
            allow_unrelated=True,
        )
        found = await api.refs.MergeBranches(request, metadata=who.auth)
        tree, *conflicts = git.run(
            "merge-tree", "--write-tree", "--name-only", "--no-messages",
            "--allow-unrelated-histories", ours, theirs,
        )  # fmt: skip
        shown = {conflict.path for conflict in found.conflicts}
        # Where several common ancestors disagree, Git decides more than dits does.
        assert shown >= set(conflicts)
        assert shown == set(conflicts) or len(found.merge_bases) > 1
        if shown:
            continue
        clean += 1
        request.validate_only = False
        await api.refs.MergeBranches(request, metadata=who.auth)
        head = await read_head(api, who, repository, name)
        listed = await list_paths(api, who, repository, head)
        assert listed == sorted(git.run("ls-tree", "-r", "-t", "--name-only", tree))
    assert 0 < clean < len(pairs)
