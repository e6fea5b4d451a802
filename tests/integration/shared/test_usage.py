"""Usage is counted exactly: through real channels, and while a call goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.chunk.v1.chunk_service_pb2 import DownloadChunksRequest
from dits.lock.v1.lock_service_pb2 import WatchRequest
from dits.repo.v1 import commit_service_pb2 as commits
from dits.repo.v1.repository_service_pb2 import (
    VISIBILITY_PUBLIC,
    CreateRepositoryRequest,
    GetRepositoryRequest,
    RepositorySettings,
)
from dits.repo.v1.tree_service_pb2 import StreamTreeRequest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shared.formats.commits import commit_hash
from shared.records import usage as records
from shared.runtime.config import Settings
from tests.support.api import Api, running_suite
from tests.support.chunks import Shelf, chunk
from tests.support.trees import build, commit, update
from tests.support.usage import add_organization, read_usage
from tests.support.waiting import PATIENCE_SECONDS


class Tally:
    """What a caller has sent and taken, by whom it is charged to."""

    def __init__(self) -> None:
        self.amounts: dict[tuple[str, UUID], Counter[str]] = {}
        self.charged: list[tuple[str, UUID]] = []

    def charge(self, *charged: tuple[str, UUID]) -> None:
        """Says whom the next calls are charged to."""
        self.charged = list(charged)

    def add(self, **amounts: int) -> None:
        for entity in self.charged:
            self.amounts.setdefault(entity, Counter()).update(amounts)

    async def unary(self, method: Any, request: Any, **options: Any) -> Any:
        """Makes a unary call."""
        response = await method(request, **options)
        self.add(requests=1, received=request.ByteSize(), sent=response.ByteSize())
        return response

    async def stream(self, method: Any, request: Any, **options: Any) -> list[Any]:
        """Makes a call that is answered by a stream."""
        responses = [response async for response in method(request, **options)]
        sent = sum(response.ByteSize() for response in responses)
        self.add(requests=1, received=request.ByteSize(), sent=sent)
        return responses

    def rows(self) -> dict[tuple[str, UUID], tuple[int, ...]]:
        """Returns what the table is to hold."""
        names = ("requests", "received", "sent", "pushes", "pulls")
        return {
            entity: tuple(counter[name] for name in names)
            for entity, counter in self.amounts.items()
        }


async def use_everything(api: Api, tally: Tally) -> None:
    """Makes calls of every kind, and keeps count."""
    ada = await api.account()
    user, org = ("user", ada.id), ("organization", await add_organization(api, ada))
    tally.charge(user)
    await tally.unary(api.accounts.GetMe, GetMeRequest(), metadata=ada.auth)
    create = CreateRepositoryRequest(
        name="film",
        owner="studio",
        visibility=VISIBILITY_PUBLIC,
        settings=RepositorySettings(require_lock_for_edit=False),
    )
    made = await tally.unary(api.repositories.CreateRepository, create, metadata=ada.auth)
    shelf = Shelf(api, ada, made.repository)
    repository = ("repository", UUID(shelf.repo.id))
    tally.charge(user, repository, org)
    await upload_and_push(shelf, tally)
    get = GetRepositoryRequest(repository=shelf.repo.id)
    for _ in range(20):
        await tally.unary(api.repositories.GetRepository, get, metadata=ada.auth)
    # Nobody is charged for what is refused, health checks and what services ask each other about access.
    eve = await api.account()
    absent = GetRepositoryRequest(repository=str(uuid4()))
    with pytest.raises(grpc.aio.AioRpcError):
        await api.repositories.GetRepository(absent, metadata=eve.auth)
    await health_pb2_grpc.HealthStub(api.channels["repo"]).Check(health_pb2.HealthCheckRequest())
    tally.charge(repository, org)
    tree = StreamTreeRequest(repository=shelf.repo.id)
    await tally.stream(api.trees.StreamTree, tree)
    tally.add(pulls=1)
    # A call that fails later counts as a request, and not as a pull.
    missing = StreamTreeRequest(repository=shelf.repo.id, revision="absent")
    with pytest.raises(grpc.aio.AioRpcError):
        await tally.stream(api.trees.StreamTree, missing)
    tally.add(requests=1, received=missing.ByteSize())


async def upload_and_push(shelf: Shelf, tally: Tally) -> None:
    """Pushes a file of three chunks, and downloads them."""
    tree = build({"a": bytes(range(250)) * 10})
    uploads = shelf.requests([[chunk(data)] for data in tree.chunks.values()])
    answers = [answer async for answer in shelf.stream(iter(uploads))]
    tally.add(
        requests=1,
        received=sum(request.ByteSize() for request in uploads),
        sent=sum(answer.ByteSize() for answer in answers),
    )
    made = commit(tree)
    push = [
        commits.PushRequest(header=commits.PushHeader(repository=shelf.repo.id)),
        commits.PushRequest(manifests=commits.PushManifests(manifests=tree.manifests.values())),
        commits.PushRequest(commits=commits.PushCommits(commits=[made])),
        commits.PushRequest(refs=commits.PushRefs(updates=[update("main", "", commit_hash(made))])),
    ]
    pushed = await shelf.api.commits.Push(iter(push), metadata=shelf.who.auth)
    received = sum(request.ByteSize() for request in push)
    tally.add(requests=1, received=received, sent=pushed.ByteSize(), pushes=1)
    download = DownloadChunksRequest(repository=shelf.repo.id, hashes=b"".join(tree.chunks))
    await tally.stream(shelf.api.chunks.DownloadChunks, download, metadata=shelf.who.auth)


async def test_every_call_is_counted_exactly(dsn: str, settings: Settings) -> None:
    tally = Tally()
    async with running_suite(dsn, settings) as api:
        await use_everything(api, tally)
    assert await read_usage(dsn) == tally.rows()


@pytest.fixture
def fast_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "STORE_SECONDS", 0.02)


@pytest.mark.usefixtures("fast_store")
async def test_a_stream_is_counted_while_it_runs(api: Api) -> None:
    ada = await api.account()
    film = await api.repository(ada)
    watch = WatchRequest(repository=film.id)
    stream = api.locks.Watch(watch, metadata=ada.auth)
    await stream.read()
    row: tuple[int, ...] = ()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not row or not row[2]:
            await api.accounts.GetMe(GetMeRequest(), metadata=ada.auth)
            row = (await read_usage(api.dsn)).get(("repository", UUID(film.id)), ())
    assert row[:2] == (1, watch.ByteSize())
    stream.cancel()
