"""UploadChunks: what is taken, what is reported, and when it is acknowledged."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
import zstandard
from dits.chunk.v1 import chunk_service_pb2 as pb
from grpc import StatusCode

from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, assert_stored, chunk, digest, files, plain, reasons, some


async def test_round_trip(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    bare, packed, tiny = some(70_000), b"pressed " * 9000, b"!"
    (answer,) = await shelf.upload([chunk(bare), chunk(packed, zstd=True)], [], [chunk(tiny)])
    assert answer.acknowledged_message_count == 3
    assert not answer.failures
    assert answer.stored_chunk_count == 3
    stored = [len(bare), len(chunk(packed, zstd=True).data), 1]
    assert answer.stored_bytes == sum(stored)
    await shelf.get(bare, packed, tiny)
    sent = await shelf.download(bare, packed, tiny)
    assert [len(item.data) for item in sent] == stored
    assert sent[1].compression == pb.COMPRESSION_ZSTD
    assert await shelf.missing(bare, packed, tiny, some()) == [False, False, False, True]
    rows = await api.fetch("SELECT size, compressed_size, compression FROM chunks ORDER BY size")
    assert [tuple(row) for row in rows] == [
        (1, None, "none"),
        (len(bare), None, "none"),
        (len(packed), stored[1], "zstd"),
    ]
    await assert_stored(api, settings)


async def test_the_largest_chunk(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    largest = some(16 << 20)
    assert (await shelf.put(largest)).stored_bytes == 16 << 20
    await shelf.get(largest)
    (answer,) = await shelf.upload([chunk(largest + b"x", data=b"x")])
    assert reasons([answer]) == {digest(largest + b"x"): "INVALID_FIELD"}
    await assert_stored(api, settings)


async def test_chunks_are_stored_once(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    data, other = some(), some()
    (answer,) = await shelf.upload([chunk(data), chunk(other), chunk(data)], [chunk(data)])
    assert (answer.acknowledged_message_count, answer.stored_chunk_count) == (2, 2)
    assert answer.stored_bytes == len(data) + len(other)
    # What the repository keeps is not even written.
    again = await shelf.put(data, other)
    assert (again.stored_chunk_count, again.stored_bytes) == (0, 0)
    assert len(files(settings)) == 1
    assert await api.value("SELECT count(*) FROM object_deletions") == 0
    # Another repository must send the bytes, but they are not kept twice.
    elsewhere = await Shelf.open(api)
    assert (await elsewhere.put(data)).stored_chunk_count == 1
    await elsewhere.get(data)
    assert await api.value("SELECT ref_count FROM chunks WHERE hash = $1", digest(data).hex()) == 2
    assert await api.value("SELECT count(*) FROM object_deletions") == 1
    await assert_stored(api, settings)


async def test_what_is_wrong_is_reported_and_the_rest_is_stored(
    api: Api, settings: Settings
) -> None:
    shelf = await Shelf.open(api)
    good = [some() for _ in range(4)]
    texts = [b"text %d " % n * 50 for n in range(9)]
    endless = zstandard.ZstdCompressor(write_content_size=False).compress(texts[3])
    bomb = zstandard.ZstdCompressor().compress(bytes(16 << 20))
    first = [
        chunk(good[0]),
        chunk(texts[0], hash=bytes(32)),
        chunk(texts[1], size=5),
        chunk(good[1], zstd=True),
        chunk(texts[2], zstd=True, data=b"no frame"),
        chunk(texts[3], zstd=True, data=endless),
        chunk(texts[4], zstd=True, data=bomb),
    ]
    second = [
        chunk(texts[5], compression=pb.COMPRESSION_UNSPECIFIED),
        chunk(texts[6], compression=77),
        chunk(b"", data=b""),
        chunk(texts[7], size=(16 << 20) + 1),
        chunk(good[2]),
        chunk(texts[8], hash=b"short"),
    ]
    answers = await shelf.upload(first, second, [chunk(good[3])])
    mismatch, invalid = "CONTENT_MISMATCH", "INVALID_FIELD"
    assert reasons(answers) == {
        bytes(32): mismatch,
        **{digest(text): mismatch for text in texts[1:5]},
        **{digest(text): invalid for text in texts[5:8]},
        digest(b""): invalid,
        b"short": invalid,
    }
    assert answers[-1].acknowledged_message_count == 3
    assert sum(answer.stored_chunk_count for answer in answers) == 4
    await shelf.get(*good)
    assert all(await shelf.missing(*texts))
    await assert_stored(api, settings)


class TestPacks:
    """Packs of 64 KiB."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"pack_bytes": 64 << 10})

    async def test_acknowledgements_rise_and_are_complete(
        self, api: Api, settings: Settings
    ) -> None:
        shelf = await Shelf.open(api)
        messages = [[some(20_000), some(3000)] for _ in range(12)]
        wrong = some()
        sent = [[chunk(data) for data in message] for message in messages]
        sent[5].append(chunk(wrong, hash=bytes(32)))
        answers = await shelf.upload(*sent)
        acknowledged = [answer.acknowledged_message_count for answer in answers]
        assert acknowledged == [3, 6, 9, 12]
        assert [answer.stored_chunk_count for answer in answers] == [6, 6, 6, 6]
        assert [len(answer.failures) for answer in answers] == [0, 1, 0, 0]
        assert len(files(settings)) == 4
        await shelf.get(*[data for message in messages for data in message])
        await assert_stored(api, settings)

    async def test_a_full_pack_is_acknowledged_while_the_stream_goes_on(self, api: Api) -> None:
        shelf = await Shelf.open(api)
        data = some(70_000)
        call = shelf.stream(None)
        await call.write(shelf.requests([[chunk(data)]])[0])
        answer = await call.read()
        assert answer.acknowledged_message_count == 1
        await shelf.get(data)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() == StatusCode.OK


