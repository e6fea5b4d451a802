"""What was obliterated does not come back: by pushes, moves of branches and merges."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from dits.repo.v1.manifest_pb2 import Manifest
from dits.repo.v1.merge_pb2 import MergeBranchesRequest
from dits.repo.v1.ref_service_pb2 import CreateBranchRequest, UpdateBranchRequest
from grpc import StatusCode

from shared.formats.canonical import content_hash
from shared.formats.commits import commit_hash
from shared.formats.manifests import encode_manifest
from tests.support.api import Api, refused
from tests.support.branches import Branches
from tests.support.counters import assert_counters
from tests.support.obliterations import LARGE, WHY, lift, name, obliterate, wait_for_erasure
from tests.support.release import release_now
from tests.support.repositories import Holding
from tests.support.trees import Tree, build, commit, push, save, update, upload

SECRET = b"secret"
FILES: dict[str, bytes | str] = {"d/secret.mov": SECRET, "d/other.mov": b"other", "top": b"top"}


async def open_films(api: Api) -> tuple[Holding, str]:
    """A repository with a content that is obliterated, and its commit."""
    films = await Holding.open(api)
    head = await save(api, films.owner, films.repository, FILES)
    await obliterate(films, "d/secret.mov", SECRET)
    return films, head


@asynccontextmanager
async def kept_out(path: str) -> AsyncIterator[None]:
    with refused(StatusCode.FAILED_PRECONDITION, "CONTENT_OBLITERATED") as told:
        yield
    assert told.metadata == {"hash": name(SECRET), "reason": WHY, "path": path}


async def test_what_is_beside_it_can_be_changed(api: Api) -> None:
    films, head = await open_films(api)
    changed = FILES | {"d/other.mov": b"changed"}
    head = await save(api, films.owner, films.repository, changed, parent=head)
    without = {path: data for path, data in changed.items() if path != "d/secret.mov"}
    head = await save(api, films.owner, films.repository, without, parent=head)
    await assert_counters(api.dsn)
    async with kept_out("d/secret.mov"):
        await save(api, films.owner, films.repository, changed, parent=head)


@pytest.mark.parametrize("path", ["copy.mov", "d/copy.mov", "new/d/secret.mov"])
async def test_it_does_not_come_to_other_paths(api: Api, path: str) -> None:
    films, head = await open_films(api)
    async with kept_out(path):
        await save(api, films.owner, films.repository, FILES | {path: SECRET}, parent=head)
    async with kept_out(path):
        await save(api, films.owner, films.repository, {path: SECRET}, branch="side")
    await assert_counters(api.dsn)


async def test_a_renamed_directory_and_other_permissions(api: Api) -> None:
    films, head = await open_films(api)
    moved = {path.replace("d/", "e/"): data for path, data in FILES.items()}
    async with kept_out("e/secret.mov"):
        await save(api, films.owner, films.repository, moved, parent=head)
    tree = build(FILES)
    below = next(c for c in tree.manifests.values() if b"secret.mov" in c)
    manifest = Manifest.FromString(below)
    manifest.entries[1].file.mode = 0o755
    content = encode_manifest(manifest)
    top = Manifest.FromString(tree.manifests[tree.root])
    top.entries[0].directory.manifest_hash = bytes.fromhex(content_hash(content))
    root = encode_manifest(top)
    changed = Tree(content_hash(root), {content_hash(c): c for c in (content, root)})
    made = commit(changed, head)
    async with kept_out("d/secret.mov"):
        moves = [update("main", head, commit_hash(made))]
        await push(api, films.owner, films.repository, [made], moves, [changed])


async def test_a_commit_between_that_has_it(api: Api) -> None:
    films, head = await open_films(api)
    first, second = build(FILES | {"copy.mov": SECRET}), build(FILES)
    with_it = commit(first, head)
    made = [with_it, commit(second, commit_hash(with_it))]
    async with kept_out("copy.mov"):
        moves = [update("main", head, commit_hash(made[-1]))]
        await push(api, films.owner, films.repository, made, moves, [first, second])


async def test_branches_and_merges(api: Api) -> None:
    films = await Holding.open(api)
    base = await save(api, films.owner, films.repository, {"top": b"top"})
    auth = films.owner.auth
    await api.refs.CreateBranch(
        CreateBranchRequest(repository=films.id, name="side", head=base), metadata=auth
    )
    side = await save(api, films.owner, films.repository, FILES, parent=base, branch="side")
    main = await save(api, films.owner, films.repository, {"top": b"2"}, parent=base)
    await obliterate(films, "d/secret.mov", SECRET, revision="side")
    async with kept_out("d/secret.mov"):
        request = UpdateBranchRequest(
            repository=films.id, name="main", expected_head=main, new_head=side, force=True
        )
        await api.refs.UpdateBranch(request, metadata=auth)
    for validate_only in (True, False):
        async with kept_out("d/secret.mov"):
            merge = MergeBranchesRequest(
                repository=films.id,
                target="main",
                expected_head=main,
                source="side",
                validate_only=validate_only,
            )
            await api.refs.MergeBranches(merge, metadata=auth)
    # A branch may be made where a branch is, and have others merged into it.
    await api.refs.CreateBranch(
        CreateBranchRequest(repository=films.id, name="third", head=side), metadata=auth
    )
    merge = MergeBranchesRequest(
        repository=films.id, target="third", expected_head=side, source="main"
    )
    await api.refs.MergeBranches(merge, metadata=auth)
    await assert_counters(api.dsn)


async def test_after_it_was_lifted_it_may_come(api: Api) -> None:
    films, head = await open_films(api)
    await upload(api, films.owner, films.repository, build(FILES).chunks)
    await lift(films, "d/secret.mov", SECRET)
    await save(api, films.owner, films.repository, FILES | {"copy.mov": SECRET}, parent=head)
    await assert_counters(api.dsn)


async def test_what_no_version_has_any_more_may_come_again(api: Api) -> None:
    films, head = await open_films(api)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await lift(films, "", SECRET)
    # As the release of history that nothing reaches leaves it.
    await api.fetch(
        """INSERT INTO obliterations (repo_id, hash, reason, obliterated_by)
           VALUES ($1::uuid, $2, $3, $4)""",
        films.id,
        name(b"gone"),
        WHY,
        films.owner.id,
    )
    changed = FILES | {"gone": b"gone"}
    with refused(StatusCode.FAILED_PRECONDITION, "CONTENT_OBLITERATED"):
        await save(api, films.owner, films.repository, changed, parent=head)
    for _ in range(2):
        await lift(films, "", b"gone")
    await save(api, films.owner, films.repository, changed, parent=head)
    assert (await films.events()).count("repo.obliteration_lifted") == 1
    await assert_counters(api.dsn)


async def test_what_waits_for_the_collection_is_obliterated_too(api: Api) -> None:
    films = await Holding.open(api)
    on = Branches(api, films.repository, films.owner)
    await save(api, on.who, on.repository, {"a": b"1"})
    lists = "SELECT count(*) FROM released_lists WHERE repo_id = $1::uuid"
    for count in (1, 2):
        head = await save(api, on.who, on.repository, {"large": LARGE}, branch="look")
        await on.delete("look", head)
        await release_now(api, films.id)
        assert await api.value(lists, films.id) == count
    await save(api, on.who, on.repository, {"large": LARGE}, branch="look")
    await obliterate(films, "large", LARGE, revision="look")
    await wait_for_erasure(films)
    assert await api.value(lists, films.id) == 0
    # No claims are left: the file with another content has the only chunk.
    assert await api.value("SELECT count(*) FROM chunk_refs") == 1
    await assert_counters(api.dsn)
