"""The RPCs of dits.chunk.v1.DirectTransferService."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from dits.chunk.v1 import chunk_service_pb2 as chunk_pb
from dits.chunk.v1 import direct_transfer_service_pb2 as pb

from services.chunk.packs.content import Chunk
from services.chunk.packs.direct_downloads import LASTING, DirectDownload, DirectDownloads
from services.chunk.packs.direct_uploads import DirectUploads
from services.chunk.packs.pack import MAX_CHUNKS
from services.chunk.packs.packed_chunks import PackedChunk
from services.chunk.rpc.compression import STORED_NAMES, WIRE_NAMES
from services.chunk.rpc.upload_verification import describe_invalid_field, make_key_failure
from services.chunk.stores.blob_store import SignedRequest
from shared.db.pool import Connection, Databases
from shared.errors import batch_too_large, invalid_field
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.records.ownership import require_unchanged
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.timestamps import to_timestamp
from shared.runtime.server_key import ServerKey

MAX_URLS = 1_000


class DirectTransferService:
    """Gives requests that clients do with the store."""

    def __init__(
        self,
        databases: Databases,
        key: ServerKey,
        uploads: DirectUploads,
        downloads: DirectDownloads,
    ) -> None:
        self._databases = databases
        self._key = key
        self._uploads = uploads
        self._downloads = downloads

    async def CreatePackUpload(
        self, request: pb.CreatePackUploadRequest, call: Call
    ) -> pb.CreatePackUploadResponse:
        """Begins an upload."""
        writes = IdempotentWrites(self._databases.of(call.repository.id), self._key)
        work = partial(self._create_upload, request=request, call=call)
        return await writes.once(call, Repeatable.of(request), pb.CreatePackUploadResponse, work)

    async def _create_upload(
        self, connection: Connection, *, request: pb.CreatePackUploadRequest, call: Call
    ) -> pb.CreatePackUploadResponse:
        await require_unchanged(connection, call)
        upload = await self._uploads.create_upload(
            connection,
            repository_id=call.repository.id,
            user_id=call.caller.user_id,
            byte_count=request.byte_count,
            planned=request.planned_bytes,
        )
        return pb.CreatePackUploadResponse(
            upload_id=str(upload.id),
            request=_describe_request(upload.request),
            expire_time=to_timestamp(upload.expires_at),
        )

    async def ConfirmPackUpload(
        self, request: pb.ConfirmPackUploadRequest, call: Call
    ) -> pb.ConfirmPackUploadResponse:
        """Verifies and stores a pack."""
        upload_id = validation.uuid("upload_id", request.upload_id)
        validation.count("chunks", request.chunks, MAX_CHUNKS)
        chunks = [_parse_chunk(at, chunk) for at, chunk in enumerate(request.chunks)]
        stored = await self._uploads.confirm_upload(call, upload_id, chunks)
        return pb.ConfirmPackUploadResponse(
            stored_chunk_count=stored.chunk_count,
            stored_bytes=stored.byte_count,
            failures=map(make_key_failure, stored.conflicts),
        )

    async def CreateDownloadUrls(
        self, request: pb.CreateDownloadUrlsRequest, call: Call
    ) -> pb.CreateDownloadUrlsResponse:
        """Signs requests for chunks."""
        digests = validation.raw_digests("hashes", request.hashes)
        if len(digests) > MAX_URLS:
            raise batch_too_large("hashes", MAX_URLS, len(digests))
        downloads = await self._downloads.sign_requests(call.repository.id, digests)
        return pb.CreateDownloadUrlsResponse(
            chunks=map(_describe_download, downloads, digests),
            expire_time=to_timestamp(datetime.now(UTC) + LASTING),
        )


def _parse_chunk(position: int, chunk: pb.PackedChunk) -> PackedChunk:
    """Returns a chunk of a pack. Raises INVALID_FIELD."""
    compression = STORED_NAMES.get(chunk.compression, "")
    key_id = chunk.encryption_key_id
    fault = describe_invalid_field(Chunk(chunk.hash, chunk.size, compression, b"", key_id))
    if fault or not chunk.length:
        raise invalid_field(f"chunks[{position}]", fault or "the length must not be 0")
    return PackedChunk(chunk.hash, chunk.size, compression, chunk.length, key_id)


def _describe_request(request: SignedRequest) -> pb.DirectRequest:
    return pb.DirectRequest(method=request.method, url=request.url, headers=request.headers)


def _describe_download(download: DirectDownload, digest: bytes) -> pb.DirectDownload:
    extent, request, failure = download
    if failure is not None:
        reason = chunk_pb.ChunkFailure(hash=digest, reason=failure.reason, message=failure.message)
        return pb.DirectDownload(failure=reason)
    assert extent is not None  # noqa: S101  what has no failure has been found
    assert request is not None  # noqa: S101
    return pb.DirectDownload(
        request=_describe_request(request),
        size=extent.size,
        compression=WIRE_NAMES[extent.compression],
        encryption_key_id=extent.encryption_key_id,
    )
