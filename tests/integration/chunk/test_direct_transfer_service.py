"""DirectTransferService: packs and chunks between clients and a real S3 server, by real HTTP requests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpcore
import pytest
import zstandard
from dits.chunk.v1 import chunk_service_pb2 as chunk_pb
from dits.chunk.v1 import direct_transfer_service_pb2 as pb
from dits.common.v1.error_reason_pb2 import ErrorReason
from grpc import StatusCode

from services.chunk.background.open_pack_sweep import OpenPackSweep
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, digest, some
from tests.support.collection import reap, reference
from tests.support.counters import assert_counters
from tests.support.s3_server import S3Server


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """Of the bucket of this test: each has a database of its own."""
    return f"direct/{tmp_path.name}"


@pytest.fixture
def settings(settings: Settings, s3_server: S3Server, prefix: str) -> Settings:
    return settings.model_copy(update={"store": s3_server.url(prefix), "reader_grace_seconds": 0})


async def do(
    request: pb.DirectRequest, data: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Does a request; its status and what came."""
    wanted = request.headers if headers is None else headers
    found: list[tuple[bytes | str, bytes | str]] = [*wanted.items()]
    answer = await asyncio.to_thread(
        httpcore.request, request.method, request.url, headers=found, content=data or None
    )
    return answer.status, answer.content


async def create(shelf: Shelf, size: int, **more: Any) -> pb.CreatePackUploadResponse:
    """Calls CreatePackUpload."""
    request = pb.CreatePackUploadRequest(repository=shelf.repo.id, byte_count=size, **more)
    return await shelf.api.direct.CreatePackUpload(request, metadata=shelf.who.auth)


async def confirm(
    shelf: Shelf, upload: pb.CreatePackUploadResponse, *chunks: pb.PackedChunk
) -> pb.ConfirmPackUploadResponse:
    """Calls ConfirmPackUpload."""
    request = pb.ConfirmPackUploadRequest(
        repository=shelf.repo.id, upload_id=upload.upload_id, chunks=chunks
    )
    return await shelf.api.direct.ConfirmPackUpload(request, metadata=shelf.who.auth)


def packed(data: bytes, stored: bytes | None = None) -> pb.PackedChunk:
    """A chunk as it lies in a pack; `stored` if it is compressed."""
    compression = chunk_pb.COMPRESSION_NONE if stored is None else chunk_pb.COMPRESSION_ZSTD
    length = len(data if stored is None else stored)
    return pb.PackedChunk(hash=digest(data), size=len(data), compression=compression, length=length)


async def links(shelf: Shelf, *data: bytes) -> list[pb.DirectDownload]:
    """Calls CreateDownloadUrls."""
    request = pb.CreateDownloadUrlsRequest(
        repository=shelf.repo.id, hashes=b"".join(map(digest, data))
    )
    answer = await shelf.api.direct.CreateDownloadUrls(request, metadata=shelf.who.auth)
    return list(answer.chunks)


async def test_a_pack_is_put_and_its_chunks_are_got(
    api: Api, settings: Settings, databases: Databases, s3_server: S3Server, prefix: str
) -> None:
    shelf = await Shelf.open(api)
    plain, text, other = some(5000), b"text " * 1000, some(3000)
    stored = zstandard.ZstdCompressor().compress(text)
    pack = plain + stored
    upload = await create(shelf, len(pack), planned_bytes=10_000)
    # Neither more bytes, nor others than announced.
    status, _ = await do(upload.request, pack + b"!", {"content-length": str(len(pack) + 1)})
    assert status == 403
    assert (await do(upload.request, pack))[0] == 200
    answer = await confirm(shelf, upload, packed(plain), packed(text, stored))
    assert (answer.stored_chunk_count, answer.stored_bytes) == (2, len(pack))
    assert await confirm(shelf, upload, packed(plain)) == answer
    assert await reference(shelf, plain, text) == []
    await shelf.get(plain, text)
    # The client can put it again, and that changes nothing.
    assert (await do(upload.request, some(len(pack))))[0] == 200
    await shelf.get(plain, text)
    await shelf.put(other)

    first, second, absent = await links(shelf, plain, text, some())
    assert await do(first.request) == (206, plain)
    assert await do(second.request) == (206, stored)
    assert second.compression == chunk_pb.COMPRESSION_ZSTD
    assert absent.failure.reason == ErrorReason.ERROR_REASON_NOT_FOUND
    # The request is for these bytes of the pack, and no others.
    for headers in ({}, {"range": f"bytes=0-{len(pack) - 1}"}):
        assert (await do(second.request, headers=headers))[0] == 403
    stranger = await Shelf.open(api)
    [theirs] = await links(stranger, plain)
    assert theirs.failure.reason == ErrorReason.ERROR_REASON_NOT_FOUND
    # What was put goes when it can no longer be put again.
    assert await reap(databases, settings) == 0
    await api.fetch("UPDATE object_deletions SET not_before = now()")
    assert await reap(databases, settings) == 1
    assert len(s3_server.names(prefix)) == 4
    await assert_counters(api.dsn)


