"""What reads say of contents that were obliterated."""

from __future__ import annotations

from dits.repo.v1 import asset_pb2, tree_service_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.obliterations import (
    LARGE,
    SECRET,
    SHARING,
    WHY,
    name,
    obliterate,
    open_films,
)
from tests.support.trees import CHUNK, save


async def test_reads_show_it_at_every_path(api: Api) -> None:
    films, first, _ = await open_films(api)
    await obliterate(films, "d/secret.mov", SECRET)
    trees, auth = api.trees, films.owner.auth
    expected = {"d/secret.mov": WHY, "copy.mov": WHY, "d/other.mov": "", "d": ""}
    paths = tree_service_pb2.GetEntriesRequest(repository=films.id, paths=list(expected))
    entries = (await trees.GetEntries(paths, metadata=auth)).entries
    assert {each.path: each.entry.obliteration_reason for each in entries} == expected
    request = tree_service_pb2.GetEntryRequest(
        repository=films.id, path="d/secret.mov", revision=first
    )
    found = await trees.GetEntry(request, metadata=auth)
    assert (found.entry.obliteration_reason, found.entry.size) == (WHY, 2 * CHUNK)
    assert found.stored.file.hash.hex() == name(SECRET)
    folder = tree_service_pb2.ListDirectoryRequest(repository=films.id, path="d")
    listed = (await trees.ListDirectory(folder, metadata=auth)).entries
    assert [each.obliteration_reason for each in listed] == ["", "", WHY]
    every = tree_service_pb2.ListPathsRequest(repository=films.id)
    below = (await trees.ListPaths(every, metadata=auth)).entries
    assert {each.path for each in below if each.entry.obliteration_reason} == {
        "copy.mov",
        "d/secret.mov",
    }
    assets = asset_pb2.ListAssetsRequest(repository=films.id)
    contents = (await trees.ListAssets(assets, metadata=auth)).assets
    assert {each.hash: each.obliteration_reason for each in contents} == {
        name(SECRET): WHY, name(SHARING): "", name(LARGE): "", name(b"1"): ""
    }  # fmt: skip
    where = asset_pb2.FindAssetRequest(repository=films.id, hash=name(SECRET))
    assert (await trees.FindAsset(where, metadata=auth)).paths == ["copy.mov", "d/secret.mov"]


async def test_differences_show_it(api: Api) -> None:
    films, first, second = await open_films(api)
    smaller = {"large": LARGE[:-CHUNK]}
    third = await save(api, films.owner, films.repository, smaller, parent=second)
    await obliterate(films, "copy.mov", SECRET, revision=second)
    await obliterate(films, "large", LARGE, revision=second)

    async def changes(base: str, head: str) -> dict[str, tuple[str, bool]]:
        request = tree_service_pb2.DiffTreesRequest(
            repository=films.id, base=base, head=head, count_new_bytes=True
        )
        stream = api.trees.DiffTrees(request, metadata=films.owner.auth)
        found = [change async for part in stream for change in part.changes]
        return {
            each.path: (
                each.new.obliteration_reason or each.old.obliteration_reason,
                each.HasField("new_chunk_bytes"),
            )
            for each in found
        }

    assert await changes(first, second) == {"copy.mov": (WHY, False), "d/note": ("", True)}
    assert (await changes(second, third))["large"] == (WHY, False)


async def test_what_clients_stored_about_it_goes_too(api: Api) -> None:
    films, *_ = await open_films(api)
    metadata = Struct()
    metadata.update({"thumbnail": "a face"})
    request = asset_pb2.UpdateAssetMetadataRequest(
        repository=films.id,
        hash=name(SECRET),
        metadata=metadata,
        update_mask=FieldMask(paths=["metadata"]),
    )
    await api.trees.UpdateAssetMetadata(request, metadata=films.owner.auth)
    await obliterate(films, "d/secret.mov", SECRET)
    stored = await api.value("SELECT metadata::text FROM assets WHERE hash = $1", name(SECRET))
    assert "face" not in (stored or "")
    with refused(StatusCode.FAILED_PRECONDITION, "CONTENT_OBLITERATED"):
        await api.trees.UpdateAssetMetadata(request, metadata=films.owner.auth)
