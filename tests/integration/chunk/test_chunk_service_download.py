"""DownloadChunks: what is sent, in parts and whole, and that nothing damaged ever is."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from dits.chunk.v1 import chunk_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import Visibility
from grpc import StatusCode
from structlog.testing import capture_logs

from shared.rpc import byte_budget
from shared.runtime.config import Settings
from tests.support.api import Api, refused, running_suite
from tests.support.chunks import Shelf, chunk, digest, files, plain, reason, running, some
from tests.support.waiting import PATIENCE_SECONDS


async def ask(shelf: Shelf, **fields: Any) -> list[pb.DownloadChunksResponse]:
    request = pb.DownloadChunksRequest(repository=shelf.repo.id, **fields)
    return [message async for message in shelf.messages(request)]


async def test_many_chunks_in_messages_of_a_mebibyte(api: Api) -> None:
    shelf = await Shelf.open(api)
    data = [some(random.Random(n).randint(1, 60_000)) for n in range(300)]
    for at in range(0, 300, 60):
        await shelf.put(*data[at : at + 60])
    shuffled = random.Random(2).sample(data, 300)
    messages = await ask(shelf, hashes=b"".join(map(digest, shuffled)))
    sizes = [sum(len(item.data) for item in message.chunks) for message in messages]
    assert max(sizes) <= 1 << 20
    assert min(sizes[:-1]) > (1 << 20) - 60_000
    sent = {item.index: item.data for message in messages for item in message.chunks}
    assert [sent[index] for index in range(300)] == shuffled


async def test_more_than_one_window_of_lookups(api: Api) -> None:
    shelf = await Shelf.open(api)
    data = [n.to_bytes(3, "big") for n in range(5000)]
    await shelf.put(*data)
    await shelf.get(*reversed(data))


async def test_a_chunk_may_be_asked_for_twice(api: Api) -> None:
    shelf = await Shelf.open(api)
    one, two = some(), some()
    await shelf.put(one, two)
    await shelf.get(one, two, one, one)


async def test_nothing_asked_nothing_sent(api: Api) -> None:
    shelf = await Shelf.open(api)
    assert await ask(shelf) == []


async def test_what_is_not_there_is_reported_in_its_place(api: Api) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    here, there, nowhere = some(), some(), some()
    await shelf.put(here)
    await elsewhere.put(there)
    sent = await shelf.download(there, here, nowhere)
    # To know a hash grants nothing: a chunk of another repository is as absent as any.
    assert [reason(sent[0]), reason(sent[2])] == ["NOT_FOUND", "NOT_FOUND"]
    assert sent[0].failure.hash == digest(there)
    alike = {
        each.failure.message.replace(each.failure.hash.hex(), "") for each in (sent[0], sent[2])
    }
    assert len(alike) == 1
    assert sent[1].data == here
    assert await shelf.missing(there, here, nowhere) == [True, False, True]


async def test_everyone_may_read_what_is_public(api: Api) -> None:
    ada = await api.account()
    shelf = Shelf(api, ada, await api.repository(ada, visibility=Visibility.VISIBILITY_PUBLIC))
    data = some()
    await shelf.put(data)
    request = pb.DownloadChunksRequest(repository=shelf.repo.id, hashes=digest(data))
    call: Any = api.chunks.DownloadChunks(request)
    assert [item.data async for message in call for item in message.chunks] == [data]
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.chunks.FindMissingChunks(
            pb.FindMissingChunksRequest(repository=shelf.repo.id, hashes=digest(data))
        )


@pytest.mark.parametrize("zstd", [False, True])
async def test_parts(api: Api, zstd: bool) -> None:
    shelf = await Shelf.open(api)
    data = some(500) * 20
    await shelf.upload([chunk(data, zstd=zstd)])
    ranges = [(0, 0), (0, 1), (9_999, 1), (9_999, 50), (300, 700), (10_000, 0), (10_001, 5)]
    sent = await shelf.download(*[data] * len(ranges), ranges=ranges)
    assert [item.data for item in sent[:5]] == [
        data, data[:1], data[-1:], data[-1:], data[300:1000],
    ]  # fmt: skip
    assert {item.compression for item in sent[:5]} == {pb.COMPRESSION_NONE}
    assert {item.size for item in sent[:5]} == {10_000}
    assert [reason(item) for item in sent[5:]] == ["RANGE_BEYOND_END"] * 2


async def test_malformed_requests(api: Api) -> None:
    shelf = await Shelf.open(api)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await ask(shelf, hashes=bytes(33))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await ask(shelf, hashes=bytes(64), ranges=[pb.ByteRange()])
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await ask(shelf, hashes=bytes(32 * 10_001))
    assert len(await ask(shelf, hashes=bytes(32 * 10_000))) == 10


class TestDamage:
    """What happens to an object behind the server's back."""

    async def test_a_flipped_bit_is_never_sent(self, api: Api, settings: Settings) -> None:
        shelf = await Shelf.open(api)
        data = [some(50_000) for _ in range(3)]
        await shelf.put(*data)
        ((key, path),) = files(settings).items()
        stored = bytearray(path.read_bytes())
        stored[75_000] ^= 1
        path.write_bytes(stored)
        with capture_logs() as logs:
            sent = await shelf.download(*data)
        assert [plain(sent[0]), plain(sent[2])] == [data[0], data[2]]
        assert reason(sent[1]) == "CHUNK_CORRUPT"
        (alarm,) = [entry for entry in logs if entry["event"] == "chunk corrupt"]
        assert alarm["log_level"] == "error"
        assert (alarm["pack"], alarm["hash"]) == (key, digest(data[1]).hex())
        # Not even a part of it that is intact: parts cannot be verified.
        (part,) = await shelf.download(data[1], ranges=[(0, 10)])
        assert reason(part) == "CHUNK_CORRUPT"

    async def test_a_compressed_chunk(self, api: Api, settings: Settings) -> None:
        shelf = await Shelf.open(api)
        data = b"compressed " * 1000
        await shelf.upload([chunk(data, zstd=True)])
        (path,) = files(settings).values()
        path.write_bytes(bytes(path.stat().st_size))
        assert [reason(item) for item in await shelf.download(data)] == ["CHUNK_CORRUPT"]

    async def test_an_object_that_was_cut_off(self, api: Api, settings: Settings) -> None:
        shelf = await Shelf.open(api)
        data = [some(50_000) for _ in range(3)]
        await shelf.put(*data)
        (path,) = files(settings).values()
        path.write_bytes(path.read_bytes()[:120_000])
        sent = await shelf.download(*data)
        assert [plain(sent[0]), plain(sent[1])] == data[:2]
        assert reason(sent[2]) == "CHUNK_CORRUPT"

    async def test_an_object_that_is_gone(self, api: Api, settings: Settings) -> None:
        shelf = await Shelf.open(api)
        data, other = some(), some()
        await shelf.put(data)
        (path,) = files(settings).values()
        await shelf.put(other)
        path.unlink()
        with capture_logs() as logs:
            sent = await shelf.download(other, data)
        assert sent[0].data == other
        assert reason(sent[1]) == "CHUNK_CORRUPT"
        (alarm,) = [entry for entry in logs if entry["event"] == "chunk corrupt"]
        assert alarm["cause"] == "the object is missing"


