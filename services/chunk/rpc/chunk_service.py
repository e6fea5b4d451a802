"""The RPCs of dits.chunk.v1.ChunkService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from importlib.metadata import version
from operator import attrgetter
from typing import ClassVar, NamedTuple

from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.catalog.chunk_copy import ChunkCopy
from services.chunk.catalog.chunk_stats import ChunkStat, ChunkStats
from services.chunk.catalog.presence import Presence
from services.chunk.rpc.compression import STORED_NAMES
from services.chunk.rpc.download_chunks import Downloads
from services.chunk.rpc.response_encoder import EncodedResponse
from services.chunk.rpc.upload_chunks import Uploads
from services.chunk.rpc.upload_message import UploadMessage
from shared.errors import invalid_field, wrong_cell
from shared.formats import limits
from shared.formats.bitmaps import mark_missing
from shared.formats.profiles import PROFILES
from shared.rpc import validation
from shared.rpc.call import AccessResolver, Call
from shared.rpc.limits import MAX_MESSAGE_BYTES, MAX_STREAM_MESSAGE_BYTES
from shared.rpc.policy import Permission
from shared.rpc.timestamps import to_timestamp
from shared.runtime.config import Settings

_MESSAGE_BYTES = 1 << 20
# Chunks that StatChunks describes at a time: 10,000 took 40 ms, in which the server did nothing else.
_STAT_WINDOW = 2000


class Catalog(NamedTuple):
    """What is known of chunks."""

    presence: Presence
    stats: ChunkStats
    copy: ChunkCopy


class ChunkService:
    """Stores and sends chunks."""

    REQUEST_TYPES: ClassVar = {"UploadChunks": UploadMessage}

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        access: AccessResolver,
        uploads: Uploads,
        downloads: Downloads,
    ) -> None:
        """`access` tells what callers may do with the repositories that they copy from."""
        self._presence, self._stats, self._copy = catalog
        self._access = access
        self._uploads = uploads
        self._downloads = downloads
        self._capabilities = _make_capabilities(settings)

    async def GetCapabilities(
        self, request: pb.GetCapabilitiesRequest, call: Call
    ) -> pb.GetCapabilitiesResponse:
        """Returns what this server takes and recommends."""
        del request, call
        return self._capabilities

    async def FindMissingChunks(
        self, request: pb.FindMissingChunksRequest, call: Call
    ) -> pb.FindMissingChunksResponse:
        """Returns which chunks the repository lacks."""
        digests = validation.raw_digests("hashes", request.hashes)
        missing, count = await self._presence.find_missing_chunks(call.repository.id, digests)
        return pb.FindMissingChunksResponse(missing=missing, missing_count=count)

    async def UploadChunks(
        self, requests: AsyncIterator[UploadMessage], call: Call
    ) -> AsyncIterator[pb.UploadChunksResponse]:
        """Stores chunks, and acknowledges what is durable."""
        storing = self._uploads.store_chunks(call, requests)
        async with aclosing(storing) as answers:
            async for answer in answers:
                yield answer

    async def StatChunks(self, request: pb.StatChunksRequest, call: Call) -> pb.StatChunksResponse:
        """Tells what the repository knows of chunks."""
        digests = validation.raw_digests("hashes", request.hashes)
        positions = {digest: at for at, digest in reversed(list(enumerate(digests)))}
        described: list[pb.ChunkStat] = []
        asked = list(positions)
        for at in range(0, len(asked), _STAT_WINDOW):
            window = asked[at : at + _STAT_WINDOW]
            found = await self._stats.list_chunks(call.repository.id, window)
            described += [_describe_stat(positions[stat.digest], stat) for stat in found]
        return pb.StatChunksResponse(chunks=sorted(described, key=attrgetter("index")))

    async def CopyChunks(self, request: pb.CopyChunksRequest, call: Call) -> pb.CopyChunksResponse:
        """Gives the repository chunks of another one."""
        digests = validation.raw_digests("hashes", request.hashes)
        validation.repository_address("source_repository", request.source_repository)
        access = await self._access.resolve(call.token, request.source_repository, 0.0)
        source, target = access.repository, call.repository
        assert source is not None  # noqa: S101  one was named
        source.require(Permission.READ)
        if source.cell != target.cell:
            raise wrong_cell(source.cell, target.cell)
        copied = await self._copy.copy_chunks(call, source.id, list(dict.fromkeys(digests)))
        missing, count = mark_missing(digests, copied.present)
        return pb.CopyChunksResponse(
            missing=missing,
            missing_count=count,
            copied_count=len(copied.new),
            copied_bytes=copied.new_bytes,
        )

    async def DownloadChunks(
        self, request: pb.DownloadChunksRequest, call: Call
    ) -> AsyncIterator[pb.DownloadChunksResponse | EncodedResponse]:
        """Sends chunks, verified."""
        digests = validation.raw_digests("hashes", request.hashes)
        if request.ranges and len(request.ranges) != len(digests):
            raise invalid_field("ranges", "must be as many as hashes, or none")
        sending = self._downloads.send_chunks(
            call.holder, call.repository.id, digests, request.ranges
        )
        async with aclosing(sending) as messages:
            async for message in messages:
                yield message


def _describe_stat(position: int, stat: ChunkStat) -> pb.ChunkStat:
    return pb.ChunkStat(
        index=position,
        size=stat.size,
        stored_size=stat.stored_size,
        encryption_key_id=stat.encryption_key_id,
        lease_end_time=to_timestamp(stat.lease_end),
        is_lost=stat.is_lost,
    )


def _make_capabilities(settings: Settings) -> pb.GetCapabilitiesResponse:
    """Returns what never changes while the server runs."""
    return pb.GetCapabilitiesResponse(
        max_chunk_bytes=validation.MAX_CHUNK_BYTES,
        max_stream_message_bytes=MAX_STREAM_MESSAGE_BYTES,
        max_message_bytes=MAX_MESSAGE_BYTES,
        max_hashes=validation.MAX_HASHES,
        max_paths=validation.MAX_PATHS,
        preferred_upload_message_bytes=_MESSAGE_BYTES,
        claim_lease_seconds=settings.claim_lease_seconds,
        chunking=[
            pb.ChunkingProfile(
                min_file_bytes=profile.min_file_bytes,
                min_bytes=profile.min_bytes,
                average_bytes=profile.average_bytes,
                max_bytes=profile.max_bytes,
            )
            for profile in PROFILES
        ],
        compressions=list(STORED_NAMES),
        server_version=version("dits-server"),
        tree_limits=pb.TreeLimits(
            max_path_bytes=limits.MAX_PATH_BYTES,
            max_depth=limits.MAX_DEPTH,
            max_tree_entries=limits.MAX_TREE_ENTRIES,
            max_file_chunks=limits.MAX_FILE_CHUNKS,
            max_push_chunks=limits.MAX_PUSH_CHUNKS,
            max_push_bytes=limits.MAX_PUSH_BYTES,
            max_push_manifests=limits.MAX_PUSH_MANIFESTS,
            max_push_commits=limits.MAX_PUSH_COMMITS,
            max_changed_paths=limits.MAX_CHANGED_PATHS,
        ),
    )
