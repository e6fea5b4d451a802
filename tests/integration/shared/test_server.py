"""The frame of a server: its pool, its health, its background work, its start and end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
import structlog
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest, ListRepositoriesRequest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.auth.access.decisions import LocalAccess
from services.suite import Suite
from shared.db.listen import Listener
from shared.db.pool import Database
from shared.jobs.background import Background
from shared.runtime import background
from shared.runtime.background import BackgroundTask
from shared.runtime.config import Settings
from shared.runtime.process import StartError
from shared.runtime.server_key import ServerKey
from shared.server import Runtime, ServiceServer
from tests.support.api import Api, read_error, refused
from tests.support.waiting import PATIENCE_SECONDS


async def test_many_callers_share_a_small_pool(api: Api) -> None:
    ada = await api.account()
    calls = [
        api.repositories.ListRepositories(ListRepositoriesRequest(), metadata=ada.auth)
        for _ in range(200)
    ]
    assert len(await asyncio.gather(*calls)) == 200


async def test_a_lost_database_connection_is_unavailable_and_passes(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    get = GetRepositoryRequest(repository=repository.id)
    await api.fetch(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid()"""
    )
    for _ in range(20):
        try:
            await api.repositories.GetRepository(get, metadata=ada.auth)
        except grpc.aio.AioRpcError as error:
            assert read_error(error).reason == "DEPENDENCY_UNAVAILABLE"
        else:
            break
    else:
        pytest.fail("the pool did not recover")


@pytest.mark.parametrize("service", ["auth", "repo", "chunk", "lock"])
async def test_every_server_is_healthy(api: Api, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(api.channels[service])
    answer = await stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))


async def test_health_tells_of_the_drain(dsn: str, settings: Settings) -> None:
    suite = Suite(
        Runtime(settings, dsn, ServerKey.load(settings.server_key, Path()), Listener(dsn))
    )
    await suite.start()
    async with grpc.aio.insecure_channel(suite.addresses["auth"]) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        states = [(await watch.read()).status]
        stopping = asyncio.create_task(suite.stop())
        states.append((await watch.read()).status)
        await stopping
    serving = health_pb2.HealthCheckResponse
    assert states == [serving.SERVING, serving.NOT_SERVING]


async def test_a_taken_port_is_one_sentence(api: Api, dsn: str, settings: Settings) -> None:
    taken = int(api.addresses["auth"].rpartition(":")[2])
    suite = Suite(
        Runtime(
            settings.model_copy(update={"auth_port": taken}),
            dsn,
            ServerKey.load(settings.server_key, Path()),
            Listener(dsn),
        )
    )
    with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{taken}: another program"):
        await suite.start()


async def test_background_work_that_fails_is_logged_and_begins_again(
    dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "FAILURE_PAUSE_SECONDS", 0.01)
    done = asyncio.Event()
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise KeyError("a defect")
        done.set()
        await asyncio.Event().wait()

    database = await Database.connect(dsn, service="test", size=1)
    runtime = Runtime(settings, dsn, ServerKey(b"k" * 32), Listener(dsn))
    server = ServiceServer(
        "lock",
        runtime,
        database,
        LocalAccess(database),
        [],
        background=Background([BackgroundTask("test", work, 0)]),
    )
    with structlog.testing.capture_logs() as logs:
        await server.start()
        await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)
        await server.stop()
    [entry] = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["event"] == "a defect"
    assert begun == 2
