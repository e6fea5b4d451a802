"""A call that says nothing keeps nobody out: its slot is for the next one that comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from dits.auth.v1.session_service_pb2 import LoginRequest
from dits.lock.v1.lock_service_pb2 import WatchRequest
from dits.repo.v1.repository_service_pb2 import ListRepositoriesRequest, Visibility
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shared.rpc import slots
from shared.runtime import metrics
from shared.runtime.config import Settings
from tests.support.api import Api, read_error, refused
from tests.support.waiting import PATIENCE_SECONDS

LOGIN = "/dits.auth.v1.SessionService/Login"
CHECK = "/dits.auth.v1.AccessService/CheckAccess"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_calls": 16, "max_calls_each": 8})


async def silence() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


def count_taken(service: str, group: str) -> int:
    """Returns how many calls stand in a group of slots."""
    labels = {"service": service, "group": group}
    return int(metrics.REGISTRY.get_sample_value("dits_slots_taken", labels) or 0)


async def open_silent(api: Api, path: str, group: str, count: int, auth: Any = ()) -> list[Any]:
    """Opens calls that send nothing, all of which have a slot; returns them."""
    service = path.split(".")[1] if path.startswith("/dits.") else "auth"
    channel: Any = api.channels[service]
    before = count_taken(service, group)
    calls = [channel.stream_stream(path)(silence(), metadata=auth) for _ in range(count)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while count_taken(service, group) < before + count:  # noqa: ASYNC110  another's count
            await asyncio.sleep(0.005)
    return calls


async def log_in(api: Api) -> None:
    """Tries a login that is refused for its password."""
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.sessions.Login(LoginRequest(login="nobody", password="none"))


async def assert_one_gave_way(calls: list[Any]) -> None:
    """One of some silent calls has ended; ends the others."""
    reads = [asyncio.ensure_future(call.read()) for call in calls]
    [ended], others = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "SERVER_BUSY"):
        await ended
    for call in calls:
        call.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def test_silent_strangers_make_room_for_a_login(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "PATIENCE_SECONDS", 0.0)
    calls = await open_silent(api, LOGIN, "anonymous", 8)
    await log_in(api)
    await assert_one_gave_way(calls)


async def test_calls_that_were_just_opened_do_not(api: Api) -> None:
    calls = await open_silent(api, LOGIN, "anonymous", 8)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "SERVER_BUSY") as refusal:
        await api.sessions.Login(LoginRequest(login="nobody", password="none"))
    assert refusal.metadata == {"limit": "8"}
    assert not any(call.done() for call in calls)
    for call in calls:
        call.cancel()


async def test_a_call_that_has_spoken_keeps_its_slot(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "PATIENCE_SECONDS", 0.0)
    ada = await api.account()
    public = await api.repository(ada, visibility=Visibility.VISIBILITY_PUBLIC)
    watches = [api.locks.Watch(WatchRequest(repository=public.id)) for _ in range(8)]
    for watch in watches:
        await watch.read()
    channel: Any = api.channels["lock"]
    late = channel.stream_stream("/dits.lock.v1.LockService/Watch")(silence())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await late.read()
    assert read_error(caught.value).reason == "SERVER_BUSY"
    assert not any(watch.done() for watch in watches)
    for watch in watches:
        watch.cancel()


async def test_silent_access_checks_keep_no_service_from_asking(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there are slots, from the address of the services."""
    ada = await api.account()
    monkeypatch.setattr(slots, "PATIENCE_SECONDS", 0.0)
    calls = await open_silent(api, CHECK, "access checks", 16)
    await api.repositories.ListRepositories(ListRepositoriesRequest(), metadata=ada.auth)
    await assert_one_gave_way(calls)


async def test_silent_reflection_keeps_no_health_check_out(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "PATIENCE_SECONDS", 0.0)
    calls = await open_silent(api, REFLECTION, "infrastructure", 8)
    stub = health_pb2_grpc.HealthStub(api.channels["auth"])
    await stub.Check(health_pb2.HealthCheckRequest())
    await assert_one_gave_way(calls)


async def test_an_account_is_not_kept_out_by_its_own_silent_calls(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await api.account()
    monkeypatch.setattr(slots, "PATIENCE_SECONDS", 0.0)
    path = "/dits.repo.v1.RepositoryService/ListRepositories"
    calls = await open_silent(api, path, "accounts", 8, ada.auth)
    await api.repositories.ListRepositories(ListRepositoriesRequest(), metadata=ada.auth)
    await assert_one_gave_way(calls)
