"""Large directories of which little changes: how they are stored, and that every version can be read."""

from __future__ import annotations

import itertools
from uuid import UUID

import pytest
from blake3 import blake3
from dits.repo.v1 import commit_service_pb2, tree_service_pb2
from grpc import StatusCode

from services.repo.history import manifests
from services.repo.history.manifest_forms import MAX_DELTA_DEPTH, compress_manifest
from services.repo.push.manifest_deltas import SHARED_BASE_BYTES
from shared.db.pool import Database
from shared.formats.commits import commit_hash
from tests.support.api import Api, refused
from tests.support.large_folders import LINKS, VERSIONS, LargeFolder, folder_of, make_links
from tests.support.trees import build, commit, push, save, update

# Bytes that one changed file in a folder of 50,000 may cost.
ONE_CHANGE_BYTES = 20_000


async def test_one_changed_file_among_50_000_is_stored_in_20_kb(api: Api) -> None:
    films = await LargeFolder.open(api)
    files: dict[str, bytes | str] = {f"shots/{n:05d}.exr": b"%d" % (n % 500) for n in range(50_000)}
    first = await save(api, films.ada, films.repository, files)
    changed = {**files, "shots/31234.exr": b"changed"}
    before = {row["hash"] for row in await api.fetch("SELECT hash FROM manifests")}
    head = await save(api, films.ada, films.repository, changed, parent=first)
    sizes = await api.fetch(
        "SELECT pg_column_size(content) FROM manifests WHERE hash <> ALL ($1::text[])", list(before)
    )
    assert len(sizes) == 2
    assert sum(size for (size,) in sizes) <= ONE_CHANGE_BYTES
    assert await films.stream(head) == set(build(changed).manifests.values())
    assert await films.stream(first) == set(build(files).manifests.values())
    request = tree_service_pb2.GetEntryRequest(
        repository=films.repository.id, path="shots/31234.exr"
    )
    entry = await api.trees.GetEntry(request, metadata=films.ada.auth)
    assert entry.entry.hash == blake3(b"changed").hexdigest()


async def test_small_changes_share_a_base(api: Api) -> None:
    films = await LargeFolder.open(api)
    await films.push_changes(1)
    assert await films.depths() == [0] + [1] * (VERSIONS - 1)
    largest = await api.value(
        "SELECT max(pg_column_size(content)) FROM manifests WHERE delta_base IS NOT NULL"
    )
    assert largest <= SHARED_BASE_BYTES
    await films.assert_readable()


