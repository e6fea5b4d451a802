"""StatChunks: what a repository knows of its chunks, and of those of others nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dits.chunk.v1 import chunk_service_pb2 as pb
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.chunks import Shelf, chunk, digest, some
from tests.support.collection import reference


async def stat(shelf: Shelf, *data: bytes, who: Account | None = None) -> list[pb.ChunkStat]:
    """What the repository knows of chunks."""
    request = pb.StatChunksRequest(repository=shelf.repo.id, hashes=b"".join(map(digest, data)))
    auth = (who or shelf.who).auth
    return list((await shelf.api.chunks.StatChunks(request, metadata=auth)).chunks)


async def test_what_is_known(api: Api) -> None:
    shelf = await Shelf.open(api)
    bare, text, sealed = some(), b"text " * 900, some()
    packed = chunk(text, zstd=True)
    await shelf.upload([chunk(bare), packed, chunk(sealed, encryption_key_id="kms:1")])
    await reference(shelf, text)
    await api.fetch("UPDATE chunks SET lost_at = now() WHERE hash = $1", digest(sealed).hex())
    found = await stat(shelf, some(), bare, text, sealed, bare)
    assert [(item.index, item.size, item.stored_size) for item in found] == [
        (1, 1000, 1000),
        (2, len(text), len(packed.data)),
        (3, 1000, 1000),
    ]
    assert [item.encryption_key_id for item in found] == ["", "", "kms:1"]
    assert [item.is_lost for item in found] == [False, False, True]
    assert [item.HasField("lease_end_time") for item in found] == [True, False, True]
    left = found[0].lease_end_time.ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(days=1)


async def test_many_at_once(api: Api) -> None:
    shelf = await Shelf.open(api)
    data = [number.to_bytes(2, "big") for number in range(4100)]
    await shelf.put(*data[::2])
    found = await stat(shelf, *data)
    assert [item.index for item in found] == list(range(0, 4100, 2))
    assert {item.size for item in found} == {2}


async def test_chunks_of_others_are_not_there(api: Api) -> None:
    shelf, other = await Shelf.open(api), await Shelf.open(api)
    data = some()
    await other.put(data)
    assert await stat(shelf, data, some()) == []
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await stat(other, data, who=shelf.who)


async def test_who_may_ask_for_how_much(api: Api) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    reader = await api.account()
    await api.grant(shelf.repo, reader, "read")
    assert len(await stat(shelf, data, who=reader)) == 1
    assert await stat(shelf) == []
    locks = await api.api_token(shelf.who, "lock:write")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await stat(shelf, data, who=locks)
    for hashes, code, reason in (
        (bytes(31), StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (bytes(32 * 10_001), StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"),
    ):
        request = pb.StatChunksRequest(repository=shelf.repo.id, hashes=hashes)
        with refused(code, reason):
            await api.chunks.StatChunks(request, metadata=shelf.who.auth)
