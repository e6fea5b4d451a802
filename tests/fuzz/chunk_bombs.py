"""Chunks of the corpus: sent and asked for."""

from __future__ import annotations

import os
from typing import Any

import grpc
import zstandard
from blake3 import blake3
from dits.chunk.v1 import chunk_service_pb2 as pb

from tests.fuzz.bombs import bomb, outcome, send
from tests.fuzz.conftest import Target
from tests.fuzz.stream_bombs import together
from tests.support.trees import upload

UPLOAD = "/dits.chunk.v1.ChunkService/UploadChunks"
DOWNLOAD = "/dits.chunk.v1.ChunkService/DownloadChunks"
MISSING = "/dits.chunk.v1.ChunkService/FindMissingChunks"
SMALL = b"small" * 20


async def store(target: Target, data: bytes) -> bytes:
    """Uploads a chunk; returns its hash."""
    digest = blake3(data).digest()
    await upload(target.api, target.world.ada, target.world.repository, {digest: data})
    return digest


def chunks(target: Target, *made: pb.UploadedChunk) -> pb.UploadChunksRequest:
    return pb.UploadChunksRequest(repository=target.world.repository.id, chunks=made)


async def refused_chunk(target: Target, chunk: pb.UploadedChunk) -> str:
    """Uploads a chunk; returns why it was not taken."""
    call: Any = target.api.chunks.UploadChunks(
        iter([chunks(target, chunk)]), metadata=target.world.ada.auth, timeout=60
    )
    try:
        answers = [answer async for answer in call]
    except grpc.aio.AioRpcError as error:
        return outcome(error)
    failures = [failure for answer in answers for failure in answer.failures]
    return "a failed chunk" if failures else "OK"


def packed(content: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(content)


@bomb("a failed chunk")
async def zstd_of_more_than_it_says(target: Target) -> str:
    data = bytes(200 << 20)
    made = pb.UploadedChunk(
        hash=blake3(b"x").digest(), size=1_000, compression=pb.COMPRESSION_ZSTD, data=packed(data)
    )
    return await refused_chunk(target, made)


@bomb("a failed chunk", "OK")
async def zstd_with_a_window_of_128_mib(target: Target) -> str:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    made = pb.UploadedChunk(
        hash=blake3(SMALL).digest(),
        size=len(SMALL),
        compression=pb.COMPRESSION_ZSTD,
        data=zstandard.ZstdCompressor(compression_params=parameters).compress(SMALL),
    )
    return await refused_chunk(target, made)


@bomb("a failed chunk")
async def zstd_inside_zstd(target: Target) -> str:
    inner = packed(packed(packed(bytes(16 << 20))))
    digest = blake3(bytes(16 << 20)).digest()
    made = pb.UploadedChunk(hash=digest, size=16 << 20, compression=pb.COMPRESSION_ZSTD, data=inner)
    return await refused_chunk(target, made)


@bomb("OK")
async def sixteen_mib_of_nothing(target: Target) -> str:
    data = bytes(16 << 20)
    digest = blake3(data).digest()
    made = pb.UploadedChunk(
        hash=digest, size=len(data), compression=pb.COMPRESSION_ZSTD, data=packed(data)
    )
    return await refused_chunk(target, made)


@bomb("BATCH_TOO_LARGE", "INVALID_FIELD")
async def empty_chunks_without_number(target: Target) -> str:
    return await send(target, UPLOAD, chunks(target, *[pb.UploadedChunk()] * 200_000))


@bomb("OK", "BATCH_TOO_LARGE", "INVALID_FIELD")
async def empty_chunks_100_000(target: Target) -> str:
    return await send(target, UPLOAD, chunks(target, *[pb.UploadedChunk()] * 100_000))


@bomb("OK", "BATCH_TOO_LARGE")
async def chunks_of_one_byte(target: Target) -> str:
    made = [
        pb.UploadedChunk(
            hash=blake3(bytes([i])).digest(),
            size=1,
            compression=pb.COMPRESSION_NONE,
            data=bytes([i]),
        )
        for i in range(200)
    ]
    return await send(target, UPLOAD, chunks(target, *made * 20))


@bomb("OK")
async def upload_messages_without_content(target: Target) -> str:
    return await send(target, UPLOAD, chunks(target), *[pb.UploadChunksRequest()] * 3_000)


@bomb("BATCH_TOO_LARGE")
async def hashes_without_number(target: Target) -> str:
    request = pb.FindMissingChunksRequest(
        repository=target.world.repository.id, hashes=b"h" * 32 * 120_000
    )
    return await send(target, MISSING, request)


@bomb("OK")
async def one_hash_10_000_times(target: Target) -> str:
    request = pb.FindMissingChunksRequest(
        repository=target.world.repository.id, hashes=b"h" * 32 * 10_000
    )
    return await send(target, MISSING, request)


@bomb("OK")
async def one_small_chunk_10_000_times(target: Target) -> str:
    digest = await store(target, SMALL)
    request = pb.DownloadChunksRequest(
        repository=target.world.repository.id, hashes=digest * 10_000
    )
    return await send(target, DOWNLOAD, request)


@bomb("OK")
async def downloads_that_nobody_reads(target: Target) -> str:
    digest = await store(target, os.urandom(4 << 20))
    request = pb.DownloadChunksRequest(repository=target.world.repository.id, hashes=digest * 100)
    auth = target.world.ada.auth
    return await together(
        [target.api.chunks.DownloadChunks(request, metadata=auth) for _ in range(60)], 3
    )


@bomb("OK")
async def ranges_10_000(target: Target) -> str:
    digest = await store(target, SMALL)
    request = pb.DownloadChunksRequest(
        repository=target.world.repository.id,
        hashes=digest * 10_000,
        ranges=[pb.ByteRange(offset=1, length=1)] * 10_000,
    )
    return await send(target, DOWNLOAD, request)


@bomb("INVALID_FIELD", "BATCH_TOO_LARGE")
async def ranges_without_number(target: Target) -> str:
    request = pb.DownloadChunksRequest(
        repository=target.world.repository.id, hashes=b"h" * 32, ranges=[pb.ByteRange()] * 120_000
    )
    return await send(target, DOWNLOAD, request)
