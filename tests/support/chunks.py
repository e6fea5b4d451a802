"""What the tests of chunks share: a repository to store into, messages, and a look at the disk."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import zstandard
from blake3 import blake3
from dits.chunk.v1 import chunk_service_pb2 as pb
from dits.common.v1.error_reason_pb2 import ErrorReason
from dits.repo.v1.repository_service_pb2 import Repository

from shared.runtime.config import Settings
from tests.support.api import Account, Api
from tests.support.counters import assert_counters

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

_bytes = random.Random(1)


def some(size: int = 1000) -> bytes:
    """Bytes that occur nowhere else."""
    return _bytes.randbytes(size)


def digest(data: bytes) -> bytes:
    """The name of a chunk."""
    return blake3(data).digest()


def chunk(content: bytes, *, zstd: bool = False, **wrong: Any) -> pb.UploadedChunk:
    """A chunk to upload; `wrong` replaces what would be right."""
    right: dict[str, Any] = {
        "hash": digest(content),
        "size": len(content),
        "compression": pb.COMPRESSION_ZSTD if zstd else pb.COMPRESSION_NONE,
        "data": zstandard.ZstdCompressor().compress(content) if zstd else content,
    }
    return pb.UploadedChunk(**(right | wrong))


def plain(chunk: pb.DownloadedChunk) -> bytes:
    """The bytes of a downloaded chunk."""
    if chunk.compression == pb.COMPRESSION_ZSTD:
        return zstandard.ZstdDecompressor().decompress(chunk.data)
    return chunk.data


@dataclass(frozen=True, slots=True)
class Shelf:
    """A repository, and an account that may write to it."""

    api: Api
    who: Account
    repo: Repository

    @classmethod
    async def open(cls, api: Api) -> Shelf:
        """A new repository of a new account."""
        who = await api.account()
        return cls(api, who, await api.repository(who))

    def requests(
        self, messages: Iterable[Sequence[pb.UploadedChunk]]
    ) -> list[pb.UploadChunksRequest]:
        """The messages of an upload."""
        requests = [pb.UploadChunksRequest(chunks=chunks) for chunks in messages]
        requests[0].repository = self.repo.id
        return requests

    def stream(self, requests: Any) -> Any:
        """An UploadChunks call under way."""
        return self.api.chunks.UploadChunks(requests, metadata=self.who.auth)

    async def upload(self, *messages: Sequence[pb.UploadedChunk]) -> list[pb.UploadChunksResponse]:
        """Uploads messages of chunks; the answers."""
        return [answer async for answer in self.stream(iter(self.requests(messages)))]

    async def put(self, *data: bytes) -> pb.UploadChunksResponse:
        """Uploads chunks in one message, in which nothing is wrong."""
        (answer,) = await self.upload([chunk(each) for each in data])
        assert not answer.failures
        assert answer.acknowledged_message_count == 1
        return answer

    async def missing(self, *data: bytes) -> list[bool]:
        """Of each chunk, whether the repository lacks it."""
        hashes = b"".join(map(digest, data))
        request = pb.FindMissingChunksRequest(repository=self.repo.id, hashes=hashes)
        response = await self.api.chunks.FindMissingChunks(request, metadata=self.who.auth)
        bits = [bool(response.missing[i >> 3] >> (i & 7) & 1) for i in range(len(data))]
        assert sum(bits) == response.missing_count
        assert sum(map(int.bit_count, response.missing)) == response.missing_count
        return bits

    async def download(
        self, *data: bytes, ranges: Sequence[tuple[int, int]] = ()
    ) -> list[pb.DownloadedChunk]:
        """Downloads chunks; in the order of the request."""
        request = pb.DownloadChunksRequest(
            repository=self.repo.id,
            hashes=b"".join(map(digest, data)),
            ranges=[pb.ByteRange(offset=offset, length=length) for offset, length in ranges],
        )
        chunks = [item async for message in self.messages(request) for item in message.chunks]
        assert sorted(item.index for item in chunks) == list(range(len(data)))
        return sorted(chunks, key=lambda item: item.index)

    def messages(
        self, request: pb.DownloadChunksRequest
    ) -> AsyncIterator[pb.DownloadChunksResponse]:
        """A DownloadChunks call under way."""
        call: Any = self.api.chunks.DownloadChunks(request, metadata=self.who.auth)
        return aiter(call)

    async def get(self, *data: bytes) -> None:
        """Downloads chunks, and finds what was uploaded."""
        chunks = await self.download(*data)
        assert [plain(item) for item in chunks] == list(data)
        assert [item.size for item in chunks] == list(map(len, data))


def reasons(answers: Iterable[pb.UploadChunksResponse]) -> dict[bytes, str]:
    """Why chunks were not taken, by hash, without the prefix."""
    failures = [failure for answer in answers for failure in answer.failures]
    assert all(failure.message for failure in failures)
    return {f.hash: _reason_name(f) for f in failures}


def reason(chunk: pb.DownloadedChunk) -> str:
    """Why a chunk was not sent, without the prefix."""
    assert not chunk.data
    return _reason_name(chunk.failure)


def files(settings: Settings) -> dict[str, Path]:
    """The sealed objects on disk, by key."""
    paths = _store(settings).glob("*/??/*")
    return {f"{path.parts[-3]}/{path.name}": path for path in paths}


def unsealed(settings: Settings) -> dict[str, Path]:
    """The objects on disk that are being written, by key."""
    paths = (_store(settings) / "unsealed").iterdir()
    return {path.name.replace("-", "/"): path for path in paths}


@asynccontextmanager
async def transaction(api: Api) -> AsyncIterator[Connection]:
    """A transaction of the test's own, committed at the end."""
    connection = await asyncpg.connect(api.dsn)
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


