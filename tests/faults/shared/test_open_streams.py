"""Open streams while the auth service is away, hangs, or says no; and while their caller takes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import grpc
import pytest
from dits.auth.v1.session_service_pb2 import RevokeAllSessionsRequest
from dits.chunk.v1.chunk_service_pb2 import DownloadChunksRequest
from dits.lock.v1.lock_service_pb2 import WatchRequest
from grpc import StatusCode

from services.auth import server as auth_server
from shared.rpc import admission
from shared.server import ServiceServer
from tests.support.api import Api, read_error, refused
from tests.support.chunks import Shelf, digest, some

# As in production, twice as fast: a channel tries again a second after it was refused.
REVOCATION_SECONDS = 2.5
# What a busy machine adds.
SLACK_SECONDS = 1.5
TICK_SECONDS = 0.05


@pytest.fixture(autouse=True)
def fast_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "REVOCATION_SECONDS", REVOCATION_SECONDS)
    monkeypatch.setattr(admission, "CACHE_SECONDS", 0.5)
    monkeypatch.setattr(admission, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(admission, "CHECK_SECONDS", 1.0)
    monkeypatch.setattr(admission, "RETRY_SECONDS", 0.1)


async def open_watch(shelf: Shelf) -> Any:
    """A stream on which nothing happens."""
    watch = shelf.api.locks.Watch(WatchRequest(repository=shelf.repo.id), metadata=shelf.who.auth)
    await watch.read()
    return watch


async def read_to_end(call: Any) -> None:
    """Takes what is left of a stream."""
    while await call.read() is not grpc.aio.EOF:
        pass


async def end_of(call: Any) -> tuple[StatusCode, str, float]:
    """How a stream ends, and after how many seconds, as this loop has had them: see `count_ticks`."""
    felt: list[float] = []
    ticks = asyncio.create_task(count_ticks(felt))
    try:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read_to_end(call)
    finally:
        ticks.cancel()
    told = read_error(caught.value)
    return told.code, told.reason, sum(felt)


async def count_ticks(felt: list[float]) -> None:
    """Adds short times one after the other; on a machine with other work, less than a clock shows."""
    while True:
        await asyncio.sleep(TICK_SECONDS)
        felt.append(TICK_SECONDS)


async def start_again(api: Api) -> ServiceServer:
    """The auth service, where it was."""
    running = api.suite._servers["auth"]
    runtime = api.suite._runtime
    settings = runtime.settings.model_copy(update={"auth_port": running.port})
    server = await auth_server.build(
        type(runtime)(settings, runtime.dsn, runtime.key, runtime.listener, strict=True)
    )
    await server.start()
    return server


async def test_a_restart_of_auth_breaks_no_stream(api: Api) -> None:
    shelf = await Shelf.open(api)
    watch = await open_watch(shelf)
    await api.suite._servers["auth"].stop()
    await asyncio.sleep(REVOCATION_SECONDS / 8)
    api.suite._servers["auth"] = await start_again(api)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(end_of(watch), 2 * REVOCATION_SECONDS)


async def test_without_auth_a_stream_ends_in_time(api: Api) -> None:
    shelf = await Shelf.open(api)
    watch = await open_watch(shelf)
    await api.suite._servers["auth"].stop()
    code, reason, seconds = await end_of(watch)
    assert (code, reason) == (StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
    assert seconds <= REVOCATION_SECONDS + SLACK_SECONDS
    api.suite._servers["auth"] = await start_again(api)


async def test_an_auth_that_hangs_ends_a_stream_in_time(api: Api) -> None:
    shelf = await Shelf.open(api)
    watch = await open_watch(shelf)
    connection = await asyncpg.connect(api.dsn)
    async with connection.transaction():
        await connection.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        code, reason, seconds = await end_of(watch)
    await connection.close()
    assert (code, reason) == (StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
    assert seconds <= REVOCATION_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("heard", [True, False])
async def test_a_revocation_reaches_a_caller_that_takes_nothing(api: Api, heard: bool) -> None:
    """Whether the notification arrives or not; the status waits for the caller to read again."""
    shelf = await Shelf.open(api)
    content = some(8 << 20)
    await shelf.put(content)
    request = DownloadChunksRequest(repository=shelf.repo.id, hashes=digest(content) * 8)
    call: Any = api.chunks.DownloadChunks(request, metadata=shelf.who.auth)
    await call.read()
    if not heard:
        await api.fetch("ALTER TABLE sessions DISABLE TRIGGER sessions_announce")
    await api.fetch("UPDATE sessions SET revoked_at = now()")
    await asyncio.sleep(REVOCATION_SECONDS + SLACK_SECONDS)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await read_to_end(call)


async def test_a_revoked_session_ends_its_streams_and_no_other(api: Api) -> None:
    shelf = await Shelf.open(api)
    other = await api.session(shelf.who)
    revoked, kept = [
        api.locks.Watch(WatchRequest(repository=shelf.repo.id), metadata=who.auth)
        for who in (other, shelf.who)
    ]
    await revoked.read()
    await kept.read()
    await api.sessions.RevokeAllSessions(
        RevokeAllSessionsRequest(keep_current=True), metadata=shelf.who.auth
    )
    code, reason, seconds = await end_of(revoked)
    assert (code, reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert seconds <= REVOCATION_SECONDS + SLACK_SECONDS
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(end_of(kept), REVOCATION_SECONDS)