async def test_larger_changes_make_chains_of_at_most_16(api: Api) -> None:
    films = await LargeFolder.open(api)
    await films.push_changes(LINKS // 10)
    depths = await films.depths()
    cycle = list(range(MAX_DELTA_DEPTH + 1))
    assert depths == (cycle * 3)[:VERSIONS]
    recorded = await api.fetch("SELECT hash, delta_depth, decoded_bytes FROM manifests")
    known = {row["hash"]: (row["delta_depth"], row["decoded_bytes"]) for row in recorded}
    for depth, tree in zip(depths, films.trees, strict=True):
        folder = folder_of(tree)
        assert known[folder] == (depth, (depth + 1) * len(tree.manifests[folder]))
    await films.assert_readable()


async def test_versions_of_one_push_are_deltas_to_one_another(api: Api) -> None:
    films = await LargeFolder.open(api)
    # Each version has the changes of those before.
    films.trees = [build(make_links(dict.fromkeys(range(n * 150), 1))) for n in range(4)]
    made = [commit(films.trees[0])]
    for tree in films.trees[1:]:
        made.append(commit(tree, commit_hash(made[-1])))
    moves = [update("main", "", commit_hash(made[-1]))]
    await push(api, films.ada, films.repository, made, moves, films.trees)
    assert await films.depths() == [0, 1, 2, 3]
    await films.assert_readable()


async def test_a_push_that_goes_back_and_forth(api: Api) -> None:
    """Each of the two folders was the other one before."""
    films = await LargeFolder.open(api)
    await films.push(make_links({}))
    one, two = build(make_links({1: 1})), build(make_links({2: 1}))
    made = [commit(one, films.head)]
    for tree in (two, one, two):
        made.append(commit(tree, commit_hash(made[-1])))
    moves = [update("main", films.head, commit_hash(made[-1]))]
    await push(api, films.ada, films.repository, made, moves, [two, one])
    films.trees += [one, two]
    assert max(await films.depths()) <= 2
    await films.assert_readable()


async def test_a_folder_that_becomes_small_does_not_drag_a_large_one_along(api: Api) -> None:
    """To read the small one, the large one would have to be decoded."""
    films = await LargeFolder.open(api)
    large: dict[str, bytes | str] = {
        f"folder/{n:05d}": blake3(b"%d" % n).hexdigest() for n in range(25_000)
    }
    await films.push(large)
    small = dict(list(large.items())[:1_000])
    folder = await films.push(small)
    assert len(films.trees[-1].manifests[folder]) > 64 << 10
    assert await films.depths() == [0, 0]
    await films.assert_readable()


async def test_a_comparison_reads_two_deep_chains(api: Api) -> None:
    films = await LargeFolder.open(api)
    await films.push(make_links({}))
    root, heads = films.head, list[str]()
    for branch in range(2):
        films.head, now = root, dict[int, int]()
        for version in range(1, 10):
            now |= dict.fromkeys(range(100 * version + branch, 100 * version + 100, 2), 1 + branch)
            tree = build(make_links(now))
            made = commit(tree, films.head)
            moves = [update(f"b{branch}", films.head if version > 1 else "", commit_hash(made))]
            await push(api, films.ada, films.repository, [made], moves, [tree])
            films.head = commit_hash(made)
            films.trees.append(tree)
        heads.append(films.head)
    assert max(await films.depths()) >= 5
    request = commit_service_pb2.FindChangesSinceRequest(
        repository=films.repository.id,
        revision="b0",
        base_commit=heads[1],
        paths=[f"folder/link_{n:05d}" for n in (0, 900, 901, 902)],
    )
    answer = await api.commits.FindChangesSince(request, metadata=films.ada.auth)
    found = {change.path: change.commit_hash for change in answer.changes}
    # Those with odd numbers were changed by the other branch alone.
    assert found == {"folder/link_00900": heads[0], "folder/link_00902": heads[0]}


DAMAGES = {
    "no zstd": "SET content = 'nothing'",
    "empty": "SET content = ''",
    "another manifest": "SET content = $2",
    "too large": "SET content = '\\x28b52ffde000ffffffffffffff01'",
    "a byte": "SET content = set_byte(content, 300, get_byte(content, 300) # 255)",
}


async def test_a_damaged_manifest_is_data_loss(api: Api, subtests: pytest.Subtests) -> None:
    films = await LargeFolder.open(api)
    old = await films.push(make_links({}))
    new = await films.push(make_links(dict.fromkeys(range(20), 1)))
    other = compress_manifest(build(make_links({3: 3})).manifests.popitem()[1])
    for what, damaged in itertools.product(DAMAGES, (old, new)):
        with subtests.test(what, what="base" if damaged == old else "delta"):
            content = await api.value("SELECT content FROM manifests WHERE hash = $1", damaged)
            arguments = [other] if "$2" in DAMAGES[what] else []
            statement = f"UPDATE manifests {DAMAGES[what]} WHERE hash = $1"
            await api.fetch(statement, damaged, *arguments)
            await assert_all_refused(films, new)
            await api.fetch("UPDATE manifests SET content = $2 WHERE hash = $1", damaged, content)
            await films.fetch(new)


async def assert_all_refused(films: LargeFolder, folder: str) -> None:
    """Whatever reads the folder ends with DATA_LOSS."""
    repository, auth = films.repository.id, films.ada.auth
    with refused(StatusCode.DATA_LOSS, "MANIFEST_CORRUPT"):
        await films.fetch(folder)
    with refused(StatusCode.DATA_LOSS, "MANIFEST_CORRUPT"):
        await films.stream()
    with refused(StatusCode.DATA_LOSS, "MANIFEST_CORRUPT"):
        listing = tree_service_pb2.ListDirectoryRequest(repository=repository, path="folder")
        await films.api.trees.ListDirectory(listing, metadata=auth)
    with refused(StatusCode.DATA_LOSS, "MANIFEST_CORRUPT"):
        asked = tree_service_pb2.GetEntryRequest(repository=repository, path="folder/link_00001")
        await films.api.trees.GetEntry(asked, metadata=auth)
    with refused(StatusCode.DATA_LOSS, "MANIFEST_CORRUPT"):
        await films.push(make_links({1: 2}))


async def test_bases_that_go_round_are_data_loss(api: Api) -> None:
    films = await LargeFolder.open(api)
    await films.push_changes(LINKS // 10, versions=3)
    first, _, third = map(folder_of, films.trees)
    await api.fetch(
        "UPDATE manifests SET delta_base = $2, delta_depth = 1 WHERE hash = $1", first, third
    )
    with refused(StatusCode.DATA_LOSS, "MANIFEST_CORRUPT"):
        await films.fetch(third)


async def test_manifests_of_the_first_schema_stay_readable_and_become_bases(api: Api) -> None:
    films = await LargeFolder.open(api)
    await films.push(make_links({}))
    await api.fetch("UPDATE manifests SET decoded_bytes = DEFAULT")
    await films.push(make_links({1: 1}))
    await films.assert_readable()


async def test_statements_are_cut_by_the_bytes_that_are_decoded(
    api: Api, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = await LargeFolder.open(api)
    await films.push_changes(LINKS // 10, versions=6)
    contents = {d: c for tree in films.trees for d, c in tree.manifests.items()}
    folders = [folder_of(tree) for tree in films.trees]
    monkeypatch.setattr(manifests, "BATCH_BYTES", 3 * len(contents[folders[0]]))
    database = await Database.connect(dsn, service="test", size=1)
    read, statements = dict[str, bytes](), 0
    asked = [*contents, "0" * 64, "f" * 64]
    async for found, forms in manifests.read_forms(
        database.fetch, UUID(films.repository.id), asked
    ):
        read |= {digest: forms.open(digest) for digest in found}
        statements += 1
    await database.close()
    assert read == contents
    assert statements > 2
