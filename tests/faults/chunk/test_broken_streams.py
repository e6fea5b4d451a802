"""Uploads that end in the middle: nothing is left of what was not acknowledged."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from dits.chunk.v1 import chunk_service_pb2 as pb
from grpc import StatusCode

from services.suite import Suite
from shared.db.listen import Listener
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from shared.server import Runtime
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, assert_stored, chunk, digest, running, some, transaction

PACK = 200_000


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"pack_bytes": PACK})


async def send_a_pack_and_a_half(shelf: Shelf) -> tuple[Any, bytes, bytes]:
    """A stream in which one pack was acknowledged and another one is open."""
    first, second = some(PACK), some(PACK // 2)
    call = shelf.stream(None)
    await call.write(shelf.requests([[chunk(first)]])[0])
    assert (await call.read()).acknowledged_message_count == 1
    await call.write(pb.UploadChunksRequest(chunks=[chunk(second)]))
    while not await shelf.api.value("SELECT count(*) FROM packs WHERE state = 'open'"):
        pass
    return call, first, second


async def settle(before: set[asyncio.Task[Any]]) -> None:
    """Waits until the calls have ended on the server too."""
    while ending := running() - before:
        await asyncio.wait(ending)


async def assert_in_order(shelf: Shelf, settings: Settings, first: bytes, second: bytes) -> None:
    """What was acknowledged is there. What was not may be, and can be sent again."""
    await assert_stored(shelf.api, settings)
    assert await shelf.missing(first) == [False]
    await shelf.get(first)
    await shelf.put(second)
    await shelf.get(second)


async def test_a_client_that_cancels(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    before = running()
    call, first, second = await send_a_pack_and_a_half(shelf)
    call.cancel()
    await settle(before)
    await assert_in_order(shelf, settings, first, second)


async def test_a_client_that_is_gone(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    before = running()
    _, first, second = await send_a_pack_and_a_half(shelf)
    await api.channels["chunk"].close()
    await settle(before)
    api.channels["chunk"] = grpc.aio.insecure_channel(api.addresses["chunk"])
    api.chunks = type(api.chunks)(api.channels["chunk"])
    await assert_in_order(shelf, settings, first, second)


async def test_a_deadline_that_passes(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    before = running()
    # Acknowledgements wait for the repository, so the call cannot end in time.
    async with transaction(api) as connection:
        await connection.execute("SELECT FROM repositories FOR UPDATE")
        requests = shelf.requests([[chunk(some(PACK))], [chunk(some())]])
        call = api.chunks.UploadChunks(iter(requests), metadata=shelf.who.auth, timeout=0.5)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call.read()
        assert failure.value.code() == StatusCode.DEADLINE_EXCEEDED
    await settle(before)
    # The complete pack was finalized when it could be; no harm is done if no call waits for it.
    await assert_stored(api, settings)


@pytest.mark.parametrize("count", [1, 20])
async def test_streams_that_are_cancelled_at_any_moment(
    api: Api, settings: Settings, count: int
) -> None:
    shelf = await Shelf.open(api)
    before = running()

    async def upload(moment: int) -> None:
        messages = [[chunk(some(PACK // 3))] for _ in range(6)]
        call = shelf.stream(iter(shelf.requests(messages)))
        for _ in range(moment):
            await api.value("SELECT 1")
        call.cancel()

    await asyncio.gather(*(upload(moment) for moment in range(count)))
    await settle(before)
    await assert_stored(api, settings)


async def test_a_message_that_is_not_one(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    path = "/dits.chunk.v1.ChunkService/UploadChunks"
    raw: Any = api.channels["chunk"].stream_stream(path)
    good = [request.SerializeToString() for request in shelf.requests([[chunk(some())]] * 2)]
    with refused(StatusCode.INVALID_ARGUMENT, "UNDECODABLE_MESSAGE"):
        async for _ in raw(iter([*good, b"\xff\xff"]), metadata=shelf.who.auth):
            pass
    await assert_stored(api, settings)


async def test_a_server_that_stops(dsn: str, settings: Settings) -> None:
    key = ServerKey.load(settings.server_key, settings.data_dir)
    suite = Suite(Runtime(settings, dsn, key, Listener(dsn), strict=True))
    await suite.start()
    api = Api(suite, dsn)
    shelf = await Shelf.open(api)
    call, first, second = await send_a_pack_and_a_half(shelf)
    await suite.stop()
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()
    await api.close()
    await assert_stored(api, settings)
    stored = {row["hash"] for row in await api.fetch("SELECT hash FROM chunks")}
    assert digest(first).hex() in stored
    assert stored <= {digest(first).hex(), digest(second).hex()}


async def test_a_repository_that_is_deleted_meanwhile(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    data = some()
    call = shelf.stream(None)
    await call.write(shelf.requests([[chunk(data)]])[0])
    while not await api.value("SELECT count(*) FROM packs WHERE state = 'open'"):
        pass
    await api.fetch("UPDATE repositories SET deleted_at = now()")
    await call.done_writing()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await call.read()
    await assert_stored(api, settings)
    assert await api.value("SELECT count(*) FROM chunks") == 0


async def test_a_right_that_is_withdrawn_ends_the_stream(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    writer = await api.account()
    await api.grant(shelf.repo, writer, "write")
    call = Shelf(api, writer, shelf.repo).stream(None)
    await call.write(shelf.requests([[]])[0])
    assert (await call.read()).acknowledged_message_count == 1
    await api.fetch("DELETE FROM repository_collaborators")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await call.read()
    await assert_stored(api, settings)
