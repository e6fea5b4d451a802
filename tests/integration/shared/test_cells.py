"""The services of a cell answer for its repositories alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from dits.lock.v1.lock_service_pb2 import WatchRequest
from dits.repo.v1.commit_service_pb2 import PushHeader, PushRequest
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest
from grpc import StatusCode

from shared.rpc import admission
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.cells import Cells, move_to, running_cells
from tests.support.event_watcher import watch_events
from tests.support.raw_calls import call_raw
from tests.support.rpcs import name_service, rpcs

# Auth holds the repositories of no cell, and answers for those of all.
IN_CELLS = [rpc for rpc in rpcs() if rpc.access.permission and name_service(rpc.path) != "auth"]


@pytest.fixture
async def cells(dsn: str, settings: Settings) -> AsyncIterator[Cells]:
    async with running_cells(dsn, settings) as running:
        yield running


async def test_repositories_of_another_cell_are_refused(
    cells: Cells, subtests: pytest.Subtests
) -> None:
    eve = await cells.account_in_second("eve")
    repository = await cells.second.repository(eve)
    for rpc in IN_CELLS:
        # The repository is field 1.
        data = GetRepositoryRequest(repository=repository.id).SerializeToString()
        if rpc.path.endswith("/Push"):
            header = PushHeader(repository=repository.id)
            data = PushRequest(header=header).SerializeToString()
        with subtests.test(rpc.path):
            with refused(StatusCode.FAILED_PRECONDITION, "WRONG_CELL") as refusal:
                await call_raw(cells.first, rpc.path, data, eve.auth)
            assert refusal.metadata == {"cell": "1"}


async def test_each_cell_answers_for_its_own(cells: Cells) -> None:
    ada, eve = await cells.first.account("ada"), await cells.account_in_second("eve")
    for api, owner, other in ((cells.first, ada, eve), (cells.second, eve, ada)):
        repository = await api.repository(owner)
        get = GetRepositoryRequest(repository=repository.id)
        found = await api.repositories.GetRepository(get, metadata=owner.auth)
        assert found.repository.id == repository.id
        # That it is elsewhere is told to those alone who may see it.
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await api.repositories.GetRepository(get, metadata=other.auth)


async def test_repositories_are_created_in_the_cell_of_their_owner(cells: Cells) -> None:
    eve = await cells.account_in_second("eve")
    with refused(StatusCode.FAILED_PRECONDITION, "WRONG_CELL") as refusal:
        await cells.first.repository(eve)
    assert refusal.metadata == {"cell": "1"}
    assert await cells.first.value("SELECT count(*) FROM repositories") == 0
    await cells.second.repository(eve)


async def test_a_stream_ends_when_the_repository_leaves_the_cell(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "CHECK_SECONDS", 0.05)
    ada = await api.account()
    repository = await api.repository(ada)
    stream = api.locks.Watch(WatchRequest(repository=repository.id), metadata=ada.auth)
    messages = aiter(stream)
    await anext(messages)
    await move_to(api, ada, 1)
    with refused(StatusCode.FAILED_PRECONDITION, "WRONG_CELL"):
        async for _ in messages:
            pass


async def test_events_of_an_owner_are_told_in_the_cell_of_the_owner(cells: Cells) -> None:
    ada, eve = await cells.first.account("ada"), await cells.account_in_second("eve")
    with refused(StatusCode.FAILED_PRECONDITION, "WRONG_CELL"):
        async with watch_events(cells.first, ada, owner="eve") as watcher:
            await watcher.next()
    async with watch_events(cells.second, eve, owner="eve") as watcher:
        await watcher.next()
        await cells.second.repository(eve)
        assert await watcher.name() == "repo.created"
