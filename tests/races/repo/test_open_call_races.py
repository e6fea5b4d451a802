"""The address of a repository becomes another's while calls about it are open: they stay with the first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from dits.chunk.v1.chunk_service_pb2 import UploadChunksRequest
from dits.lock.v1 import lock_service_pb2 as lock_pb
from dits.repo.v1 import commit_service_pb2 as push_pb
from dits.repo.v1 import event_service_pb2 as event_pb
from google.protobuf.message import Message
from grpc import StatusCode

from shared.errors import DomainError
from shared.rpc import admission
from shared.rpc.call import Call
from tests.support.api import Api, refused
from tests.support.repositories import Holding
from tests.support.waiting import PATIENCE_SECONDS


@dataclass(frozen=True, slots=True)
class Gate:
    """Between the moment when a stream is let in, and the first look at whether it may go on."""

    reached: asyncio.Event
    opened: asyncio.Event


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setattr(admission, "CHECK_SECONDS", 0.05)
    made, look = Gate(asyncio.Event(), asyncio.Event()), admission.Admission._wait_for_refusal

    async def wait_and_look(self: admission.Admission, call: Call, request: Message) -> DomainError:
        made.reached.set()
        await made.opened.wait()
        return await look(self, call, request)

    monkeypatch.setattr(admission.Admission, "_wait_for_refusal", wait_and_look)
    return made


async def only(first: Any) -> AsyncIterator[Any]:
    """A stream of requests that does not end by itself."""
    yield first
    await asyncio.Event().wait()


KINDS = ["push", "upload", "locks", "events"]


def begin(films: Holding, kind: str) -> Any:
    """Opens a stream that names a repository by its address."""
    api, address = films.api, f"{films.owner.username}/films"
    header = push_pb.PushRequest(header=push_pb.PushHeader(repository=address))
    calls: dict[str, tuple[Any, Any]] = {
        "push": (api.commits.Push, only(header)),
        "upload": (api.chunks.UploadChunks, only(UploadChunksRequest(repository=address))),
        "locks": (api.locks.Watch, lock_pb.WatchRequest(repository=address)),
        "events": (api.events.Watch, event_pb.WatchRequest(repository=address)),
    }
    method, request = calls[kind]
    return method(request, metadata=films.owner.auth)


async def end_of(kind: str, call: Any) -> None:
    """Returns when a stream has ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        if kind == "push":
            await call
        else:
            while await call.read() is not grpc.aio.EOF:
                pass


@asynccontextmanager
async def begun(films: Holding, kind: str, gate: Gate) -> AsyncIterator[Any]:
    """A stream that was let in, and that is looked at again when the context has ended."""
    call = begin(films, kind)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await gate.reached.wait()
    yield call
    gate.opened.set()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_does_not_go_over_to_who_gets_the_name(
    api: Api, gate: Gate, kind: str
) -> None:
    films = await Holding.open(api, "films")
    async with begun(films, kind, gate) as call:
        await films.delete()
        await api.repository(films.owner, "films")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await end_of(kind, call)


@pytest.mark.parametrize("kind", ["locks", "events"])
async def test_a_watch_outlives_a_new_name_and_the_end_of_the_old(
    api: Api, gate: Gate, kind: str
) -> None:
    films = await Holding.open(api, "films")
    async with begun(films, kind, gate) as call:
        await films.update(name="movies")
        await api.fetch("DELETE FROM former_repository_names")
        await api.repository(films.owner, "films")
    await films.delete()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await end_of(kind, call)
