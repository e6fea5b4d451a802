"""The request chain, through real channels."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import grpc
import pytest
import structlog
from dits.auth.v1 import session_service_pb2
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub
from dits.repo.v1.commit_service_pb2 import PushHeader, PushRequest
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest
from grpc import StatusCode

from services.auth.access.decisions import LocalAccess
from shared.db.listen import Listener
from shared.db.pool import Database
from shared.errors import name_taken
from shared.jobs.background import Background
from shared.jobs.catalog import queues_of, types_of
from shared.jobs.retention import list_shared_jobs
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from shared.server import Runtime, ServiceServer
from tests.support.api import Api, read_error, refused
from tests.support.jobs import Script
from tests.support.raw_calls import call_raw, open_call
from tests.support.rpcs import rpcs

RPCS = rpcs()
NEED_CREDENTIAL = [rpc.path for rpc in RPCS if not (rpc.access.anonymous or rpc.access.quiet)]
INFRASTRUCTURE = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]


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


@pytest.mark.parametrize("path", NEED_CREDENTIAL)
async def test_the_credential_is_judged_before_anything_is_sent(api: Api, path: str) -> None:
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await open_call(api, path)


@pytest.mark.parametrize("path", [rpc.path for rpc in RPCS if not rpc.access.anonymous])
async def test_methods_want_a_credential(api: Api, path: str) -> None:
    data = b"\x0a\x03a/b"  # field 1, mostly the repository
    if path.endswith("/Push"):
        data = PushRequest(header=PushHeader(repository="a/b")).SerializeToString()
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await call_raw(api, path, data)


async def test_of_two_credentials_neither_counts(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    for pair in (
        (*ada.auth, *bob.auth),
        (*ada.auth, *ada.auth),
        (*ada.auth, ("authorization", "")),
    ):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await api.accounts.GetMe(GetMeRequest(), metadata=pair)


async def test_what_proxies_say_counts_only_of_trusted_ones(api: Api) -> None:
    ada = await api.account()
    forwarded = ("x-forwarded-for", "198.51.100.1")
    with structlog.testing.capture_logs() as logs:
        await api.accounts.GetMe(GetMeRequest(), metadata=(*ada.auth, forwarded))
    assert {entry["peer"] for entry in logs if entry["event"] == "call"} == {"127.0.0.1"}


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


class Undeclared:
    """Raises a reason that no RPC of sessions declares, whichever is called."""

    def __getattr__(self, _rpc: str) -> Callable[[object, object], Awaitable[None]]:
        return self._refuse

    async def _refuse(self, _request: object, _call: object) -> None:
        raise name_taken("user", "ada")


@pytest.mark.parametrize(("strict", "code"), [(True, "INTERNAL"), (False, "ALREADY_EXISTS")])
async def test_an_undeclared_reason_is_a_defect(
    dsn: str, settings: Settings, strict: bool, code: str
) -> None:
    """Only in tests: there, every error must be one that the RPC's option declares."""
    database = await Database.connect(dsn, service="test", size=1)
    runtime = Runtime(settings, dsn, ServerKey(b"k" * 32), Listener(dsn), strict=strict)
    descriptor = session_service_pb2.DESCRIPTOR.services_by_name["SessionService"]
    kinds = types_of(queues_of("auth")) - list_shared_jobs(settings).keys()
    server = ServiceServer(
        "auth",
        runtime,
        database,
        LocalAccess(database),
        [(descriptor, Undeclared())],
        background=Background(jobs=dict.fromkeys(kinds, Script().handle)),
    )
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await SessionServiceStub(channel).Login(session_service_pb2.LoginRequest())
    await server.stop()
    assert caught.value.code() is StatusCode[code]
