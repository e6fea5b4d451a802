"""What no branch or tag has reached for 30 days goes, and nothing else."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from uuid import UUID

import pytest
from dits.repo.v1 import ref_service_pb2 as pb
from grpc import StatusCode

from services.repo.release import directories
from services.repo.release.history import release_history
from shared.formats.commits import commit_hash
from tests.support.api import Api, refused
from tests.support.branches import Branches
from tests.support.obliterations import LARGE, SECRET, obliterate, open_films
from tests.support.release import (
    AGE,
    assert_whole,
    connected,
    count_rows,
    pass_time,
    release,
    release_now,
)
from tests.support.trees import build, commit, push, save, update, upload

Files = dict[str, bytes | str]
SHARED: Files = {"same/x": b"x", "films/new/y": b"y"}


async def save_line(on: Branches, branch: str, head: str, count: int = 3) -> str:
    """Pushes some commits to a new branch, which change one directory; returns the last one."""
    first = update(branch, "", head)
    await push(on.api, on.who, on.repository, [], [first])
    for _ in range(count):
        files = SHARED | {"films/cut": f"{branch} {head}".encode()}
        head = await save(on.api, on.who, on.repository, files, parent=head, branch=branch)
    return head


async def read_counters(on: Branches) -> tuple[int, ...]:
    """The counters of a repository that pushes keep."""
    query = "SELECT commit_count, file_count, logical_bytes FROM repository_stats WHERE repo_id = $1::uuid"
    [row] = await on.api.fetch(query, on.repository.id)
    return tuple(row)


async def test_what_nothing_reaches_for_30_days_goes_with_all_that_only_it_had(api: Api) -> None:
    on = await Branches.open(api)
    base = await save(api, on.who, on.repository, SHARED)
    kept = await count_rows(api, on.repository.id), await read_counters(on)
    head = await save_line(on, "look", base)
    grown = await count_rows(api, on.repository.id)
    # Each version has another root, `films` and file; `same` and `films/new` are the same ones.
    assert grown | {"commits": 4, "manifests": 4 + 6, "assets": 2 + 3} == grown
    assert await release_now(api, on.repository.id) == 0
    await on.delete("look", head)
    await pass_time(api, on.repository.id, AGE - timedelta(minutes=1))
    assert await release(api, on.repository.id) == 0
    await pass_time(api, on.repository.id, timedelta(minutes=1))
    assert await release(api, on.repository.id) == 3 + 6
    assert (await count_rows(api, on.repository.id), await read_counters(on)) == kept
    await assert_whole(api, on.repository.id)
    assert await release_now(api, on.repository.id) == 0
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await on.create("back", head)
    with refused(StatusCode.FAILED_PRECONDITION, "HISTORY_MISSING"):
        await push(api, on.who, on.repository, [], [update("back", "", head)])
    child = commit(build(SHARED), head)
    with refused(StatusCode.FAILED_PRECONDITION, "HISTORY_MISSING"):
        await push(api, on.who, on.repository, [child], [update("back", "", commit_hash(child))])


async def test_a_forced_move_leaves_commits_that_can_be_had_back_for_30_days(api: Api) -> None:
    on = await Branches.open(api)
    base = await save(api, on.who, on.repository, SHARED)
    head = await save_line(on, "look", base)
    back = pb.UpdateBranchRequest(
        repository=on.repository.id, name="look", new_head=base, expected_head=head, force=True
    )
    await api.refs.UpdateBranch(back, metadata=on.who.auth)
    await pass_time(api, on.repository.id, timedelta(days=29))
    assert await release(api, on.repository.id) == 0
    # Reset to the old commit, and away from it again: its time begins anew.
    await on.create("rescued", head)
    await pass_time(api, on.repository.id, timedelta(days=2))
    assert await release(api, on.repository.id) == 0
    await on.delete("rescued", head)
    await pass_time(api, on.repository.id, timedelta(days=29))
    assert await release(api, on.repository.id) == 0
    assert (await count_rows(api, on.repository.id))["commits"] == 4
    await pass_time(api, on.repository.id, timedelta(days=1))
    assert await release(api, on.repository.id) == 3 + 6
    await assert_whole(api, on.repository.id)
    # A push brings all of it again.
    assert await save_line(on, "again", base)


async def test_directories_that_others_have_too_stay(api: Api) -> None:
    on = await Branches.open(api)
    base = await save(api, on.who, on.repository, SHARED)
    cut = SHARED | {"films/cut": b"the same"}
    gone = await save(api, on.who, on.repository, {**cut, "z": b"z"}, parent=base)
    # As by a rebase: the root is another one, `films` is not.
    tree = build({**cut, "other/z": b"z"})
    kept = commit(tree, base)
    move = update("main", gone, commit_hash(kept), force=True)
    await push(api, on.who, on.repository, [kept], [move], [tree])
    assert await release_now(api, on.repository.id) == 1 + 1
    await assert_whole(api, on.repository.id)
    counts = await count_rows(api, on.repository.id)
    # Two versions of root and `films`, and `same`, `films/new`, `other`.
    assert (counts["commits"], counts["manifests"], counts["assets"]) == (2, 7, 4)


async def test_tags_and_merges_keep_what_they_reach(api: Api) -> None:
    on = await Branches.open(api)
    base = await save(api, on.who, on.repository, SHARED)
    left, right = await save_line(on, "left", base), await save_line(on, "right", base, 2)
    merge = commit(build(SHARED), left, right)
    await push(api, on.who, on.repository, [merge], [update("left", left, commit_hash(merge))])
    tag = pb.CreateTagRequest(repository=on.repository.id, name="v1", head=right)
    await api.refs.CreateTag(tag, metadata=on.who.auth)
    await on.delete("right", right)
    await on.delete("left", commit_hash(merge))
    # The merge and its left side go, the right side is tagged.
    assert await release_now(api, on.repository.id) == 1 + 3 + 6
    await assert_whole(api, on.repository.id)
    delete = pb.DeleteTagRequest(repository=on.repository.id, name="v1", expected_head=right)
    await api.refs.DeleteTag(delete, metadata=on.who.auth)
    assert await release(api, on.repository.id) == 0
    assert await release_now(api, on.repository.id) == 2 + 4
    await assert_whole(api, on.repository.id)
    assert (await count_rows(api, on.repository.id))["former_heads"] == 0


async def test_a_base_that_goes_leaves_what_was_stored_as_deltas_to_it(api: Api) -> None:
    on = await Branches.open(api)
    many: Files = {f"many/{n:04}-{'x' * 60}": b"%d" % (n % 7) for n in range(900)}
    gone = await save(api, on.who, on.repository, many | {"many/film": b"gone"})
    for branch in ("a", "b", "c"):
        tree = build(many | {f"many/{branch}": branch.encode()})
        await upload(api, on.who, on.repository, tree.chunks)
        child, alone = commit(tree, gone), commit(tree)
        name = commit_hash(child)
        await push(api, on.who, on.repository, [child], [update("x", "", name)], [tree])
        move = update(branch, "", commit_hash(alone))
        await push(api, on.who, on.repository, [alone], [move])
        await on.delete("x", name)
    await push(
        api, on.who, on.repository, [], [update("main", gone, commit_hash(alone), force=True)]
    )
    # Three versions of `many` are deltas to the one that goes.
    assert await count_deltas(on) == 3
    before = await count_stored_bytes(on)
    assert await release_now(api, on.repository.id) == 4 + 2
    await assert_whole(api, on.repository.id)
    # The first of them stands alone, the others are deltas to it.
    assert await count_deltas(on) == 2
    assert await count_stored_bytes(on) < 1.1 * before


async def count_deltas(on: Branches) -> int:
    """How many directories are stored as deltas."""
    query = "SELECT count(delta_base) FROM manifests WHERE repo_id = $1::uuid"
    return int(await on.api.value(query, on.repository.id))


async def count_stored_bytes(on: Branches) -> int:
    """The bytes of all directories as they are stored."""
    query = "SELECT sum(octet_length(content)) FROM manifests WHERE repo_id = $1::uuid"
    return int(await on.api.value(query, on.repository.id))


async def test_what_is_obliterated_gives_back_no_chunks(api: Api) -> None:
    films, first, head = await open_films(api)
    on = Branches(api, films.repository, films.owner)
    await obliterate(films, "d/secret.mov", SECRET)
    await obliterate(films, "large", LARGE)
    base = await save(api, on.who, on.repository, {"a": b"1"}, branch="other")
    await push(api, on.who, on.repository, [], [update("main", head, base, force=True)])
    # Two versions of root and `d`, and the commits.
    assert await release_now(api, films.id) == 2 + 4
    await assert_whole(api, films.id)
    assert await read_counters(on) == (1, 1, 1)
    assert (
        await api.value("SELECT count(*) FROM released_lists WHERE repo_id = $1::uuid", films.id)
        == 0
    )
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await on.create("back", first)


async def test_a_transaction_deletes_so_many_directories_as_fit_into_memory(api: Api) -> None:
    on = await Branches.open(api)
    base = await save(api, on.who, on.repository, SHARED)
    await on.delete("look", await save_line(on, "look", base))
    await pass_time(api, on.repository.id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directories, "DELETED_BYTES", 1)
        async with (
            connected(api) as database,
            aclosing(release_history(database, UUID(on.repository.id), AGE)) as counts,
        ):
            deleted = [count async for count in counts if count]
    assert deleted == [3] + 6 * [1]
    await assert_whole(api, on.repository.id)


async def test_a_release_that_was_broken_off_goes_on(api: Api) -> None:
    on = await Branches.open(api)
    base = await save(api, on.who, on.repository, SHARED)
    kept = await count_rows(api, on.repository.id)
    for branch in ("a", "b"):
        await on.delete(branch, await save_line(on, branch, base))
    await pass_time(api, on.repository.id)
    async with connected(api) as database:
        for steps in range(1, 8):
            work = release_history(database, UUID(on.repository.id), AGE)
            async with aclosing(work) as counts:
                for _ in range(steps):
                    if await anext(counts, None) is None:
                        break
            await assert_whole(api, on.repository.id)
    await release(api, on.repository.id)
    assert await count_rows(api, on.repository.id) == kept


async def test_deleted_repositories_wait_for_their_purge(api: Api) -> None:
    on = await Branches.open(api)
    base = await save(api, on.who, on.repository, SHARED)
    await on.delete("look", await save_line(on, "look", base))
    query = "UPDATE repositories SET deleted_at = {} WHERE id = $1::uuid"
    await api.fetch(query.format("now()"), on.repository.id)
    before = await count_rows(api, on.repository.id)
    assert await release_now(api, on.repository.id) == 0
    assert await count_rows(api, on.repository.id) == before
    await api.fetch(query.format("NULL"), on.repository.id)
    assert await release(api, on.repository.id) == 3 + 6
