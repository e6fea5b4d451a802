"""Trees in which few directories stand in many places are compared, merged and searched within bounds."""

from __future__ import annotations

import pytest
from blake3 import blake3
from dits.repo.v1 import asset_pb2, merge_pb2
from dits.repo.v1 import tree_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Directory, Entry, Manifest, Symlink
from grpc import StatusCode

from services.repo.merge import tree_merge
from services.repo.trees import diff
from shared.formats import manifests
from shared.formats.canonical import content_hash
from shared.formats.commits import commit_hash
from tests.support.api import Api, refused
from tests.support.trees import Tree, commit, file_entry, push, update, upload

LEVELS = 12


def make_bomb(data: bytes) -> Tree:
    """One file in 4,096 places."""
    tree = Tree()
    return multiply(tree, [file_entry("f", data, tree.chunks)], LEVELS)


def multiply(tree: Tree, entries: list[Entry], levels: int) -> Tree:
    """A tree with some entries in 2 ** levels directories."""
    for _ in range(levels + 1):
        content = manifests.encode_manifest(Manifest(entries=entries))
        tree.root = content_hash(content)
        tree.manifests[tree.root] = content
        below = Directory(manifest_hash=bytes.fromhex(tree.root))
        entries = [Entry(name=name, directory=below) for name in "ab"]
    return tree


async def test_a_tree_of_many_equal_directories(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "MAX_TOGETHER", 1_000)
    monkeypatch.setattr(tree_merge, "MAX_DIRECTORIES", 1_000)
    ada = await api.account()
    repository = await api.repository(ada)
    trees = [make_bomb(data) for data in (b"1", b"2", b"3")]
    for tree in trees:
        await upload(api, ada, repository, tree.chunks)
    first = commit(trees[0])
    made = [first, *(commit(tree, commit_hash(first)) for tree in trees[1:])]
    names = [commit_hash(content) for content in made]
    moves = [update("main", "", names[1]), update("side", "", names[2])]
    await push(api, ada, repository, made, moves, trees)
    request = pb.DiffTreesRequest(repository=repository.id, base=names[0], head=names[1])
    messages = [m async for m in api.trees.DiffTrees(request, metadata=ada.auth)]
    assert messages[-1].summary.modified_count == 1 << LEVELS
    assert messages[-1].summary.is_plain
    merge = merge_pb2.MergeBranchesRequest(
        repository=repository.id, target="main", expected_head=names[1], source="side"
    )
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await api.refs.MergeBranches(merge, metadata=ada.auth)
    search = asset_pb2.FindAssetRequest(
        repository=repository.id, hash=blake3(b"2").hexdigest(), page_size=1_000
    )
    found = await api.trees.FindAsset(search, metadata=ada.auth)
    assert 0 < len(found.paths) <= 1_000
    assert found.next_page_token
    listing = pb.ListPathsRequest(repository=repository.id, page_size=1_000)
    page = await api.trees.ListPaths(listing, metadata=ada.auth)
    assert len(page.entries) == 1_000


async def test_a_directory_that_is_in_conflict_at_many_paths(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    links = [
        [Entry(name=str(n), symlink=Symlink(target=side * 4_000)) for n in range(8)]
        for side in "xyz"
    ]
    trees = [multiply(Tree(), entries, 7) for entries in links]
    first = commit(trees[0])
    made = [first, *(commit(tree, commit_hash(first)) for tree in trees[1:])]
    names = [commit_hash(content) for content in made]
    moves = [update("main", "", names[1]), update("side", "", names[2])]
    await push(api, ada, repository, made, moves, trees)
    merge = merge_pb2.MergeBranchesRequest(
        repository=repository.id, target="main", expected_head=names[1], source="side", validate_only=True,
    )  # fmt: skip
    told = await api.refs.MergeBranches(merge, metadata=ada.auth)
    assert told.conflict_count == 8 << 7
    # What clients take without being told to.
    assert len(told.conflicts) > 100
    assert told.ByteSize() < 4 << 20
    monkeypatch.setattr(tree_merge, "MAX_CONFLICT_BYTES", 1 << 20)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await api.refs.MergeBranches(merge, metadata=ada.auth)
