"""What one caller can take from a server, and what nobody can: calls, time, silence, memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.chunk.v1.chunk_service_pb2 import DownloadChunksRequest
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.lock.v1.lock_service_pb2 import WatchRequest
from dits.repo.v1.commit_service_pb2 import PushHeader, PushRequest
from dits.repo.v1.repository_service_pb2 import ListRepositoriesRequest, Visibility
from google.rpc import error_details_pb2
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shared.rpc import wire_gate
from shared.runtime.config import Settings
from tests.support.api import Api, read_error, refused
from tests.support.chunks import Shelf, digest, some
from tests.support.raw_calls import call_raw, open_call
from tests.support.waiting import PATIENCE_SECONDS

PUSH = "/dits.repo.v1.CommitService/Push"
LOGIN = "/dits.auth.v1.SessionService/Login"
GET_ME = "/dits.auth.v1.AccountService/GetMe"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"max_calls_each": 8, "first_message_seconds": 0.3, "idle_seconds": 0.5}
    )


@pytest.mark.parametrize("path", [PUSH, GET_ME])
async def test_the_first_message_has_to_come_in_time(api: Api, path: str) -> None:
    ada = await api.account()
    with refused(StatusCode.ABORTED, "STREAM_IDLE") as refusal:
        await open_call(api, path, ada.auth)
    assert refusal.metadata == {"seconds": "0.3"}


async def test_a_silent_stream_ends(api: Api) -> None:
    shelf = await Shelf.open(api)

    async def one() -> AsyncIterator[Any]:
        yield PushRequest(header=PushHeader(repository=shelf.repo.id))
        await asyncio.Event().wait()

    with refused(StatusCode.ABORTED, "STREAM_IDLE") as refusal:
        await api.commits.Push(one(), metadata=shelf.who.auth)
    assert refusal.metadata == {"seconds": "0.5"}


async def test_a_reader_that_takes_nothing_is_told_so_when_it_reads_again(api: Api) -> None:
    shelf = await Shelf.open(api)
    content = some(8 << 20)
    await shelf.put(content)
    request = DownloadChunksRequest(repository=shelf.repo.id, hashes=digest(content) * 8)
    call: Any = api.chunks.DownloadChunks(request, metadata=shelf.who.auth)
    await asyncio.sleep(1.5)
    with refused(StatusCode.ABORTED, "STREAM_IDLE"):
        async for _ in call:
            pass


async def test_each_caller_has_its_own_calls(api: Api) -> None:
    shelf, bob = await Shelf.open(api), await api.account()
    watches = [
        api.locks.Watch(WatchRequest(repository=shelf.repo.id), metadata=shelf.who.auth)
        for _ in range(8)
    ]
    for watch in watches:
        await anext(aiter(watch))
    with refused(StatusCode.RESOURCE_EXHAUSTED, "SERVER_BUSY") as refusal:
        await anext(
            aiter(api.locks.Watch(WatchRequest(repository=shelf.repo.id), metadata=shelf.who.auth))
        )
    assert refusal.metadata == {"limit": "8"}
    assert refusal.detail(error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() > 0
    await api.accounts.GetMe(GetMeRequest(), metadata=bob.auth)
    watches[0].cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await _watches(api, shelf):
            pass


async def test_calls_without_a_credential_take_nothing_from_accounts(api: Api) -> None:
    """From the same address, as behind one proxy: calls that never send, and open streams."""
    ada = await api.account()
    public = await api.repository(ada, visibility=Visibility.VISIBILITY_PUBLIC)
    watches = [api.locks.Watch(WatchRequest(repository=public.id)) for _ in range(20)]
    told = await asyncio.gather(*(watch.read() for watch in watches), return_exceptions=True)
    assert sum(isinstance(error, grpc.aio.AioRpcError) for error in told) == 12
    own = api.locks.Watch(WatchRequest(repository=public.id), metadata=ada.auth)
    await own.read()
    silent = [asyncio.ensure_future(open_call(api, LOGIN)) for _ in range(20)]
    await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
    for call in (*watches, own):
        call.cancel()
    await asyncio.gather(*silent, return_exceptions=True)


async def _watches(api: Api, shelf: Shelf) -> bool:
    """Whether one more watch is let in."""
    try:
        await anext(
            aiter(api.locks.Watch(WatchRequest(repository=shelf.repo.id), metadata=shelf.who.auth))
        )
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_health_streams_without_number_stand_in_nobodys_way(api: Api) -> None:
    ada = await api.account()
    async with grpc.aio.insecure_channel(api.addresses["auth"]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(400)]
        told = await asyncio.gather(*(watch.read() for watch in watches), return_exceptions=True)
        refusals = [error for error in told if isinstance(error, grpc.aio.AioRpcError)]
        assert {read_error(error).reason for error in refusals} == {"SERVER_BUSY"}
        assert len(told) - len(refusals) == 8
        await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
        # The repo service asks auth, from the same address.
        await api.repositories.ListRepositories(ListRepositoriesRequest(), metadata=ada.auth)
        for watch in watches:
            watch.cancel()


async def test_a_bomb_is_refused_before_it_unfolds(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = await Shelf.open(api)
    header = PushHeader(repository=shelf.repo.id, locks=[LockFence()] * 200_000)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await call_raw(api, PUSH, PushRequest(header=header).SerializeToString(), shelf.who.auth)
    assert refusal.metadata["limit"] == str(wire_gate.MAX_ELEMENTS)


@pytest.mark.parametrize("token", ["", "good"])
async def test_compressed_requests_are_refused(api: Api, token: str) -> None:
    ada = await api.account()
    bomb = PushRequest(header=PushHeader(locks=[LockFence()] * 4_000_000)).SerializeToString()
    channel: Any = api.channels["repo"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.stream_unary(PUSH)(
            iter([bomb]), metadata=ada.auth if token else (), compression=grpc.Compression.Gzip
        )
    assert caught.value.code() in (StatusCode.UNIMPLEMENTED, StatusCode.UNAUTHENTICATED)
