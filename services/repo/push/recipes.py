"""Recipes: the chunk lists of larger files, which are themselves chunks of the chunk service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

import zstandard
from dits.chunk.v1 import chunk_service_pb2 as pb
from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND
from dits.repo.v1.manifest_pb2 import Recipe

from services.repo.history.batches import split_batches
from shared.errors import batch_too_large, chunk_corrupt, chunks_missing, content_mismatch
from shared.formats.canonical import FormatError
from shared.formats.limits import MAX_PUSH_CHUNKS
from shared.formats.recipes import MAX_CHUNK_BYTES, decode_recipe
from shared.rpc.byte_budget import Hold
from shared.rpc.call import Call
from shared.rpc.peers import Peer

# Recipes that one call asks for: as many as the chunk service looks up at once.
BATCH = 2_000
READ_SECONDS = 60.0
# A chunk takes 36 bytes in a recipe, at most 40 with the larger sizes.
MAX_RECIPE_BYTES = 40 * MAX_PUSH_CHUNKS
# What a byte of a recipe takes in memory: as it came, and decoded.
RECIPE_COST = 2


class RecipeReader:
    """Reads recipes with the caller's own credential."""

    def __init__(self, chunk: Peer) -> None:
        self._chunk = chunk
        self._stub = ChunkServiceStub(chunk.channel)

    async def read_recipes(
        self, hashes: Iterable[bytes], call: Call, hold: Hold
    ) -> dict[bytes, Recipe]:
        """Returns recipes by their hashes; `hold` grows by what they take.

        Raises CHUNKS_MISSING, BATCH_TOO_LARGE, SERVER_BUSY.
        """
        wanted = sorted(set(hashes))
        recipes: dict[bytes, Recipe] = {}
        size = 0
        for batch in split_batches(wanted, BATCH):
            async with aclosing(self._download(batch, call)) as messages:
                async for message in messages:
                    received = sum(chunk.size for chunk in message.chunks)
                    await hold.grow_to(hold.size + RECIPE_COST * received)
                    size += received
                    if size > MAX_RECIPE_BYTES:
                        raise batch_too_large("manifests.recipes", MAX_RECIPE_BYTES, size)
                    recipes |= await asyncio.to_thread(_decode, batch, message)
        missing = [digest.hex() for digest in wanted if digest not in recipes]
        if missing:
            raise chunks_missing(missing)
        return recipes

    def _download(
        self, hashes: Sequence[bytes], call: Call
    ) -> AsyncGenerator[pb.DownloadChunksResponse, None]:
        request = pb.DownloadChunksRequest(
            repository=str(call.repository.id), hashes=b"".join(hashes)
        )
        return self._chunk.stream(self._stub.DownloadChunks, request, call, READ_SECONDS)


def _decode(batch: Sequence[bytes], message: pb.DownloadChunksResponse) -> dict[bytes, Recipe]:
    """Returns the recipes of one message, without those that the repository does not have."""
    opener = zstandard.ZstdDecompressor()
    recipes = {}
    for chunk in message.chunks:
        content = _open(opener, chunk)
        if content is None:
            continue
        digest = batch[chunk.index]
        try:
            recipes[digest] = decode_recipe(content)
        except FormatError as error:
            name = digest.hex()
            raise content_mismatch(f"the recipe {name}: {error}", actual=name) from None
    return recipes


def _open(opener: zstandard.ZstdDecompressor, chunk: pb.DownloadedChunk) -> bytes | None:
    """Returns the bytes of a chunk, which the chunk service has verified; None = it is not there."""
    if chunk.HasField("failure"):
        if chunk.failure.reason == ERROR_REASON_NOT_FOUND:
            return None
        raise chunk_corrupt(
            chunk.failure.hash.hex(),
            "the stored list of a file's chunks is damaged; the server notes that now: push again in a "
            "minute, which sends it anew",
        )
    if chunk.compression == pb.COMPRESSION_ZSTD:
        return opener.decompress(chunk.data, max_output_size=MAX_CHUNK_BYTES)
    return chunk.data