async def blocked(api: Api, count: int = 1) -> None:
    """Waits until so many of the services' transactions wait for a lock."""
    waiting = """SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    while await api.value(waiting) < count:
        pass


def running() -> set[asyncio.Task[Any]]:
    """The tasks that run code of the services."""
    return {
        task
        for task in asyncio.all_tasks()
        if "/services/" in getattr(getattr(task.get_coro(), "cr_code", None), "co_filename", "")
    }


async def assert_stored(api: Api, settings: Settings) -> None:
    """Disk and database agree, and nothing is under way.

    Counters are true; no pack is open; each pack's object is there and holds what its rows say; each
    object on disk is a pack's or waits for its deletion.
    """
    await assert_counters(api.dsn)
    found = files(settings)
    packs = {row["key"]: row for row in await api.fetch("SELECT key, state, bytes FROM packs")}
    assert {row["state"] for row in packs.values()} <= {"sealed"}
    assert {key: row["bytes"] for key, row in packs.items()} == {
        key: path.stat().st_size for key, path in found.items() if key in packs
    }
    queued = {row["key"] for row in await api.fetch("SELECT key FROM object_deletions")}
    assert set(found) <= set(packs) | queued
    assert unsealed(settings) == {}
    for row in await api.fetch("SELECT hash, size, compression, storage_key FROM chunks"):
        assert _stored_digest(found, row) == bytes.fromhex(row["hash"])


def _stored_digest(found: dict[str, Path], row: asyncpg.Record) -> bytes:
    """BLAKE3 of what lies where a chunk's row says."""
    key, _, place = row["storage_key"].partition("@")
    offset, _, length = place.partition("+")
    stored = found[key].read_bytes()[int(offset) : int(offset) + int(length)]
    if row["compression"] == "zstd":
        stored = zstandard.ZstdDecompressor().decompress(stored)
    assert len(stored) == row["size"]
    return digest(stored)


def _reason_name(failure: pb.ChunkFailure) -> str:
    return ErrorReason.Name(failure.reason).removeprefix("ERROR_REASON_")


def _store(settings: Settings) -> Path:
    return settings.data_dir / "chunks" / settings.region
