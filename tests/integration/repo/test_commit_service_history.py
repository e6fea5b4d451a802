"""ListCommits on histories of every shape, against a model that looks at everything."""

from __future__ import annotations

import pytest
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import Repository

from tests.support.api import Account, Api
from tests.support.histories import History, make_random

FILES = {"a": "1"}


async def list_commits(
    api: Api, who: Account, repository: Repository, size: int, **fields: str
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


@pytest.mark.parametrize("seed", range(6))
async def test_random_histories_are_listed_as_they_are(api: Api, seed: int) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    history = make_random(seed, 300)
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
