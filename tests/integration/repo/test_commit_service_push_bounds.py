"""Push: what a few bytes name is bounded by counts, before anything walks it."""

from __future__ import annotations

import time

import pytest
from dits.chunk.v1 import chunk_service_pb2 as chunk_pb
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Directory, Entry, File, Manifest, Symlink
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from shared.formats import limits
from shared.formats.canonical import content_hash
from shared.formats.commits import commit_hash
from tests.support import trees
from tests.support.api import Api, refused
from tests.support.trees import Tree, commit, push_commit, save


def add_directory(tree: Tree, *entries: Entry) -> str:
    """Adds the canonical bytes of a directory; it becomes the top of the tree."""
    content = Manifest(entries=entries).SerializeToString(deterministic=True)
    tree.root = content_hash(content)
    tree.manifests[tree.root] = content
    return tree.root


def link(name: str = "x") -> Entry:
    return Entry(name=name, symlink=Symlink(target="y"))


def directory(name: str, digest: str) -> Entry:
    return Entry(name=name, directory=Directory(manifest_hash=bytes.fromhex(digest)))


def nest(levels: int, *names: str, leaf: Entry | None = None) -> Tree:
    """A tree of directories, each of which names the one below it under every name."""
    tree = Tree()
    below = add_directory(tree, leaf or link())
    for _ in range(levels):
        below = add_directory(tree, *(directory(name, below) for name in names))
    return tree


@pytest.mark.parametrize("levels", [21, 33, 62, 200])
async def test_a_tree_of_too_many_entries_is_refused_at_once(api: Api, levels: int) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    begun = time.process_time()
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await push_commit(api, ada, repository, commit(tree := nest(levels, "a", "b")), tree)
    assert time.process_time() - begun < 5
    assert refusal.metadata["field"] == "entries below a manifest"
    assert refusal.metadata["limit"] == str(limits.MAX_TREE_ENTRIES)


async def test_a_tree_of_too_many_entries_is_refused_when_half_of_it_is_stored(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    lower = nest(15, "a", "b")
    made = commit(lower)
    await push_commit(api, ada, repository, made, lower)
    upper = nest(30, "a", "b")
    for digest in lower.manifests:
        del upper.manifests[digest]
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await push_commit(api, ada, repository, commit(upper), upper, expected="")


async def test_a_tree_that_shares_its_directories_costs_what_it_brings(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = nest(15, "a", "b")
    begun = time.process_time()
    await push_commit(api, ada, repository, commit(tree), tree)
    assert time.process_time() - begun < 10


async def test_more_changed_paths_than_one_call_may_change_are_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await api.account()
    repository = await api.repository(ada, must_lock=True)
    monkeypatch.setattr("services.repo.history.changes.MAX_CHANGED_PATHS", 2**10 - 1)
    tree = nest(10, "a", "b")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await push_commit(api, ada, repository, commit(tree), tree)
    assert refusal.metadata["count"] == "1024"


async def test_twenty_thousand_directories_in_one_another_are_refused_at_once(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = nest(20_000, "a")
    begun = time.process_time()
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await push_commit(api, ada, repository, commit(tree), tree)
    assert time.process_time() - begun < 10
    assert "directories in one another" in refusal.message


async def test_the_deepest_tree_is_taken(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = nest(limits.MAX_DEPTH - 1, "a")
    await push_commit(api, ada, repository, commit(tree), tree)


async def test_sizes_beyond_the_database_are_refused(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    size = 16_384 * (16 << 20)
    huge = File(mode=0o644, size=size, hash=b"h" * 32, recipe_hashes=b"r" * 32)
    tree = Tree()
    below = add_directory(tree, *(Entry(name=f"{i:05}", file=huge) for i in range(20_000)))
    for _ in range(7):
        below = add_directory(tree, *(directory(name, below) for name in "abcde"))
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await push_commit(api, ada, repository, commit(tree), tree)


async def test_paths_end_at_1024_bytes(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    name = "d" * 203
    fits = nest(5, name, leaf=link("f" * 4))
    made = commit(fits)
    await push_commit(api, ada, repository, made, fits)
    over = nest(5, name, leaf=link("f" * 5))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await push_commit(api, ada, repository, commit(over), over)
    assert over.root in refusal.message


async def test_a_file_has_a_limit_of_chunks(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    many = limits.MAX_FILE_CHUNKS // 16_384 + 1
    file = File(mode=0o644, size=many * 16_384, hash=b"h" * 32, recipe_hashes=b"r" * 32 * many)
    tree = Tree()
    add_directory(tree, Entry(name="a", file=file))
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await push_commit(api, ada, repository, commit(tree), tree)
    assert refusal.metadata["field"] == "chunks of a file"


@pytest.mark.parametrize("name", [".dits", ".DITS", ".Dits"])
async def test_the_folder_of_clients_is_in_no_tree(api: Api, name: str) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    for tree in (nest(1, name), nest(1, "a", leaf=link(name))):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await push_commit(api, ada, repository, commit(tree), tree)
        (violation,) = refusal.detail(BadRequest).field_violations
        assert violation.field == "manifests.entries[0].name"
        assert any(digest in violation.description for digest in tree.manifests)


async def test_names_are_portable_unless_the_repository_says_otherwise(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, {"a/README": b""})
    for path in ("a/readme", "a/CON.txt", "a/x.", "a/b:c"):
        files: dict[str, bytes | str] = {"a/README": b"", path: b""}
        with refused(StatusCode.FAILED_PRECONDITION, "FILE_REFUSED") as refusal:
            await save(api, ada, repository, files, parent=first)
        assert (refusal.metadata["rule"], refusal.metadata["path"]) == ("portable_names", path)
    await api.fetch("UPDATE repository_settings SET portable_names = false")
    await save(api, ada, repository, {"a/README": b"", "a/readme": b""}, parent=first)


async def test_the_limits_are_published(api: Api) -> None:
    told = await api.chunks.GetCapabilities(chunk_pb.GetCapabilitiesRequest())
    assert told.tree_limits.max_depth == limits.MAX_DEPTH
    assert all(value for _, value in told.tree_limits.ListFields())
    assert len(told.tree_limits.ListFields()) == len(chunk_pb.TreeLimits.DESCRIPTOR.fields)


async def test_a_commit_that_no_new_head_reaches_is_refused(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    head = await save(api, ada, repository, {"a": b"1"})
    tree = trees.build({"a": b"2"})
    await trees.upload(api, ada, repository, tree.chunks)
    aside = commit(tree, head)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        moves: list[pb.RefUpdate] = [trees.update("main", head, head)]
        await trees.push(api, ada, repository, [aside], moves, [tree])
    (violation,) = refusal.detail(BadRequest).field_violations
    assert violation.field == "commits"


async def test_a_refused_file_is_refused_in_the_middle_of_a_history(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    await api.fetch("UPDATE repository_settings SET max_file_size_bytes = 10")
    versions = [trees.build({"d/a": text}) for text in (b"1", b"x" * 11, b"2")]
    made = [commit(versions[0])]
    for version in versions[1:]:
        await trees.upload(api, ada, repository, version.chunks)
        made.append(commit(version, commit_hash(made[-1])))
    moves = [trees.update("main", "", commit_hash(made[-1]))]
    with refused(StatusCode.FAILED_PRECONDITION, "FILE_REFUSED") as refusal:
        await trees.push(api, ada, repository, made, moves, versions)
    assert refusal.metadata["path"] == "d/a"