async def test_a_reader_who_stops_leaves_nothing_running(api: Api) -> None:
    shelf = await Shelf.open(api)
    data = [some(1 << 20) for _ in range(40)]
    for each in data:
        await shelf.put(each)
    request = pb.DownloadChunksRequest(repository=shelf.repo.id, hashes=b"".join(map(digest, data)))
    before = running()
    call: Any = api.chunks.DownloadChunks(request, metadata=shelf.who.auth)
    assert await call.read()
    # The server has read ahead as far as it may, and waits for the reader.
    call.cancel()
    while reading := running() - before:
        await asyncio.wait(reading)


async def test_calls_that_nobody_reads_hold_a_bounded_number_of_bytes(
    dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one account's downloads some are refused, sooner or later; those of others go on."""
    monkeypatch.setattr(byte_budget, "WAIT_SECONDS", 0.5)
    small = settings.model_copy(update={"held_bytes": 64 << 20, "idle_seconds": 60.0})
    async with running_suite(dsn, small) as api:
        shelf, other = await Shelf.open(api), await Shelf.open(api)
        large, little = some(8 << 20), some()
        await shelf.put(large)
        await other.put(little)
        request = pb.DownloadChunksRequest(repository=shelf.repo.id, hashes=digest(large) * 4)
        calls: list[Any] = [
            api.chunks.DownloadChunks(request, metadata=shelf.who.auth) for _ in range(12)
        ]
        async with asyncio.timeout(PATIENCE_SECONDS):
            # Nothing is read meanwhile: the client's library takes one message, and no more.
            done, _ = await asyncio.wait(
                [asyncio.create_task(call.code()) for call in calls],
                return_when=asyncio.FIRST_COMPLETED,
            )
        assert {task.result() for task in done} == {StatusCode.RESOURCE_EXHAUSTED}
        assert [plain(item) for item in await other.download(little)] == [little]
        for call in calls:
            call.cancel()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert len(await shelf.download(large, large)) == 2
