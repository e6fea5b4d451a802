"""Push: contents that are missing or contradict what is stored, rules, and rights."""

from __future__ import annotations

from blake3 import blake3
from dits.repo.v1.manifest_pb2 import Manifest
from grpc import StatusCode

from shared.formats import manifests
from shared.formats.canonical import content_hash
from tests.support import trees
from tests.support.api import Api, refused
from tests.support.branches import read_head
from tests.support.counters import count_history
from tests.support.trees import build, commit, push, push_commit, save, update, upload


async def test_missing_chunks_are_listed_and_nothing_happens(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = build({"a": b"1", "b/c": b"2"})
    absent = sorted(tree.chunks)[0]
    await upload(api, ada, repository, {k: v for k, v in tree.chunks.items() if k != absent})
    made = commit(tree)
    before = await count_history(api.dsn)
    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING") as refusal:
        await push_commit(api, ada, repository, made, tree)
    assert refusal.metadata == {"count": "1", "hashes": absent.hex()}
    assert await count_history(api.dsn) == before


async def test_another_repositorys_chunks_do_not_count(api: Api) -> None:
    ada = await api.account()
    one, two = await api.repository(ada), await api.repository(ada)
    tree = build({"a": b"secret"})
    await upload(api, ada, one, tree.chunks)
    made = commit(tree)
    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING"):
        await push_commit(api, ada, two, made, tree)


async def test_a_missing_recipe_is_a_missing_chunk(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = build({"film.mov": bytes(range(256)) * 5000})
    made = commit(tree)
    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING"):
        await push_commit(api, ada, repository, made, tree)


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


async def test_one_content_has_one_recipe(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    data = b"0123456789" * 200
    first = await save(api, ada, repository, {"a": data})
    # The same content, cut elsewhere.
    entry = trees.file_entry("b", data, {})

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
    assert await read_head(api, ada, repository) == first
