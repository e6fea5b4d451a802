"""Packs that clients put into the store themselves: read once, verified, and stored as other uploads are.

The object that a client may put never becomes a pack, because whoever may put it may put it again. Its
bytes are copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID, uuid4

from services.chunk.catalog.storage_quota import StorageQuota
from services.chunk.packs.content import Chunk, ChunkOpener, ContentMismatch
from services.chunk.packs.pack_finalization import StoredChunks
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.blob_store import BlobMissing, BlobStore, SignedRequest
from shared.db import sql
from shared.db.pool import Connection, Databases, Row
from shared.errors import (
    content_mismatch,
    invalid_field,
    limit_reached,
    no_direct_transfer,
    not_found,
    upload_expired,
)
from shared.rpc.byte_budget import ByteBudget

Q = sql.load(__file__)

MAX_BYTES = 64 << 20
# Of an account, at a time.
MAX_OPEN = 20
# How long an upload can be put and confirmed.
LASTING = timedelta(minutes=15)
# What is read at once, bytes, stored and uncompressed.
_GROUP_BYTES = 8 << 20
# As read, as verified, and on its way into the file.
_COPIES = 3


class PackedChunk(NamedTuple):
    """A chunk as the client says that it lies in its pack: as in Chunk, and how long."""

    digest: bytes
    size: int
    compression: str
    length: int
    encryption_key_id: str


class PackUpload(NamedTuple):
    """An upload: its id, the request that puts the pack, and until when."""

    id: UUID
    request: SignedRequest
    expires_at: datetime


class DirectUploads:
    """Uploads into one store."""

    def __init__(
        self,
        databases: Databases,
        store: BlobStore,
        writer: PackWriter,
        quota: StorageQuota,
        budget: ByteBudget,
        cell: int,
    ) -> None:
        """`budget`: of bytes that are read and not written yet. `cell`: which keys begin with."""
        self._databases = databases
        self._store = store
        self._writer = writer
        self._quota = quota
        self._budget = budget
        self._cell = cell

    async def create_upload(
        self, repository_id: UUID, user_id: UUID, byte_count: int, planned: int
    ) -> PackUpload:
        """Returns an upload. Raises INVALID_FIELD, NO_DIRECT_TRANSFER, QUOTA_EXCEEDED, LIMIT_REACHED."""
        if not 1 <= byte_count <= MAX_BYTES:
            raise invalid_field("byte_count", f"must be 1 to {MAX_BYTES}")
        upload_id = uuid4()
        key = f"{self._cell}/up{upload_id.hex}"
        # Amazon and others judge the size by it, before a byte is kept.
        headers = {"content-length": str(byte_count)}
        request = self._store.sign_request("PUT", key, headers, LASTING)
        if request is None:
            raise no_direct_transfer(self._store.region)
        await self._quota.reserve_room(repository_id, planned, name=upload_id, lasting=LASTING)
        work = partial(
            self._note_upload,
            upload_id=upload_id,
            repository_id=repository_id,
            user_id=user_id,
            key=key,
            byte_count=byte_count,
        )
        try:
            expires_at = await self._databases.of(repository_id).transaction(work)
        except BaseException:
            await self._quota.release_room(repository_id, upload_id)
            raise
        return PackUpload(upload_id, request, expires_at)

    async def confirm_upload(
        self, holder: object, repository_id: UUID, upload_id: UUID, chunks: Sequence[PackedChunk]
    ) -> StoredChunks:
        """Stores the chunks of a pack; returns those that are new. What is read counts for `holder`.

        Raises NOT_FOUND, UPLOAD_EXPIRED, CONTENT_MISMATCH, QUOTA_EXCEEDED.
        """
        database = self._databases.of(repository_id)
        upload = await database.fetchrow(Q.get_upload, repository_id, upload_id)
        if upload is None:
            raise not_found("upload", str(upload_id))
        if upload["is_confirmed"]:
            return StoredChunks(upload["stored_chunk_count"], upload["stored_bytes"])
        if not upload["is_open"]:
            raise upload_expired()
        stated = sum(chunk.length for chunk in chunks)
        found = await self._store.measure_object(upload["key"])
        if found is None:
            raise not_found("object of the upload", str(upload_id))
        if not found == stated == upload["byte_count"]:
            raise content_mismatch(
                f"the object has {found} bytes, its chunks {stated}, and {upload['byte_count']} were "
                "announced"
            )
        stored = await self._store_chunks(holder, repository_id, upload, chunks)
        await database.statement(Q.end_upload, upload_id, stored.chunk_count, stored.byte_count)
        await self._quota.release_room(repository_id, upload_id)
        return stored

    async def _store_chunks(
        self, holder: object, repository_id: UUID, upload: Row, chunks: Sequence[PackedChunk]
    ) -> StoredChunks:
        pack = self._writer.begin_pack(repository_id)
        pack.reservation = upload["id"]
        try:
            with self._budget.hold(holder) as hold:
                for offset, group in _split(chunks):
                    size = _COPIES * sum(max(each.length, each.size) for each in group)
                    await hold.grow(size)
                    ranges = list(_lay_out(offset, group))
                    work = partial(_open_group, group)
                    opened = await self._store.read_ranges(upload["key"], ranges, work)
                    await self._writer.append_chunks(pack, opened)
                    hold.release(size)
        except BlobMissing:
            await self._writer.abandon_pack(pack)
            raise upload_expired() from None
        except BaseException:
            await self._writer.abandon_pack(pack)
            raise
        return await self._writer.finalize_pack(pack, repository_id)

    async def _note_upload(
        self,
        connection: Connection,
        *,
        upload_id: UUID,
        repository_id: UUID,
        user_id: UUID,
        key: str,
        byte_count: int,
    ) -> datetime:
        if await connection.fetchrow(Q.hold_repository, repository_id) is None:
            raise not_found("repository", str(repository_id))
        await connection.execute(Q.hold_uploads, str(user_id))
        await connection.execute(Q.forget_uploads)
        if await connection.fetchval(Q.count_open, user_id) >= MAX_OPEN:
            raise limit_reached("uploads of packs", MAX_OPEN)
        store = self._store
        await connection.execute(Q.open_object, key, store.bucket, store.region)
        expires_at: datetime = await connection.fetchval(
            *Q.bind.insert_upload(
                upload_id=upload_id,
                repository_id=repository_id,
                user_id=user_id,
                key=key,
                bucket=store.bucket,
                byte_count=byte_count,
                lasting=LASTING,
            )
        )
        return expires_at


def _split(chunks: Sequence[PackedChunk]) -> Iterator[tuple[int, list[PackedChunk]]]:
    """Yields chunks that are read at once, with the offset of the first."""
    group: list[PackedChunk] = []
    offset = start = size = 0
    for chunk in chunks:
        weight = max(chunk.length, chunk.size)
        if group and size + weight > _GROUP_BYTES:
            yield start, group
            group, start, size = [], offset, 0
        group.append(chunk)
        offset += chunk.length
        size += weight
    if group:
        yield start, group


def _lay_out(offset: int, group: Sequence[PackedChunk]) -> Iterator[tuple[int, int]]:
    for chunk in group:
        yield offset, chunk.length
        offset += chunk.length


def _open_group(group: Sequence[PackedChunk], stored: Sequence[memoryview]) -> list[Chunk]:
    """Returns chunks that are what they are said to be. Raises CONTENT_MISMATCH."""
    opener, opened = ChunkOpener(), []
    for each, data in zip(group, stored, strict=True):
        chunk = Chunk(each.digest, each.size, each.compression, data, each.encryption_key_id)
        try:
            opener.open_chunk(chunk)
        except ContentMismatch as mismatch:
            raise content_mismatch(str(mismatch), expected=each.digest.hex()) from None
        opened.append(chunk)
    return opened
