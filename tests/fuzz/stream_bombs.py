"""Streams, compressed and undecodable bodies of the corpus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from dits.lock.v1.lock_service_pb2 import WatchRequest
from dits.repo.v1.commit_service_pb2 import PushHeader, PushRequest
from dits.repo.v1.tree_service_pb2 import StreamTreeRequest

from tests.fuzz.bombs import bomb, encode_varint, outcome, send
from tests.fuzz.conftest import Target
from tests.fuzz.push_bombs import header, link, manifest, split
from tests.support.rpcs import name_service

PUSH = "/dits.repo.v1.CommitService/Push"
HEALTH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


async def together(calls: list[Any], seconds: float) -> str:
    """Leaves streams open for a while without reading them; then breaks them off."""
    try:
        await asyncio.sleep(seconds)
    finally:
        for call in calls:
            call.cancel()
    return "OK"


@bomb("OK")
async def watches_of_one_caller(target: Target) -> str:
    request = WatchRequest(repository=target.world.repository.id)
    calls: list[Any] = [
        target.api.locks.Watch(request, metadata=target.world.ada.auth) for _ in range(300)
    ]
    return await together(calls, 2)


def silent(target: Target, path: str, metadata: Any) -> Any:
    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    channel: Any = target.api.channels[name_service(path)]
    return channel.stream_stream(path)(nothing(), metadata=metadata)


@bomb("OK")
async def pushes_that_say_nothing(target: Target) -> str:
    return await together([silent(target, PUSH, target.world.ada.auth) for _ in range(200)], 2)


@bomb("OK")
async def strangers_that_say_nothing(target: Target) -> str:
    return await together([silent(target, PUSH, ()) for _ in range(400)], 2)


@bomb("OK")
async def health_streams_400(target: Target) -> str:
    return await together([silent(target, HEALTH, ()) for _ in range(400)], 2)


@bomb("STREAM_IDLE")
async def a_push_that_stops(target: Target) -> str:
    async def header_only() -> AsyncIterator[PushRequest]:
        yield PushRequest(header=PushHeader(repository=target.world.repository.id))
        await asyncio.Event().wait()

    try:
        await target.api.commits.Push(header_only(), metadata=target.world.ada.auth)
    except grpc.aio.AioRpcError as error:
        return outcome(error)
    return "OK"


async def break_off(target: Target, manifests: int, size: int) -> str:
    """Breaks 8 pushes off when all their manifests are sent."""
    contents = [manifest(link(f"l{i}", "t" * size))[1] for i in range(manifests)]
    parts = [header(target), *split(contents)]

    async def push(broken: asyncio.Event) -> None:
        async def say() -> AsyncIterator[PushRequest]:
            for part in parts:
                yield part
            broken.set()
            await asyncio.Event().wait()

        call: Any = target.api.commits.Push(say(), metadata=target.world.ada.auth)
        await broken.wait()
        call.cancel()

    await asyncio.gather(*(push(asyncio.Event()) for _ in range(8)))
    return "OK"


@bomb("OK")
async def pushes_broken_off_in_the_middle(target: Target) -> str:
    return await break_off(target, 3_300, 3_000)


@bomb("OK")
async def pushes_of_small_manifests_broken_off(target: Target) -> str:
    return await break_off(target, 100_000, 30)


# A header of 8 million locks.
UNFOLDED = b"\x0a" + encode_varint(16_600_000) + b"\x1a\x00" * 8_300_000


@bomb("UNAUTHENTICATED", "UNIMPLEMENTED")
async def gzip_of_a_stranger(target: Target) -> str:
    gzip = grpc.Compression.Gzip
    return await send(target, PUSH, UNFOLDED, metadata=(), compression=gzip)


@bomb("UNIMPLEMENTED")
async def gzip_with_a_credential(target: Target) -> str:
    return await send(target, PUSH, UNFOLDED, compression=grpc.Compression.Gzip)


@bomb("UNIMPLEMENTED")
async def deflate_with_a_credential(target: Target) -> str:
    return await send(target, PUSH, UNFOLDED, compression=grpc.Compression.Deflate)


@bomb("UNAUTHENTICATED")
async def a_large_message_of_a_stranger(target: Target) -> str:
    return await send(target, PUSH, bytes(16 << 20), metadata=())


@bomb("RESOURCE_EXHAUSTED", "BATCH_TOO_LARGE")
async def a_message_of_40_mib(target: Target) -> str:
    return await send(target, PUSH, bytes(40 << 20))


# Field 15, which no message has: a number, bytes of no length, the begin of a group, the end of one.
_UNKNOWN: dict[str, bytes] = {
    "numbers": b"\x78\x01",
    "bytes": b"\x7a\x00",
    "groups": b"\x7b",
    "ends_of_groups": b"\x7c",
    "long_numbers": b"\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    "fixed": b"\x7d\0\0\0\0",
}


def _unknown(data: bytes) -> Callable[[Target], Any]:
    async def attack(target: Target) -> str:
        return await send(target, PUSH, data * ((16 << 20) // len(data)))

    return attack


for _name, _data in _UNKNOWN.items():
    _attack = _unknown(_data)
    _attack.__name__ = f"unknown_{_name}"
    bomb("BATCH_TOO_LARGE", "UNDECODABLE_MESSAGE", "INVALID_FIELD", "STREAM_ORDER")(_attack)


@bomb("OK", "NOT_FOUND")
async def hashes_of_a_tree_10_000(target: Target) -> str:
    request = StreamTreeRequest(
        repository=target.world.repository.id, have_hashes=b"h" * 32 * 10_000
    )
    return await send(target, "/dits.repo.v1.TreeService/StreamTree", request)


@bomb("OK")
async def questions_of_reflection_2_000(target: Target) -> str:
    # list_services
    return await send(target, REFLECTION, *[b"\x3a\x01*"] * 2_000, metadata=())
