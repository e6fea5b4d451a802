"""Push: what it stores, and that all of it happens once or not at all."""

from __future__ import annotations

import asyncio
import uuid

from grpc import StatusCode

from shared.formats.commits import commit_hash
from tests.support.api import Api, refused
from tests.support.branches import read_head
from tests.support.counters import assert_counters, count_history
from tests.support.trees import build, commit, push, save, update, upload

FILES: dict[str, bytes | str] = {
    "readme.txt": b"hello",
    "shots/010.exr": b"x" * 2500,
    "shots/020.exr": b"y" * 1500 + b"x" * 1000,
    "shots/deep/again.exr": b"x" * 2500,
    "empty": b"",
    "latest": "shots/020.exr",
}


async def test_a_first_push_and_a_second(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, FILES)
    assert await count_history(api.dsn) == {
        "manifests": 3,
        "commits": 1,
        "assets": 4,
        "branches": 1,
    }
    second = await save(api, ada, repository, {**FILES, "readme.txt": b"bye"}, parent=first)
    assert await read_head(api, ada, repository) == second
    # Only the top directory changed.
    assert await count_history(api.dsn) == {
        "manifests": 4,
        "commits": 2,
        "assets": 5,
        "branches": 1,
    }
    await assert_counters(api.dsn)


async def test_the_branch_row_knows_that_it_is_the_default(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, FILES)
    await save(api, ada, repository, {"a": b"b"}, parent="", branch="side")
    rows = await api.fetch("SELECT name, head_commit, is_default FROM branches ORDER BY name")
    assert [(r["name"], r["is_default"]) for r in rows] == [("main", True), ("side", False)]
    assert rows[0]["head_commit"] == first


async def test_directories_know_what_is_below_them(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    await save(api, ada, repository, FILES)
    row = (await api.fetch("SELECT * FROM manifests ORDER BY entry_count DESC LIMIT 1"))[0]
    assert row["entry_count"] == 8
    assert row["total_size"] == 5 + 3 * 2500
    assert row["chunk_count"] == 1 + 3 * 3
    assert row["parent_hash"] is None


async def test_a_directory_remembers_the_one_it_replaced(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    old, new = build(FILES), build({**FILES, "shots/010.exr": b"z"})
    first = await save(api, ada, repository, FILES)
    await save(api, ada, repository, {**FILES, "shots/010.exr": b"z"}, parent=first)
    assert (
        await api.value("SELECT parent_hash FROM manifests WHERE hash = $1", new.root) == old.root
    )


async def test_a_push_can_be_repeated(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = build(FILES)
    await upload(api, ada, repository, tree.chunks)
    made = commit(tree)
    name = commit_hash(made)
    moves = [update("main", "", name)]
    for request_id in ("", str(uuid.uuid4())):
        for _ in range(2):
            answer = await push(api, ada, repository, [made], moves, [tree], request_id=request_id)
            assert answer.refs[0].head == name
    await assert_counters(api.dsn)


async def test_a_request_id_gives_the_first_result(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree, request_id = build(FILES), str(uuid.uuid4())
    await upload(api, ada, repository, tree.chunks)
    made = commit(tree)
    moves = [update("main", "", commit_hash(made))]
    first, second = await asyncio.gather(
        *(push(api, ada, repository, [made], moves, [tree], request_id=request_id) for _ in "ab")
    )
    assert first == second
    assert first.new_commit_count == 1
    with refused(StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await push(api, ada, repository, [], [update("other", "", moves[0].new_head)],
                   request_id=request_id)  # fmt: skip


async def test_all_refs_move_or_none(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, FILES)
    tree = build({"a": b"1"})
    await upload(api, ada, repository, tree.chunks)
    made = commit(tree, first)
    name = commit_hash(made)
    moves = [update("main", first, name), update("side", first, name)]
    with refused(StatusCode.ABORTED, "HEAD_MOVED") as refusal:
        await push(api, ada, repository, [made], moves, [tree])
    assert refusal.metadata == {"branch": "side", "expected": first, "current": ""}
    assert await read_head(api, ada, repository) == first


async def test_a_branch_only_moves_forward_unless_forced(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, {"a": b"1"})
    second = await save(api, ada, repository, {"a": b"2"}, parent=first)
    with refused(StatusCode.FAILED_PRECONDITION, "NOT_FAST_FORWARD") as refusal:
        await push(api, ada, repository, [], [update("main", second, first)])
    assert refusal.metadata == {"branch": "main", "current": second, "new": first}
    await push(api, ada, repository, [], [update("main", second, first, force=True)])
    assert await read_head(api, ada, repository) == first
    await push(api, ada, repository, [], [update("main", first, second)])
    assert await read_head(api, ada, repository) == second


async def test_large_files_bring_recipes(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    data = b"".join(n.to_bytes(4, "big") * 250 for n in range(1100))
    await save(api, ada, repository, {"film.mov": data, "tail": data[:1000]})
    assert await api.value("SELECT chunk_count FROM assets ORDER BY size DESC LIMIT 1") == 1100
    assert await api.value("SELECT count(*) FROM chunk_refs WHERE ref_count > 0") == 1101
    await assert_counters(api.dsn)


async def test_a_merge_takes_over_what_colleagues_did(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    base = await save(api, ada, repository, {"a": b"1", "b": b"1"})
    main = await save(api, ada, repository, {"a": b"2", "b": b"1"}, parent=base)
    tree = build({"a": b"1", "b": b"2"})
    merged = build({"a": b"2", "b": b"2"})
    await upload(api, ada, repository, {**tree.chunks, **merged.chunks})
    side = commit(tree, base)
    merge = commit(merged, commit_hash(side), main)
    name = commit_hash(merge)
    await push(api, ada, repository, [side, merge], [update("main", main, name)], [tree, merged])
    assert await api.value("SELECT generation FROM commits WHERE hash = $1", name) == 2
