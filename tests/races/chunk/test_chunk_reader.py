"""Reading beside what moves and deletes chunks."""

from __future__ import annotations

from uuid import UUID

from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.catalog.extents import Extents
from services.chunk.packs.chunk_reader import ChunkReader, Piece
from services.chunk.rpc.response_encoder import EncodedResponse, encode_piece
from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import (
    Shelf,
    assert_stored,
    digest,
    files,
    reason,
    some,
    transaction,
)
from tests.support.stores import open_store


async def test_a_chunk_that_moves_between_lookup_and_reading(
    api: Api, settings: Settings, databases: Databases
) -> None:
    store = open_store(settings)
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    repository_id = UUID(shelf.repo.id)
    extents = Extents(databases)
    (extent,) = (await extents.locate_chunks(repository_id, [digest(data)])).values()
    # What compaction does: the bytes move to another pack, and the old object goes.
    ((old, path),) = files(settings).items()
    writer = store.open_writer("0/fresh")
    await writer.write_parts([b"before", path.read_bytes()])
    await writer.seal()
    async with transaction(api) as connection:
        await connection.execute(
            """INSERT INTO packs (key, bucket, region, state, live, bytes)
               SELECT '0/fresh', bucket, region, 'sealed', 1, bytes + 6 FROM packs"""
        )
        await connection.execute("UPDATE chunks SET storage_key = '0/fresh@6+1000'")
        await connection.execute("DELETE FROM packs WHERE key = $1", old)
    await store.delete_object(old)
    reader = ChunkReader({store.bucket: store}, extents)
    parts = await reader.read_pieces(repository_id, [Piece(extent, 0, None)], encode_piece)
    message = pb.DownloadChunksResponse.FromString(EncodedResponse(parts).SerializeToString())
    assert [item.data for item in message.chunks] == [data]
    await shelf.get(data)
    await assert_stored(api, settings)
    # The repository loses the chunk, and then the object goes.
    await api.fetch("DELETE FROM chunk_refs")
    parts = await reader.read_pieces(repository_id, [Piece(extent, 7, None)], encode_piece)
    message = pb.DownloadChunksResponse.FromString(EncodedResponse(parts).SerializeToString())
    assert [(item.index, reason(item)) for item in message.chunks] == [(7, "NOT_FOUND")]
