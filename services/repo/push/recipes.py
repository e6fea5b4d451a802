"""Recipes: the chunk lists of large files, which are themselves chunks of the chunk service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

import zstandard
from dits.chunk.v1 import chunk_service_pb2 as pb
from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
from dits.repo.v1.manifest_pb2 import File, Manifest, Recipe

from shared.errors import chunk_corrupt, chunks_missing, content_mismatch
from shared.formats.canonical import FormatError, split_hashes
from shared.formats.recipes import MAX_CHUNK_BYTES, decode_recipe
from shared.rpc.call import Call
from shared.rpc.peers import Peer

BATCH = 1_000
READ_SECONDS = 60.0


class RecipeReader:
    """Reads recipes with the caller's own credential."""

    def __init__(self, chunk: Peer) -> None:
        self._chunk = chunk
        self._stub = ChunkServiceStub(chunk.channel)

    async def read(self, trees: Iterable[Manifest], call: Call) -> dict[str, Recipe]:
        """Every recipe that the manifests name, by name. Raises CHUNKS_MISSING."""
        wanted = sorted({part for manifest in trees for part in _named(manifest)})
        recipes: dict[str, Recipe] = {}
        missing: list[str] = []
        for at in range(0, len(wanted), BATCH):
            batch = wanted[at : at + BATCH]
            async for index, content in self._download(batch, call):
                name = batch[index].hex()
                if content is None:
                    missing.append(name)
                else:
                    recipes[name] = _decode(name, content)
        if missing:
            raise chunks_missing(missing)
        return recipes

    async def _download(
        self, hashes: list[bytes], call: Call
    ) -> AsyncIterator[tuple[int, bytes | None]]:
        """The chunks with their positions; None for one that the repository does not have."""
        request = pb.DownloadChunksRequest(
            repository=str(call.repository.id), hashes=b"".join(hashes)
        )
        messages = self._chunk.stream(self._stub.DownloadChunks, request, call, READ_SECONDS)
        async for message in messages:
            for chunk in message.chunks:
                yield chunk.index, _plain(chunk)


def parts(file: File, recipes: Mapping[str, Recipe]) -> list[Recipe]:
    """The recipes of one file, in order."""
    if not file.recipe_hashes:
        return []
    return [recipes[part.hex()] for part in split_hashes(file.recipe_hashes)]


def _named(manifest: Manifest) -> Iterable[bytes]:
    for entry in manifest.entries:
        if entry.file.recipe_hashes:
            yield from split_hashes(entry.file.recipe_hashes)


def _plain(chunk: pb.DownloadedChunk) -> bytes | None:
    """The bytes of a chunk; the chunk service has verified them."""
    if chunk.HasField("failure"):
        if chunk.failure.reason == "ERROR_REASON_NOT_FOUND":
            return None
        raise chunk_corrupt(chunk.failure.hash.hex(), "a recipe cannot be read")
    if chunk.compression == pb.COMPRESSION_ZSTD:
        decompressor = zstandard.ZstdDecompressor()
        return decompressor.decompress(chunk.data, max_output_size=MAX_CHUNK_BYTES)
    return chunk.data


def _decode(name: str, content: bytes) -> Recipe:
    try:
        return decode_recipe(content)
    except FormatError as error:
        raise content_mismatch(f"the recipe {name}: {error}", actual=name) from None