async def test_a_slow_client_is_acknowledged_too(api: Api) -> None:
    shelf = await Shelf.open(api)
    call = shelf.stream(None)
    await call.write(shelf.requests([[chunk(some())]])[0])
    # Neither a full pack nor the end of the stream: only time passes.
    assert (await call.read()).acknowledged_message_count == 1
    await call.write(pb.UploadChunksRequest())
    assert (await call.read()).acknowledged_message_count == 2
    await call.done_writing()
    assert await call.code() == StatusCode.OK


async def test_ten_thousand_chunks_a_message(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    small = [n.to_bytes(4, "big") for n in range(10_001)]
    answers = await shelf.upload([chunk(data) for data in small[:-1]], [chunk(small[-1])])
    assert [answer.stored_chunk_count for answer in answers] == [10_000, 1]
    assert [answer.acknowledged_message_count for answer in answers] == [1, 2]
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await shelf.upload([chunk(data) for data in small])
    assert refusal.metadata == {"field": "chunks", "limit": "10000", "count": "10001"}
    await assert_stored(api, settings)


async def test_only_the_first_message_names_the_repository(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await collect(shelf.stream(iter([pb.UploadChunksRequest()])))
    requests = shelf.requests([[chunk(some())], [chunk(some())]])
    requests[1].repository = shelf.repo.id
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await collect(shelf.stream(iter(requests)))
    await assert_stored(api, settings)


async def test_rights(api: Api) -> None:
    shelf = await Shelf.open(api)
    stranger, reader = await api.account(), await api.account()
    await api.grant(shelf.repo, reader, "read")
    narrow = await api.api_token(shelf.who, "repo:read")
    for who, code, reason in (
        (stranger, StatusCode.NOT_FOUND, "NOT_FOUND"),
        (reader, StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"),
        (narrow, StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"),
    ):
        with refused(code, reason):
            await Shelf(api, who, shelf.repo).put(some())
        with refused(code, reason):
            await Shelf(api, who, shelf.repo).missing(some())
    data = some()
    await shelf.put(data)
    await Shelf(api, reader, shelf.repo).get(data)
    await Shelf(api, narrow, shelf.repo).get(data)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await Shelf(api, stranger, shelf.repo).download(data)


async def test_an_archived_repository_takes_nothing(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    await api.fetch("UPDATE repositories SET archived = TRUE")
    with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
        await shelf.put(some())
    await assert_stored(api, settings)


async def test_many_streams_at_once(api: Api, settings: Settings) -> None:
    shelves = [await Shelf.open(api) for _ in range(4)]
    common = [some(30_000) for _ in range(20)]
    own = [[some(5000) for _ in range(20)] for _ in shelves]
    await asyncio.gather(
        *(
            shelf.upload(*[[chunk(one), chunk(two)] for one, two in zip(common, mine, strict=True)])
            for shelf, mine in zip(shelves, own, strict=True)
        )
    )
    for shelf, mine in zip(shelves, own, strict=True):
        await shelf.get(*common, *mine)
    assert await api.value("SELECT count(*) FROM chunks WHERE ref_count = 4") == 20
    await assert_stored(api, settings)


async def test_a_compressed_chunk_can_be_sent_plain_later(api: Api) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    data = b"the same bytes " * 1000
    await shelf.upload([chunk(data, zstd=True)])
    await elsewhere.upload([chunk(data)])
    for each in (shelf, elsewhere):
        (sent,) = await each.download(data)
        assert sent.compression == pb.COMPRESSION_ZSTD
        assert plain(sent) == data


async def collect(call: Any) -> list[Any]:
    return [answer async for answer in call]


async def test_a_pack_of_many_small_chunks_ends_before_the_upload(api: Api) -> None:
    shelf = await Shelf.open(api)
    one, two, three = ([chunk(b"%d" % n) for n in range(at, at + 2000)] for at in (0, 2000, 4000))
    await shelf.upload(one, two, three)
    assert await api.fetch("SELECT FROM packs WHERE live > 4000") == []