async def test_a_pack_with_other_bytes_is_refused(
    api: Api, settings: Settings, databases: Databases, s3_server: S3Server, prefix: str
) -> None:
    shelf, stranger = await Shelf.open(api), await Shelf.open(api)
    data = some(4000)
    upload = await create(shelf, len(data))
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await confirm(shelf, upload, packed(data))
    assert (await do(upload.request, some(len(data))))[0] == 200
    halves = packed(data[:2000]), packed(data[2000:])
    for chunks in ([packed(data)], halves, halves[:1]):
        with refused(StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH"):
            await confirm(shelf, upload, *chunks)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await confirm(shelf, upload, pb.PackedChunk(hash=bytes(31), size=1, length=1))
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await confirm(stranger, upload, packed(data))
    assert await shelf.missing(data) == [True]
    # Put again with the right ones, it is taken.
    assert (await do(upload.request, data))[0] == 200
    assert (await confirm(shelf, upload, *halves)).stored_chunk_count == 2
    # What is never confirmed goes with the packs that were never finished.
    lost = await create(shelf, len(data))
    assert (await do(lost.request, data))[0] == 200
    await OpenPackSweep(databases, timedelta(0)).sweep_packs()
    with refused(StatusCode.ABORTED, "UPLOAD_EXPIRED"):
        await confirm(shelf, lost, packed(data))
    await api.fetch("UPDATE object_deletions SET not_before = now()")
    await reap(databases, settings)
    assert len([name for name in s3_server.names(prefix) if "/up" in name]) == 0


async def test_what_may_be_uploaded_is_bounded(api: Api) -> None:
    shelf = await Shelf.open(api)
    for size in (0, (64 << 20) + 1):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await create(shelf, size)
    await api.fetch("UPDATE repository_settings SET max_storage_bytes = 5000")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"):
        await create(shelf, 100, planned_bytes=5001)
    data = some(4000)
    first = await create(shelf, len(data), planned_bytes=4000)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"):
        await create(shelf, 100, planned_bytes=4000)
    assert (await do(first.request, data))[0] == 200
    await confirm(shelf, first, packed(data))
    assert await api.value("SELECT count(*) FROM storage_reservations") == 0
    large = some(2000)
    second = await create(shelf, len(large))
    assert (await do(second.request, large))[0] == 200
    with refused(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"):
        await confirm(shelf, second, packed(large))
    await asyncio.gather(*(create(shelf, 1) for _ in range(19)))
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"):
        await create(shelf, 1)
    await api.fetch("UPDATE pack_uploads SET expires_at = now() - interval '2 days'")
    with refused(StatusCode.ABORTED, "UPLOAD_EXPIRED"):
        await confirm(shelf, second, packed(large))
    await create(shelf, 1)
    assert await api.value("SELECT count(*) FROM pack_uploads") == 1
    await assert_counters(api.dsn)


class TestInADirectory:
    """A server whose packs lie in a directory."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"store": None})

    async def test_there_is_no_direct_transfer(self, api: Api) -> None:
        shelf, data = await Shelf.open(api), some()
        await shelf.put(data)
        with refused(StatusCode.FAILED_PRECONDITION, "NO_DIRECT_TRANSFER"):
            await create(shelf, 100)
        with refused(StatusCode.FAILED_PRECONDITION, "NO_DIRECT_TRANSFER"):
            await links(shelf, data)
