"""What a call held is free when it ends: nothing of it waits in a cycle for the collection of garbage."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

import grpc
import pytest
from dits.chunk.v1.chunk_service_pb2 import DownloadChunksRequest
from dits.repo.v1.commit_service_pb2 import GetCommitRequest, PushRequest
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest
from dits.repo.v1.tree_service_pb2 import StreamTreeRequest

from tests.support.api import Api

Work = Callable[[], Awaitable[Any]]


@pytest.fixture
def saved_garbage() -> Iterator[Callable[[], list[object]]]:
    """Returns what collects the garbage in cycles since the last time, and returns it."""

    def collect() -> list[object]:
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        found = list(gc.garbage)
        gc.garbage.clear()
        return found

    gc.collect()
    gc.disable()
    yield collect
    gc.enable()


async def refuse(call: Any) -> None:
    """Awaits a call that is refused."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError:
        return
    raise AssertionError("the call was not refused")


async def test_refused_calls_leave_no_frames(
    api: Api, saved_garbage: Callable[[], list[object]]
) -> None:
    ada = await api.account()
    repository = (await api.repository(ada)).id
    calls: list[Work] = [
        lambda: refuse(api.repositories.GetRepository(GetRepositoryRequest(repository="no/where"))),
        lambda: refuse(
            api.repositories.GetRepository(
                GetRepositoryRequest(repository="no/where"), metadata=ada.auth
            )
        ),
        lambda: refuse(
            api.commits.GetCommit(
                GetCommitRequest(repository=repository, revision="x"), metadata=ada.auth
            )
        ),
        lambda: refuse(api.commits.Push(iter([PushRequest()]), metadata=ada.auth)),
        lambda: refuse(
            api.trees.StreamTree(
                StreamTreeRequest(repository=repository, revision="x"), metadata=ada.auth
            )
        ),
        lambda: refuse(
            api.chunks.DownloadChunks(
                DownloadChunksRequest(repository=repository, hashes=b"x"), metadata=ada.auth
            )
        ),
    ]
    for times in (1, 5):
        gc.collect()
        for call in calls * times:
            await call()
        await asyncio.sleep(0)
    found = saved_garbage()
    frames = [each for each in found if isinstance(each, FrameType)]
    frames += [each.tb_frame for each in found if isinstance(each, TracebackType)]
    places = [f"{each.f_code.co_filename}:{each.f_lineno}" for each in frames]
    # Every call has frames of the chain. Loops of a suite that has stopped before leave others, and late.
    assert [place for place in places if "/shared/rpc/" in place] == []
