"""Calls with any bytes, as no generated stub makes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.support.api import Api
from tests.support.rpcs import name_service
from tests.support.waiting import PATIENCE_SECONDS

STREAMING = {
    "/dits.repo.v1.CommitService/Push": (True, False),
    "/dits.chunk.v1.ChunkService/UploadChunks": (True, True),
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": (True, True),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": (True, True),
    "/dits.chunk.v1.ChunkService/DownloadChunks": (False, True),
    "/dits.repo.v1.TreeService/StreamTree": (False, True),
    "/dits.lock.v1.LockService/Watch": (False, True),
    "/dits.auth.v1.NotificationService/Watch": (False, True),
    "/dits.repo.v1.EventService/Watch": (False, True),
    "/dits.auth.v1.AuditService/ExportAuditEvents": (False, True),
    "/grpc.health.v1.Health/Watch": (False, True),
}


async def call_raw(api: Api, path: str, data: bytes, metadata: Any = ()) -> bytes:
    """Calls any method with any bytes; returns the first response."""
    service = name_service(path)
    channel: Any = api.channels[service]
    sends_many, gets_many = STREAMING.get(path, (False, False))
    kind = f"{'stream' if sends_many else 'unary'}_{'stream' if gets_many else 'unary'}"
    call = getattr(channel, kind)(path)(
        iter([data]) if sends_many else data, metadata=metadata, timeout=PATIENCE_SECONDS
    )
    if not gets_many:
        return bytes(await call)
    async for response in call:
        call.cancel()
        return bytes(response)
    return b""


async def silence() -> AsyncIterator[bytes]:
    """A request stream on which nothing ever comes."""
    await asyncio.Event().wait()
    yield b""


def open_call(api: Api, path: str, metadata: Any = ()) -> Any:
    """A call of any RPC that sends nothing and does not end."""
    channel: Any = api.channels[name_service(path)]
    return channel.stream_unary(path)(silence(), metadata=metadata, timeout=PATIENCE_SECONDS)
