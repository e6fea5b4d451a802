"""The request chain and the server frame, through real channels."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from dits.auth.v1 import session_service_pb2
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub
from dits.common.v1 import access_pb2
from dits.repo.v1.commit_service_pb2 import PushHeader, PushRequest
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest, ListRepositoriesRequest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from services.auth.access.decisions import LocalAccess
from services.suite import Suite
from shared.db.listen import Listener
from shared.db.pool import Database
from shared.errors import name_taken
from shared.rpc.server import Runtime, ServiceServer, StartError
from shared.runtime import background
from shared.runtime.background import BackgroundTask
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from tests.support.api import Api, read_error, refused
from tests.support.rpcs import rpcs

RPCS = rpcs()
INFRASTRUCTURE = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]
STREAMING = {
    "/dits.repo.v1.CommitService/Push": (True, False),
    "/dits.chunk.v1.ChunkService/UploadChunks": (True, True),
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": (True, True),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": (True, True),
    "/dits.chunk.v1.ChunkService/DownloadChunks": (False, True),
    "/dits.repo.v1.TreeService/StreamTree": (False, True),
    "/dits.lock.v1.LockService/Watch": (False, True),
    "/grpc.health.v1.Health/Watch": (False, True),
}


async def call_raw(api: Api, path: str, data: bytes, metadata: Any = ()) -> bytes:
    """Calls any method with any bytes; returns the first response."""
    service = path.split(".")[1] if path.startswith("/dits.") else "auth"
    channel: Any = api.channels[service]
    sends_many, gets_many = STREAMING.get(path, (False, False))
    kind = f"{'stream' if sends_many else 'unary'}_{'stream' if gets_many else 'unary'}"
    call = getattr(channel, kind)(path)(
        iter([data]) if sends_many else data, metadata=metadata, timeout=10
    )
    if not gets_many:
        return bytes(await call)
    async for response in call:
        call.cancel()
        return bytes(response)
    return b""


@pytest.mark.parametrize("path", [rpc.path for rpc in RPCS] + INFRASTRUCTURE)
async def test_no_bytes_make_a_method_fail_inside(api: Api, path: str) -> None:
    """Garbage, truncated fields, wrong types, invalid UTF-8: never UNKNOWN, never INTERNAL."""
    ada = await api.account()
    rng = random.Random(path)
    samples = [b"", b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xc3\x28", b"\x08" * 40]
    samples += [rng.randbytes(rng.randint(1, 60)) for _ in range(20)]
    for data in samples:
        try:
            await call_raw(api, path, data, ada.auth)
        except grpc.aio.AioRpcError as error:
            assert error.code() not in (StatusCode.UNKNOWN, StatusCode.INTERNAL), (data, error)
            assert read_error(error).reason, (data, error)


@pytest.mark.parametrize("path", [rpc.path for rpc in RPCS if not rpc.access.anonymous])
async def test_methods_want_a_credential(api: Api, path: str) -> None:
    data = b"\x0a\x03a/b"  # field 1, mostly the repository
    if path.endswith("/Push"):
        data = PushRequest(header=PushHeader(repository="a/b")).SerializeToString()
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await call_raw(api, path, data)


async def test_undecodable_bytes_are_named_so(api: Api) -> None:
    ada = await api.account()
    with refused(StatusCode.INVALID_ARGUMENT, "UNDECODABLE_MESSAGE") as refusal:
        await call_raw(api, "/dits.repo.v1.RepositoryService/GetRepository", b"\xff\xff", ada.auth)
    assert refusal.message == "the bytes are not a dits.repo.v1.GetRepositoryRequest"


async def test_an_unknown_method_is_unimplemented(api: Api) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call_raw(api, "/dits.repo.v1.RepositoryService/Explode", b"")
    assert caught.value.code() is StatusCode.UNIMPLEMENTED


async def test_request_ids_come_back(api: Api) -> None:
    ada = await api.account()
    for sent, kept in (("my-id.1", True), ("bad id", False), ("x" * 65, False)):
        call = api.accounts.GetMe(GetMeRequest(), metadata=(*ada.auth, ("x-request-id", sent)))
        await call
        (told,) = [v for k, v in await call.trailing_metadata() if k == "x-request-id"]
        assert (told == sent) is kept
        assert 1 <= len(told) <= 64


async def test_a_message_has_a_size_limit(api: Api) -> None:
    ada = await api.account()
    request = GetRepositoryRequest(repository="a/" + "b" * (4 << 20))
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await api.repositories.GetRepository(request, metadata=ada.auth)
    request = GetRepositoryRequest(repository="a/" + "b" * (32 << 20))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.repositories.GetRepository(request, metadata=ada.auth)
    assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED


async def test_compressed_bombs_are_refused(api: Api) -> None:
    ada = await api.account()
    bomb = GetRepositoryRequest(repository="b" * (64 << 20))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.repositories.GetRepository(
            bomb, metadata=ada.auth, compression=grpc.Compression.Gzip
        )
    assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED


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


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_carries_the_comments(api: Api, version: str) -> None:
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    request = reflection_pb2.ServerReflectionRequest(
        file_containing_symbol="dits.repo.v1.CommitService"
    )
    answer = reflection_pb2.ServerReflectionResponse.FromString(
        await call_raw(api, path, request.SerializeToString())
    )
    files = [
        FileDescriptorProto.FromString(data)
        for data in answer.file_descriptor_response.file_descriptor_proto
    ]
    comments = "".join(
        location.leading_comments for file in files for location in file.source_code_info.location
    )
    assert "Adds manifests and commits and moves refs in one transaction" in comments
    [push] = [
        method
        for file in files
        for service in file.service
        for method in service.method
        if method.name == "Push"
    ]
    assert push.options.Extensions[access_pb2.access].repository_field == "header.repository"
    assert "dits/common/v1/access.proto" in {file.name for file in files}


async def test_reflection_knows_the_option_of_methods(api: Api) -> None:
    """By number, as clients ask that do not follow the imports."""
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    options = "google.protobuf.MethodOptions"
    number = access_pb2.access.number
    asked = reflection_pb2.ServerReflectionRequest(all_extension_numbers_of_type=options)
    answer = reflection_pb2.ServerReflectionResponse.FromString(
        await call_raw(api, path, asked.SerializeToString())
    )
    assert list(answer.all_extension_numbers_response.extension_number) == [number]
    asked = reflection_pb2.ServerReflectionRequest(
        file_containing_extension=reflection_pb2.ExtensionRequest(
            containing_type=options, extension_number=number
        )
    )
    answer = reflection_pb2.ServerReflectionResponse.FromString(
        await call_raw(api, path, asked.SerializeToString())
    )
    first = answer.file_descriptor_response.file_descriptor_proto[0]
    assert FileDescriptorProto.FromString(first).name == "dits/common/v1/access.proto"


async def test_reflection_knows_the_details_of_errors(api: Api) -> None:
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    for symbol in ("google.rpc.ErrorInfo", "google.rpc.PreconditionFailure", "google.rpc.Status"):
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        answer = reflection_pb2.ServerReflectionResponse.FromString(
            await call_raw(api, path, request.SerializeToString())
        )
        assert answer.file_descriptor_response.file_descriptor_proto


async def test_a_taken_port_is_one_sentence(api: Api, dsn: str, settings: Settings) -> None:
    taken = int(api.addresses["auth"].rpartition(":")[2])
    suite = Suite(
        Runtime(
            settings.model_copy(update={"auth_port": taken}),
            dsn,
            ServerKey(b"k" * 32),
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
        "auth",
        runtime,
        database,
        LocalAccess(database),
        [],
        background=[BackgroundTask("test", work, 0)],
    )
    with structlog.testing.capture_logs() as logs:
        await server.start()
        await asyncio.wait_for(done.wait(), 10)
        await server.stop()
    [entry] = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["event"] == "a defect"
    assert begun == 2


class Undeclared:
    """Raises a reason that no RPC of sessions declares."""

    async def Login(self, _request: object, _call: object) -> None:
        raise name_taken("user", "ada")

    Logout = Login


@pytest.mark.parametrize(("strict", "code"), [(True, "INTERNAL"), (False, "ALREADY_EXISTS")])
async def test_an_undeclared_reason_is_a_defect(
    dsn: str, settings: Settings, strict: bool, code: str
) -> None:
    """Only in tests: there, every error must be one that the RPC's option declares."""
    database = await Database.connect(dsn, service="test", size=1)
    runtime = Runtime(settings, dsn, ServerKey(b"k" * 32), Listener(dsn), strict=strict)
    descriptor = session_service_pb2.DESCRIPTOR.services_by_name["SessionService"]
    server = ServiceServer(
        "auth", runtime, database, LocalAccess(database), [(descriptor, Undeclared())]
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await SessionServiceStub(channel).Login(session_service_pb2.LoginRequest())
    await server.stop()
    assert caught.value.code() is StatusCode[code]
