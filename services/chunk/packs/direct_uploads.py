"""Packs that clients put into the store themselves: read once, verified, and stored as other uploads are.

The object that a client may put never becomes a pack, because whoever may put it may put it again. Its
bytes are copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID, uuid4

from services.chunk.catalog.repository_hold import require_repository
from services.chunk.catalog.storage_quota import StorageQuota, reserve_storage
from services.chunk.packs.pack_finalization import StoredChunks
from services.chunk.packs.pack_writer import PackWriter, store_for_owner
from services.chunk.packs.packed_chunks import PackedChunk, lay_out, open_group, split_groups
from services.chunk.stores.blob_store import BlobMissing, BlobStore, SignedRequest
from shared.db import sql
from shared.db.pool import Connection, Databases, Row, Work
from shared.errors import (
    content_mismatch,
    dependency_unavailable,
    invalid_field,
    limit_reached,
    no_direct_transfer,
    not_found,
    upload_expired,
)
from shared.formats.canonical import split_hashes
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.call import Call

Q = sql.load(__file__)

MAX_BYTES = 64 << 20
# Of an account, at a time.
MAX_OPEN = 20
# How long an upload can be put and confirmed.
LASTING = timedelta(minutes=15)
# As read, as verified, and on its way into the file.
_COPIES = 3


class PackUpload(NamedTuple):
    """An upload: its id, the request that puts the pack, and until when."""

    id: UUID
    request: SignedRequest
    expires_at: datetime


class _Confirmed(Exception):  # noqa: N818  no error
    """Another call has confirmed the upload."""


class DirectUploads:
    """Uploads into the store of this server, and their confirmation, wherever they were put."""

    def __init__(
        self,
        databases: Databases,
        stores: Mapping[str, BlobStore],
        writer: PackWriter,
        quota: StorageQuota,
        budget: ByteBudget,
        cell: int,
    ) -> None:
        """`stores`: by the names of their buckets, first that of this server.

        `budget`: of bytes that are read and not written yet. `cell`: which keys begin with.
        """
        self._databases = databases
        self._stores = stores
        self._store = next(iter(stores.values()))
        self._writer = writer
        self._quota = quota
        self._budget = budget
        self._cell = cell

    async def create_upload(
        self,
        connection: Connection,
        *,
        repository_id: UUID,
        user_id: UUID,
        byte_count: int,
        planned: int,
    ) -> PackUpload:
        """Returns an upload. Raises INVALID_FIELD, NO_DIRECT_TRANSFER, QUOTA_EXCEEDED, LIMIT_REACHED."""
        if not 1 <= byte_count <= MAX_BYTES:
            raise invalid_field("byte_count", f"must be 1 to {MAX_BYTES}")
        upload_id, store = uuid4(), self._store
        key = f"{self._cell}/up{upload_id.hex}"
        # Amazon and others judge the size by it, before a byte is kept.
        headers = {"content-length": str(byte_count)}
        request = store.sign_request("PUT", key, headers, LASTING)
        if request is None:
            raise no_direct_transfer(store.region)
        await _require_room(connection, repository_id, user_id)
        await reserve_storage(
            connection,
            repository_id=repository_id,
            planned=planned,
            name=upload_id,
            lasting=LASTING,
        )
        await connection.execute(Q.open_object, key, store.bucket, store.region)
        expires_at = await connection.fetchval(
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
        return PackUpload(upload_id, request, expires_at)

    async def confirm_upload(
        self, call: Call, upload_id: UUID, chunks: Sequence[PackedChunk]
    ) -> StoredChunks:
        """Stores the chunks of a pack; returns those that are new.

        Raises NOT_FOUND, UPLOAD_EXPIRED, CONTENT_MISMATCH, QUOTA_EXCEEDED, CONTENTION.
        """
        repository_id = call.repository.id
        upload = await self._get_upload(repository_id, upload_id)
        if upload["is_confirmed"]:
            return _read_result(upload)
        if not upload["is_open"]:
            raise upload_expired()
        store = self._stores.get(upload["bucket"])
        if store is None:
            raise dependency_unavailable("object store")
        stated = sum(chunk.length for chunk in chunks)
        found = await store.measure_object(upload["key"])
        if found is None:
            raise not_found("uploaded_object", str(upload_id))
        if not found == stated == upload["byte_count"]:
            raise content_mismatch(
                f"the object has {found} bytes, its chunks {stated}, and {upload['byte_count']} were "
                "announced"
            )
        try:
            stored = await self._store_chunks(call, upload, store, chunks)
        except _Confirmed:
            return _read_result(await self._get_upload(repository_id, upload_id))
        await self._quota.release_room(repository_id, upload_id)
        return stored

    async def _get_upload(self, repository_id: UUID, upload_id: UUID) -> Row:
        database = self._databases.of(repository_id)
        upload = await database.fetchrow(Q.get_upload, repository_id, upload_id)
        if upload is None:
            raise not_found("upload", str(upload_id))
        return upload

    async def _store_chunks(
        self, call: Call, upload: Row, store: BlobStore, chunks: Sequence[PackedChunk]
    ) -> StoredChunks:
        repository_id = call.repository.id
        pack = self._writer.begin_pack(repository_id)
        pack.reservation = upload["id"]
        try:
            with self._budget.hold(call.holder) as hold:
                for offset, group in split_groups(chunks):
                    size = _COPIES * sum(max(each.length, each.size) for each in group)
                    await hold.grow(size)
                    ranges = list(lay_out(offset, group))
                    work = partial(open_group, group)
                    opened = await store.read_ranges(upload["key"], ranges, work)
                    await self._writer.append_chunks(pack, opened)
                    hold.release(size)
        except BlobMissing:
            await self._writer.abandon_pack(pack)
            raise upload_expired() from None
        except BaseException:
            await self._writer.abandon_pack(pack)
            raise
        ending = _Ending(call, upload["id"])
        return await self._writer.finalize_pack(pack, repository_id, ending)


async def _require_room(connection: Connection, repository_id: UUID, user_id: UUID) -> None:
    """Raises LIMIT_REACHED if the account has too many uploads under way, until the commit."""
    await require_repository(connection, repository_id)
    await connection.execute(Q.hold_uploads, str(user_id))
    await connection.execute(Q.forget_uploads)
    if await connection.fetchval(Q.count_open, user_id) >= MAX_OPEN:
        raise limit_reached("uploads of packs", MAX_OPEN)


class _Ending:
    """Ends an upload in the transaction that stores its chunks, once."""

    def __init__(self, call: Call, upload_id: UUID) -> None:
        self._call = call
        self._upload_id = upload_id

    async def __call__(self, connection: Connection, *, steps: Work[StoredChunks]) -> StoredChunks:
        """Stores the chunks, and the first answer. Raises _Confirmed if that has happened."""
        repository_id = self._call.repository.id
        await require_repository(connection, repository_id)
        if await connection.fetchrow(Q.hold_upload, self._upload_id) is None:
            raise _Confirmed
        stored = await store_for_owner(connection, call=self._call, steps=steps)
        conflicts = b"".join(sorted(stored.conflicts))
        await connection.execute(
            Q.end_upload, self._upload_id, stored.chunk_count, stored.byte_count, conflicts
        )
        return stored


def _read_result(upload: Row) -> StoredChunks:
    """Returns what the first confirmation of an upload has returned."""
    conflicts = split_hashes(upload["conflicts"])
    return StoredChunks(upload["stored_chunk_count"], upload["stored_bytes"], conflicts)
