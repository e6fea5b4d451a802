"""Push: what it takes, what it refuses, and that it is all or nothing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import CommitContent, Directory, Entry, Manifest, Symlink
from dits.repo.v1.ref_service_pb2 import GetBranchRequest
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from shared.formats import manifests
from shared.formats.canonical import content_hash
from shared.formats.commits import commit_hash
from tests.support import trees
from tests.support.api import Api, refused
from tests.support.counters import assert_counters
from tests.support.trees import build, commit, push, push_commit, save, update, upload

FILES: dict[str, bytes | str] = {
    "readme.txt": b"hello",
    "shots/010.exr": b"x" * 2500,
    "shots/020.exr": b"y" * 1500 + b"x" * 1000,
    "shots/deep/again.exr": b"x" * 2500,
    "empty": b"",
    "latest": "shots/020.exr",
}


async def head(api: Api, who: Any, repository: Any, branch: str = "main") -> str:
    request = GetBranchRequest(repository=repository.id, name=branch)
    return str((await api.refs.GetBranch(request, metadata=who.auth)).branch.head)


async def counts(api: Api) -> dict[str, int]:
    tables = ("manifests", "commits", "assets", "branches")
    return {table: await api.value(f"SELECT count(*) FROM {table}") for table in tables}


async def test_a_first_push_and_a_second(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, FILES)
    assert await counts(api) == {"manifests": 3, "commits": 1, "assets": 4, "branches": 1}
    second = await save(api, ada, repository, {**FILES, "readme.txt": b"bye"}, parent=first)
    assert await head(api, ada, repository) == second
    # Only the top directory changed.
    assert await counts(api) == {"manifests": 4, "commits": 2, "assets": 5, "branches": 1}
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


async def test_missing_chunks_are_listed_and_nothing_happens(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = build(FILES)
    absent = sorted(tree.chunks)[0]
    await upload(api, ada, repository, {k: v for k, v in tree.chunks.items() if k != absent})
    made = commit(tree)
    before = await counts(api)
    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING") as refusal:
        await push_commit(api, ada, repository, made, tree)
    assert refusal.metadata == {"count": "1", "hashes": absent.hex()}
    assert await counts(api) == before


async def test_another_repositorys_chunks_do_not_count(api: Api) -> None:
    ada = await api.account()
    one, two = await api.repository(ada), await api.repository(ada)
    tree = build({"a": b"secret"})
    await upload(api, ada, one, tree.chunks)
    made = commit(tree)
    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING"):
        await push_commit(api, ada, two, made, tree)


async def test_of_two_pushes_from_one_head_one_wins(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, FILES)
    attempts = [
        save(api, ada, repository, {**FILES, "n": str(n).encode()}, parent=first) for n in range(4)
    ]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    winners = [r for r in results if isinstance(r, str)]
    losers = [r for r in results if isinstance(r, grpc.aio.AioRpcError)]
    assert len(winners) == 1
    assert {error.code() for error in losers} == {StatusCode.ABORTED}
    assert await head(api, ada, repository) == winners[0]
    assert (await counts(api))["commits"] == 2
    await assert_counters(api.dsn)


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
    assert await head(api, ada, repository) == first


async def test_a_branch_only_moves_forward_unless_forced(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, {"a": b"1"})
    second = await save(api, ada, repository, {"a": b"2"}, parent=first)
    with refused(StatusCode.FAILED_PRECONDITION, "NOT_FAST_FORWARD") as refusal:
        await push(api, ada, repository, [], [update("main", second, first)])
    assert refusal.metadata == {"branch": "main", "current": second, "new": first}
    await push(api, ada, repository, [], [update("main", second, first, force=True)])
    assert await head(api, ada, repository) == first
    await push(api, ada, repository, [], [update("main", first, second)])
    assert await head(api, ada, repository) == second


async def test_large_files_bring_recipes(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    data = b"".join(n.to_bytes(4, "big") * 250 for n in range(1100))
    await save(api, ada, repository, {"film.mov": data, "tail": data[:1000]})
    assert await api.value("SELECT chunk_count FROM assets ORDER BY size DESC LIMIT 1") == 1100
    assert await api.value("SELECT count(*) FROM chunk_refs WHERE ref_count > 0") == 1101
    await assert_counters(api.dsn)


async def test_a_missing_recipe_is_a_missing_chunk(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = build({"film.mov": bytes(range(256)) * 5000})
    made = commit(tree)
    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING"):
        await push_commit(api, ada, repository, made, tree)


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


def _bad(change: Callable[[CommitContent], None]) -> CommitContent:
    made = commit("00" * 32)
    change(made)
    return made


HEADER = pb.PushRequest(header=pb.PushHeader(repository="set by the test"))
COMMITS = pb.PushRequest(commits=pb.PushCommits())
MANIFESTS = pb.PushRequest(manifests=pb.PushManifests())
REFS = pb.PushRequest(refs=pb.PushRefs(updates=[update("main", "", "ab" * 32)]))


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [HEADER],
        [HEADER, HEADER, REFS],
        [HEADER, REFS, REFS],
        [HEADER, COMMITS, MANIFESTS, REFS],
        [HEADER, pb.PushRequest()],
    ],
    ids=["nothing", "header", "two headers", "two refs", "commits first", "empty part"],
)  # fmt: skip
async def test_the_stream_has_an_order(api: Api, requests: list[pb.PushRequest]) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    sent = [
        pb.PushRequest(header=pb.PushHeader(repository=repository.id)) if r is HEADER else r
        for r in requests
    ]
    with refused(StatusCode.INVALID_ARGUMENT, "STREAM_ORDER"):
        await trees.send(api, ada, sent)


NO_HASH = Entry(name="a", directory=Directory())
TOO_MANY = [bytes([n]) * 32 for n in range(65)]


def links(*names: str) -> Manifest:
    return Manifest(entries=[Entry(name=name, symlink=Symlink(target="x")) for name in names])


def signed(**fields: Any) -> Callable[[CommitContent], None]:
    def change(made: CommitContent) -> None:
        for name, value in fields.items():
            setattr(made.author, name, value)

    return change


@pytest.mark.parametrize(
    ("field", "part"),
    [
        ("refs.updates.branch", update("a..b", "", "ab" * 32)),
        ("refs.updates.branch", update("HEAD", "", "ab" * 32)),
        ("refs.updates.branch", update("ab" * 32, "", "ab" * 32)),
        ("refs.updates.new_head", update("main", "", "AB" * 32)),
        ("refs.updates.expected_head", update("main", "zz", "ab" * 32)),
        ("refs.updates.ref", pb.RefUpdate(new_head="ab" * 32)),
        ("commits.tree_hash", _bad(lambda c: setattr(c, "tree_hash", b"short"))),
        ("commits.parent_hashes", _bad(lambda c: c.parent_hashes.extend([b"p" * 32] * 2))),
        ("commits.parent_hashes", _bad(lambda c: c.parent_hashes.extend(TOO_MANY))),
        ("commits.author.name", _bad(signed(name="a\0b"))),
        ("commits.author.name", _bad(signed(name="x" * 256))),
        ("commits.author.time_us", _bad(signed(time_us=1 << 62))),
        ("commits.author.offset_minutes", _bad(signed(offset_minutes=1440))),
        ("commits.message", _bad(lambda c: setattr(c, "message", "x" * 262_145))),
        ("manifests.entries[0].name", links("..")),
        ("manifests.entries[0].name", links("a/b")),
        ("manifests.entries[0].name", links("e\u0301")),
        ("manifests.entries[1].name", links("b", "a")),
        ("manifests.entries[0].kind", Manifest(entries=[Entry(name="a")])),
        ("manifests.entries[0].directory.manifest_hash", Manifest(entries=[NO_HASH])),
    ],
)  # fmt: skip
async def test_every_part_is_checked(api: Api, field: str, part: Any) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    requests = [pb.PushRequest(header=pb.PushHeader(repository=repository.id))]
    if isinstance(part, pb.RefUpdate):
        requests.append(pb.PushRequest(refs=pb.PushRefs(updates=[part])))
    elif isinstance(part, CommitContent):
        requests += [pb.PushRequest(commits=pb.PushCommits(commits=[part])), REFS]
    else:
        content = part.SerializeToString(deterministic=True)
        requests += [pb.PushRequest(manifests=pb.PushManifests(manifests=[content])), REFS]
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await trees.send(api, ada, requests)
    assert refusal.detail(BadRequest).field_violations[0].field == field


async def test_a_manifest_must_be_canonical(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    content = next(iter(build({"a": b"1"}).manifests.values()))
    for bad in (content + b"\x78\x01", b"\xff\xff", content[:-1]):
        requests = [
            pb.PushRequest(header=pb.PushHeader(repository=repository.id)),
            pb.PushRequest(manifests=pb.PushManifests(manifests=[bad])),
        ]
        with refused(StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH"):
            await trees.send(api, ada, requests)


async def test_history_must_be_complete(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = build({"a/b": b"1"})
    await upload(api, ada, repository, tree.chunks)
    only_top = trees.Tree(tree.root, {tree.root: tree.manifests[tree.root]})
    for made, part in (
        (commit(tree), only_top),
        (commit("12" * 32), trees.Tree()),
        (commit(tree, "34" * 32), tree),
    ):
        with refused(StatusCode.FAILED_PRECONDITION, "HISTORY_MISSING"):
            await push_commit(api, ada, repository, made, part)
    with refused(StatusCode.FAILED_PRECONDITION, "HISTORY_MISSING"):
        await push(api, ada, repository, [], [update("main", "", "56" * 32)])


async def test_a_manifest_that_no_commit_reaches_is_refused(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree, stray = build({"a": b"1"}), build({"not": b"named"})
    await upload(api, ada, repository, tree.chunks)
    made = commit(tree)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await push_commit(api, ada, repository, made, tree, stray)


async def test_children_come_before_parents(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = build({"a/b": b"1"})
    await upload(api, ada, repository, tree.chunks)
    tree.manifests = dict(reversed(tree.manifests.items()))
    made = commit(tree)
    with refused(StatusCode.INVALID_ARGUMENT, "STREAM_ORDER"):
        await push_commit(api, ada, repository, made, tree)


async def test_one_content_has_one_recipe(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    data = b"0123456789" * 200
    first = await save(api, ada, repository, {"a": data})
    # The same content, cut elsewhere.
    entry = trees.file_entry("b", data, {})
    from blake3 import blake3

    pieces = [data[:700], data[700:]]
    entry.file.chunk_hashes = b"".join(blake3(piece).digest() for piece in pieces)
    entry.file.chunk_sizes[:] = map(len, pieces)
    await upload(api, ada, repository, {blake3(piece).digest(): piece for piece in pieces})
    content = manifests.encode_manifest(Manifest(entries=[entry]))
    tree = trees.Tree(content_hash(content), {content_hash(content): content})
    made = commit(tree, first)
    with refused(StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH"):
        await push_commit(api, ada, repository, made, tree, expected=first)


async def test_chunks_have_the_size_that_the_file_says(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    chunks: dict[bytes, bytes] = {}
    entry = trees.file_entry("a", b"x" * 1000 + b"y" * 500, chunks)
    entry.file.chunk_sizes[:] = [900, 600]
    await upload(api, ada, repository, chunks)
    content = manifests.encode_manifest(Manifest(entries=[entry]))
    tree = trees.Tree(content_hash(content), {content_hash(content): content})
    made = commit(tree)
    with refused(StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH"):
        await push_commit(api, ada, repository, made, tree)


async def test_settings_refuse_files(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    await api.fetch(
        "UPDATE repository_settings SET max_file_size_bytes = 10, allowed_extensions = '{exr}'"
    )
    for files, rule in (
        ({"a.exr": b"x" * 11}, "max_file_size_bytes"),
        ({"a.exe": b""}, "allowed_extensions"),
    ):
        with refused(StatusCode.FAILED_PRECONDITION, "FILE_REFUSED") as refusal:
            await save(api, ada, repository, files)
        assert refusal.metadata["rule"] == rule
    await save(api, ada, repository, {"a.EXR": b"x" * 10})


async def test_readers_cannot_push_and_strangers_see_nothing(api: Api) -> None:
    ada, bob, eve = [await api.account() for _ in range(3)]
    repository = await api.repository(ada)
    await api.grant(repository, bob, "read")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await push(api, bob, repository, [], [update("main", "", "ab" * 32)])
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await push(api, eve, repository, [], [update("main", "", "ab" * 32)])


async def test_an_archived_repository_is_read_only(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, {"a": b"1"})
    await api.fetch("UPDATE repositories SET archived = true")
    # The cached access check is dropped by a notification; the transaction itself refuses in any case.
    with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
        await push(api, ada, repository, [], [update("side", "", first)])
    assert await head(api, ada, repository) == first
