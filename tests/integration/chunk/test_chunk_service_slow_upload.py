"""UploadChunks behind a store or database that takes long."""

from __future__ import annotations

import pytest
from dits.chunk.v1 import chunk_service_pb2 as pb
from grpc import StatusCode

from services.chunk.rpc import upload_chunks
from tests.support.api import Api
from tests.support.chunks import Shelf, chunk, some


async def test_acknowledgements_are_repeated_while_messages_wait(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_chunks, "_REPEAT_SECONDS", 0.05)
    monkeypatch.setattr(upload_chunks, "_MOST_REPEATS", 2)
    shelf = await Shelf.open(api)
    call = shelf.stream(None)
    requests = shelf.requests([[chunk(some())], [chunk(some())]])
    for number, request in enumerate(requests):
        async with api.connected() as connection, connection.transaction():
            # So long, no pack can be finalized.
            await connection.execute("SELECT FROM repositories FOR UPDATE")
            await call.write(request)
            repeated = [await call.read(), await call.read()]
            assert repeated == [pb.UploadChunksResponse(acknowledged_message_count=number)] * 2
        answer = await call.read()
        assert (answer.acknowledged_message_count, answer.stored_chunk_count) == (number + 1, 1)
    await call.done_writing()
    assert await call.code() == StatusCode.OK
