"""Requests with which clients get chunks from the store themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from services.chunk.catalog.access_times import AccessTimes
from services.chunk.catalog.extents import Extent, Extents
from services.chunk.stores.blob_store import BlobStore, SignedRequest
from shared.errors import DomainError, chunk_archived, no_direct_transfer, not_found

# How long a request is good. A right that has ended is good for so long, too.
LASTING = timedelta(minutes=5)


class DirectDownload(NamedTuple):
    """How to get a chunk, or why it cannot be got so."""

    extent: Extent | None
    request: SignedRequest | None
    failure: DomainError | None


class DirectDownloads:
    """Signs requests for chunks."""

    def __init__(
        self, places: Mapping[str, BlobStore], extents: Extents, access_times: AccessTimes
    ) -> None:
        """`places`: stores by the names of their buckets."""
        self._places = places
        self._extents = extents
        self._access_times = access_times

    async def sign_requests(
        self, repository_id: UUID, digests: Sequence[bytes]
    ) -> list[DirectDownload]:
        """Returns a request for each chunk, in order. Raises NO_DIRECT_TRANSFER if there can be none."""
        extents = await self._extents.locate_chunks(repository_id, digests)
        # A thousand signatures take as long as two messages.
        downloads = await asyncio.to_thread(
            lambda: [self._sign(digest, extents.get(digest)) for digest in digests]
        )
        signed = [each.extent.digest for each in downloads if each.extent and each.request]
        reasons = {each.failure.reason for each in downloads if each.failure is not None}
        if not signed and reasons:
            for each in downloads:
                if each.extent is not None and not each.extent.is_archived and each.failure:
                    raise each.failure
        self._access_times.note_chunks(repository_id, signed)
        return downloads

    def _sign(self, digest: bytes, extent: Extent | None) -> DirectDownload:
        if extent is None:
            return DirectDownload(None, None, not_found("chunk", digest.hex()))
        if extent.is_archived:
            return DirectDownload(extent, None, chunk_archived(digest.hex()))
        store, last = self._places.get(extent.bucket), extent.offset + extent.length - 1
        # The range is signed: the rest of the pack is none of the caller's business.
        headers = {"range": f"bytes={extent.offset}-{last}"}
        if store is not None:
            request = store.sign_request("GET", extent.pack_key, headers, LASTING)
            if request is not None:
                return DirectDownload(extent, request, None)
        return DirectDownload(extent, None, no_direct_transfer(extent.bucket))
