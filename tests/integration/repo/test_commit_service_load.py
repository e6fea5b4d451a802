"""Far searches of a few callers and everybody else's calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from unittest.mock import AsyncMock

import pytest
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import Repository
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from services.repo.background.filter_backfill import FilterBackfill
from services.repo.history import changes_since, commit_search, walk
from services.repo.push import preparation
from services.repo.rpc import heavy_calls
from shared.rpc import exchange
from tests.support.api import Account, Api, refused
from tests.support.histories import History
from tests.support.trees import save
from tests.support.waiting import PATIENCE_SECONDS

CALLERS = 12
FAR = [f"far/{n}" for n in range(50)]


async def push_line(api: Api, who: Account, repository: Repository) -> tuple[History, str]:
    """Pushes 300 commits, the first of them alone with the paths in FAR; returns the first's hash."""
    history = History()
    first = head = history.add(dict.fromkeys(FAR, "0"))
    files = dict.fromkeys(FAR, "1")
    for number in range(300):
        head = history.add({**files, f"near/{number % 7}": str(number)}, head)
    await history.push(api, who, repository, head)
    return history, first


async def search(
    api: Api, who: Account, repository: Repository, base: str, *paths: str
) -> pb.FindChangesSinceResponse:
    """Calls FindChangesSince."""
    request = pb.FindChangesSinceRequest(repository=repository.id, base_commit=base, paths=paths)
    answer: pb.FindChangesSinceResponse = await api.commits.FindChangesSince(
        request, metadata=who.auth
    )
    return answer


async def test_far_searches_leave_the_calls_of_others_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worst case: there are no filters.
    monkeypatch.setattr(preparation, "MAX_FILTERS", 0)
    monkeypatch.setattr(FilterBackfill, "fill_all", AsyncMock())
    ada, bob = await api.account(), await api.account()
    repository, other = await api.repository(ada), await api.repository(bob)
    history, first = await push_line(api, ada, repository)
    head = await save(api, bob, other, {"a": "1"})
    second = next(name for name, made in history.commits.items() if made.parents == (first,))
    searches = asyncio.gather(*(search(api, ada, repository, first, *FAR) for _ in range(CALLERS)))
    answered = 0
    while not searches.done():
        request = pb.GetCommitRequest(repository=other.id)
        answer = await api.commits.GetCommit(request, metadata=bob.auth)
        assert answer.commit.hash == head
        answered += 1
    # Had they to wait for the searches, one would be answered.
    assert answered > 3
    for found in await searches:
        assert {(c.path, c.commit_hash) for c in found.changes} == {(p, second) for p in FAR}


async def test_no_connection_is_held_between_the_statements_of_a_search(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searches stand still while GetCommit has the only connection that they leave."""
    ada = await api.account()
    repository = await api.repository(ada)
    _, first = await push_line(api, ada, repository)
    stopped, proceed = asyncio.Event(), asyncio.Event()
    read_window = walk.HistoryWalk.read_window

    async def read_later(self: walk.HistoryWalk, *arguments: object) -> walk.Window:
        stopped.set()
        await proceed.wait()
        return await read_window(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(walk.HistoryWalk, "read_window", read_later)
    searches = [search(api, ada, repository, first, *FAR) for _ in range(CALLERS)]
    waiting = asyncio.gather(*searches)
    await stopped.wait()
    request = pb.GetCommitRequest(repository=repository.id)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(
            *(api.commits.GetCommit(request, metadata=ada.auth) for _ in range(20))
        )
    assert not waiting.done()
    proceed.set()
    assert all(len(answer.changes) == len(FAR) for answer in await waiting)


async def test_more_searches_than_may_wait_are_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = await api.account(), await api.account()
    repository = await api.repository(ada)
    await api.grant(repository, bob, "read")
    _, first = await push_line(api, ada, repository)

    async def read_never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(walk.HistoryWalk, "read_window", read_never)
    most = heavy_calls.MAX_CALLS_EACH
    calls = [search(api, ada, repository, first, "far/1") for _ in range(most + 1)]
    searches = [asyncio.ensure_future(call) for call in calls]
    ended, waiting = await asyncio.wait(searches, return_when=asyncio.FIRST_COMPLETED)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "SERVER_BUSY") as refusal:
        await ended.pop()
    assert refusal.metadata["limit"] == str(most)
    assert refusal.detail(RetryInfo).retry_delay.ToTimedelta().total_seconds() > 0
    # Another account waits, and is not refused.
    another = asyncio.ensure_future(search(api, bob, repository, first, "far/1"))
    done, _ = await asyncio.wait([another], timeout=0.3)
    assert not done
    assert len(waiting) == most
    for call in (*waiting, another):
        call.cancel()
    await asyncio.gather(*waiting, another, return_exceptions=True)


async def test_a_search_ends_at_its_limit(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_since, "MAX_WALK", 100)
    ada = await api.account()
    repository = await api.repository(ada)
    _, first = await push_line(api, ada, repository)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await search(api, ada, repository, first, "far/1")
    assert refusal.metadata["field"] == "base_commit"
    answer = await search(api, ada, repository, first, "near")
    assert [change.path for change in answer.changes] == ["near"]


async def test_a_page_of_a_path_may_be_empty(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_search, "MAX_WALK", 50)
    ada = await api.account()
    repository = await api.repository(ada)
    history, first = await push_line(api, ada, repository)
    request = pb.ListCommitsRequest(repository=repository.id, path="far/1")
    pages: list[list[str]] = []
    while True:
        page = await api.commits.ListCommits(request, metadata=ada.auth)
        pages.append([commit.hash for commit in page.commits])
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [commit for page in pages for commit in page] == history.log(
        list(history.commits)[-1], "far/1"
    )
    assert pages[0] == []
    assert len(pages) > 2
    # The token goes with the path.
    request.path = "far/2"
    request.page_token = page.next_page_token or request.page_token
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await api.commits.ListCommits(request, metadata=ada.auth)
    assert first in [commit for page in pages for commit in page]


async def test_a_repository_younger_than_the_statistics_is_walked_by_its_key(api: Api) -> None:
    ada = await api.account()
    old, young = await api.repository(ada), await api.repository(ada)
    await push_line(api, ada, old)
    await api.fetch("ANALYZE commits")
    history, _ = await push_line(api, ada, young)
    arguments = (young.id, [list(history.commits)[-1]], 100, 400)
    plan = await api.fetch(f"EXPLAIN {walk.Q.window}", *arguments)
    indexes = {word for row in plan for word in row[0].split() if word.startswith("idx_")}
    assert not indexes, "\n".join(row[0] for row in plan)


async def test_a_message_of_many_bytes_is_parsed_in_a_thread(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    threads: dict[int, int] = {}
    decode = exchange.Exchange._decode

    def note(self: exchange.Exchange, data: bytes) -> Message:
        threads[len(data)] = threading.get_ident()
        return decode(self, data)

    monkeypatch.setattr(exchange.Exchange, "_decode", note)

    async def requests() -> AsyncIterator[pb.PushRequest]:
        yield pb.PushRequest(header=pb.PushHeader(repository=repository.id))
        yield pb.PushRequest(manifests=pb.PushManifests(manifests=[b"\xff" * (5 << 20)]))

    with refused(StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH"):
        await api.commits.Push(requests(), metadata=ada.auth)
    assert threads[min(threads)] == threading.get_ident()
    assert threads[max(threads)] != threading.get_ident()
