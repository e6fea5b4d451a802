"""Contents of files: listed, found in trees, and described by clients."""

from __future__ import annotations

from typing import Any

import pytest
from blake3 import blake3
from dits.repo.v1 import asset_pb2 as pb
from dits.repo.v1.repository_service_pb2 import Repository
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode

from services.repo.trees import asset_search, assets
from tests.support.api import Account, Api, refused
from tests.support.trees import save

FILES: dict[str, bytes | str] = {
    "a/plate.PNG": b"1" * 300,
    "a/scene.blend": b"2" * 2500,
    "notes.txt": b"3" * 20,
    "b/other.txt": b"4" * 20,
    "b/copy.png": b"1" * 300,
    "empty": b"",
}


def name(data: bytes) -> str:
    return blake3(data).hexdigest()


async def list_assets(
    api: Api, who: Account, repository: Repository, size: int = 0, **fields: Any
) -> list[pb.Asset]:
    request = pb.ListAssetsRequest(repository=repository.id, page_size=size, **fields)
    listed: list[pb.Asset] = []
    while True:
        page = await api.trees.ListAssets(request, metadata=who.auth)
        assert len(page.assets) <= (size or 50)
        listed += page.assets
        request.page_token = page.next_page_token
        if not request.page_token:
            return listed


async def test_contents_are_listed_by_size_type_and_name(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await api.account()
    repository, other = await api.repository(ada), await api.repository(ada)
    await save(api, ada, repository, FILES)
    await save(api, ada, other, {"elsewhere": b"x"})
    same = sorted([name(b"3" * 20), name(b"4" * 20)])
    every = [name(b"2" * 2500), name(b"1" * 300), *same, name(b"")]
    for scanned in (5_000, 2, 1):
        monkeypatch.setattr(assets, "SCANNED", scanned)
        for size in (0, 1, 2):
            listed = await list_assets(api, ada, repository, size)
            assert [asset.hash for asset in listed] == every
        for fields, expected in (
            ({"min_size": 21}, every[:2]),
            ({"max_size": 300, "min_size": 20}, every[1:4]),
            ({"max_size": 0}, every[4:]),
            ({"mime_type": "image/png"}, every[1:2]),
            ({"mime_type": "text/"}, same),
            ({"name": "OTHER"}, [name(b"4" * 20)]),
            ({"name": "%"}, []),
        ):
            found = await list_assets(api, ada, repository, 1, **fields)
            assert [asset.hash for asset in found] == expected, fields
    for fields in (
        {"mime_type": "png"},
        {"min_size": -1},
        {"max_size": 1, "min_size": 2},
        {"name": "x" * 256},
    ):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await list_assets(api, ada, repository, **fields)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await list_assets(api, ada, repository, page_token="x")


async def test_what_clients_store_about_a_content(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    repository = await api.repository(ada)
    await api.grant(repository, bob, "read")
    await save(api, ada, repository, FILES)
    digest = name(b"1" * 300)
    metadata = Struct()
    metadata.update({"width": 1920, "tags": ["plate", None, {"ü": True}]})

    async def update(who: Account = ada, **fields: Any) -> pb.Asset:
        named: dict[str, Any] = {
            "hash": digest,
            "update_mask": FieldMask(paths=["metadata"]),
        } | fields
        request = pb.UpdateAssetMetadataRequest(repository=repository.id, **named)
        answer = await api.trees.UpdateAssetMetadata(request, metadata=who.auth)
        changed: pb.Asset = answer.asset
        return changed

    assert (await update(metadata=metadata)).metadata == metadata
    got = await update(mime_type="Image/X-EXR", update_mask=FieldMask(paths=["mime_type"]))
    assert (got.mime_type, got.metadata, got.size) == ("image/x-exr", metadata, 300)
    await save(api, ada, repository, {"new": b"1" * 300}, branch="other")
    request = pb.GetAssetRequest(repository=repository.id, hash=digest)
    again = (await api.trees.GetAsset(request, metadata=bob.auth)).asset
    assert (again.mime_type, again.metadata, again.manifest_count) == ("image/x-exr", metadata, 3)
    assert again.file_name == "new"
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await update(bob, metadata=metadata)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await update(hash="12" * 32)
    await refuse_bad_values(update)


async def refuse_bad_values(update: Any) -> None:
    """Values that PostgreSQL, or the next reader, could not take."""
    nul, deep, large, odd = Struct(), Struct(), Struct(), Struct()
    nul.update({"a": ["b\0"]})
    large.update({"a": "x" * 16_384})
    odd.update({"a": float("nan")})
    inner: Any = 1
    for _ in range(21):
        inner = {"a": inner}
    deep.update(inner)
    for value in (nul, deep, large, odd):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await update(metadata=value)
    escaped = Struct()
    escaped.update({"a": "\\u0000"})
    assert (await update(metadata=escaped)).metadata == escaped
    for fields in (
        {"update_mask": FieldMask()},
        {"update_mask": FieldMask(paths=["size"])},
        {"update_mask": FieldMask(paths=["mime_type"]), "mime_type": "png"},
        {"hash": "x"},
    ):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await update(**fields)


async def test_a_content_is_found_wherever_it_is(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, eve = await api.account(), await api.account()
    repository = await api.repository(ada)
    wanted = [f"{d}/{e}/{n}" for d in "abc" for e in "xy" for n in range(3)] + ["a/0", "z", "0"]
    files: dict[str, bytes | str] = {f"{d}/{n}.x": b"2" for d in "abcd" for n in range(3)}
    files |= dict.fromkeys(wanted, b"1")
    head = await save(api, ada, repository, files)
    for most in (2_000, 3, 1):
        monkeypatch.setattr(asset_search, "MAX_DIRECTORIES", most)
        for size in (1, 4, 1000):
            request = pb.FindAssetRequest(repository=repository.id, hash=name(b"1"), page_size=size)
            found: list[str] = []
            while True:
                page = await api.trees.FindAsset(request, metadata=ada.auth)
                assert page.commit_hash == head
                found += page.paths
                request.page_token = page.next_page_token
                if not request.page_token:
                    break
            assert sorted(found) == sorted(wanted)
            assert len(found) == len(wanted)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.trees.FindAsset(
            pb.FindAssetRequest(repository=repository.id, hash="12" * 32), metadata=ada.auth
        )
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.trees.FindAsset(request, metadata=eve.auth)
