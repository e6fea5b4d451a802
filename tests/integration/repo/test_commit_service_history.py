"""ListCommits on histories of every shape, against a model that looks at everything."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock

import pytest
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import Repository
from grpc import StatusCode

from services.repo.background.filter_backfill import FilterBackfill
from services.repo.history import changes_since, commit_search, walk
from services.repo.push import preparation
from tests.support.api import Account, Api, refused
from tests.support.histories import History, make_random

FILES = {"a": "1"}


async def list_commits(
    api: Api, who: Account, repository: Repository, size: int, **fields: Any
) -> tuple[list[str], list[int]]:
    """All commits of a listing, and how many each page had."""
    request = pb.ListCommitsRequest(repository=repository.id, page_size=size, **fields)
    listed: list[str] = []
    pages: list[int] = []
    while True:
        page = await api.commits.ListCommits(request, metadata=who.auth)
        listed += [commit.hash for commit in page.commits]
        pages.append(len(page.commits))
        request.page_token = page.next_page_token
        if not request.page_token:
            return listed, pages


@pytest.mark.parametrize("most", [1_000, 9])
@pytest.mark.parametrize("seed", range(6))
async def test_random_histories_are_listed_as_they_are(
    api: Api, seed: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With little room, the commits of one generation do not fit into one window.
    monkeypatch.setattr(walk, "MOST_WANTED", most)
    monkeypatch.setattr(walk, "EXCESS", 2 if most < 10 else 4)
    monkeypatch.setattr(walk, "MOST_OF_GENERATION", 2 if most < 10 else 100)
    ada = await api.account()
    repository = await api.repository(ada)
    history = make_random(seed, 150)
    names = list(history.commits)
    await history.push(api, ada, repository, names[-1])
    for head in (names[-1], names[len(names) // 2]):
        expected = history.order(history.reach(head))
        for size in (1000, 100, 7):
            listed, pages = await list_commits(api, ada, repository, size, revision=head)
            assert listed == expected
            assert all(count == size for count in pages[:-1])


async def test_a_history_that_becomes_wide_is_listed_in_full_pages(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    history = History()
    lines = [[history.add({"a": str(line)})] for line in range(40)]
    for _ in range(30):
        for line in lines:
            line.append(history.add(FILES, line[-1]))
    head = history.add(FILES, *(line[-1] for line in lines))
    await history.push(api, ada, repository, head)
    listed, pages = await list_commits(api, ada, repository, 100)
    assert listed == history.order(history.reach(head))
    assert pages == [100] * 12 + [41]


async def test_a_walk_stands_at_a_bounded_number_of_commits(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "MAX_FRONTIER", 30)
    ada = await api.account()
    repository = await api.repository(ada)
    history = History()
    ends = [history.add({"a": str(line)}) for line in range(40)]
    head = history.add(FILES, history.add({"a": "0"}, *ends[:20]), *ends[20:])
    await history.push(api, ada, repository, head)
    request = pb.ListCommitsRequest(repository=repository.id, page_size=2)
    page = await api.commits.ListCommits(request, metadata=ada.auth)
    assert len(page.commits) == 2
    request.page_token = page.next_page_token
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await api.commits.ListCommits(request, metadata=ada.auth)
    assert refusal.metadata == {"field": "revision", "limit": "30", "count": "40"}


PATHS = [f"d{d}/e{e}/{n}" for d in range(3) for e in range(2) for n in range(4)]
DIRECTORIES = ["d0", "d1/", "d2/e0", "d2/e1/", "nowhere", "d0/nowhere", "d0/e0/0/below"]


@pytest.fixture
def no_backfill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the suite, which starts after this, leave commits without filters as they are."""
    monkeypatch.setattr(FilterBackfill, "fill_all", AsyncMock())


@pytest.mark.usefixtures("no_backfill")
@pytest.mark.parametrize("filters", ["all", "some", "none", "matching"])
@pytest.mark.parametrize("seed", range(3))
async def test_the_history_of_a_path_is_that_of_git_log(
    api: Api, seed: int, filters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, ada, repository = await push_random(api, seed, filters, monkeypatch)
    head = list(history.commits)[-1]
    for path in [*PATHS[::5], *DIRECTORIES]:
        expected = history.log(head, path.rstrip("/"))
        for size in (1000, 3):
            listed, _ = await list_commits(api, ada, repository, size, path=path)
            assert listed == expected, path


@pytest.mark.usefixtures("no_backfill")
@pytest.mark.parametrize("filters", ["all", "some", "none", "matching"])
@pytest.mark.parametrize("seed", range(3))
async def test_changes_since_any_commit_are_found(
    api: Api, seed: int, filters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, ada, repository = await push_random(api, seed, filters, monkeypatch)
    names = list(history.commits)
    paths = [*PATHS, *DIRECTORIES]
    for base in (*names[::37], names[-1], names[-2]):
        for revision in (names[-1], names[-9]):
            request = pb.FindChangesSinceRequest(
                repository=repository.id, revision=revision, base_commit=base, paths=paths
            )
            answer = await api.commits.FindChangesSince(request, metadata=ada.auth)
            found = {change.path: change.commit_hash for change in answer.changes}
            expected = history.changes_since(revision, base, [path.rstrip("/") for path in paths])
            assert {path.rstrip("/"): commit for path, commit in found.items()} == expected
            assert list(found) == [path for path in paths if path in found]


async def push_random(
    api: Api, seed: int, filters: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[History, Account, Repository]:
    """Pushes a random history with filters, without, or with useless ones."""
    monkeypatch.setattr(preparation, "MAX_FILTERS", 0 if filters == "none" else 1000)
    monkeypatch.setattr(changes_since, "FIRST_WINDOW", 5)
    monkeypatch.setattr(changes_since, "LOOKUPS", 40)
    monkeypatch.setattr(commit_search, "FIRST_WINDOW", 5)
    monkeypatch.setattr(commit_search, "MAX_LOOKUPS", 30)
    monkeypatch.setattr(walk, "EXCESS", 2)
    monkeypatch.setattr(walk, "MOST_OF_GENERATION", 2)
    ada = await api.account()
    repository = await api.repository(ada)
    history = make_random(seed, 120)
    await history.push(api, ada, repository, list(history.commits)[-1])
    if filters == "some":
        await api.fetch("UPDATE commits SET changed_paths = NULL WHERE hash < '8'")
    elif filters == "matching":
        await api.fetch(r"UPDATE commits SET changed_paths = '\x01' WHERE hash < '8'")
        await api.fetch(r"UPDATE commits SET changed_paths = '\x02ffff' WHERE hash > 'c'")
    missing = await api.value("SELECT count(*) FROM commits WHERE changed_paths IS NULL")
    assert (missing == 0) == (filters in ("all", "matching"))
    return history, ada, repository
