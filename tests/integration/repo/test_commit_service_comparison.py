"""CompareCommits and FindMissingCommits, and the filters of ListCommits: edges and refusals."""

from __future__ import annotations

from typing import Any

import pytest
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import Repository
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from services.repo.history import commit_comparison, commit_search
from tests.support.api import Account, Api, refused
from tests.support.histories import History, make_random
from tests.support.trees import save

FILES = {"a": "1"}


async def compare(
    api: Api, who: Account, repository: Repository, base: str, head: str
) -> pb.CompareCommitsResponse:
    request = pb.CompareCommitsRequest(repository=repository.id, base=base, head=head)
    answer: pb.CompareCommitsResponse = await api.commits.CompareCommits(request, metadata=who.auth)
    return answer


async def test_histories_of_every_shape_are_compared(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    history = History()
    root = history.add(FILES)
    one, two = history.add({"a": "2"}, root), history.add({"a": "3"}, root)
    # Merges that cross: both lines are bases.
    left, right = history.add({"a": "4"}, one, two), history.add({"a": "5"}, two, one)
    alone = history.add({"b": "1"})
    wide = history.add(FILES, *(history.add({"c": str(n)}, root) for n in range(64)))
    head = history.add(FILES, left, right, alone, wide)
    await history.push(api, ada, repository, head)
    cases = [
        (left, right),
        (root, left),
        (left, root),
        (alone, left),
        (wide, left),
        (head, head),
        (root, head),
        (one, wide),
    ]
    for base, other in cases:
        found = await compare(api, ada, repository, base, other)
        assert set(found.merge_bases) == history.merge_bases(base, other)
        of_base, of_other = history.reach(base), history.reach(other)
        assert found.ahead_count == len(of_other - of_base)
        assert found.behind_count == len(of_base - of_other)
        assert found.is_ancestor == (base in of_other)
        assert (found.base_commit, found.head_commit) == (base, other)
    by_name = await compare(api, ada, repository, "", "main")
    assert (list(by_name.merge_bases), by_name.is_ancestor) == ([head], True)


async def test_what_is_not_there_or_too_far_is_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, eve = await api.account(), await api.account()
    repository = await api.repository(ada)
    history = make_random(1, 60)
    head = list(history.commits)[-1]
    await history.push(api, ada, repository, head)
    for base, other in (("nothing", "main"), ("main", "12" * 32)):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await compare(api, ada, repository, base, other)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await compare(api, eve, repository, "main", "main")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await compare(api, ada, repository, "a..b", "main")
    monkeypatch.setattr(commit_comparison, "MAX_WALK", 10)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await compare(api, ada, repository, next(iter(history.commits)), head)
    assert refusal.metadata["field"] == "base"


async def test_missing_commits_are_marked_in_order(api: Api) -> None:
    ada = await api.account()
    repository, other = await api.repository(ada), await api.repository(ada)
    history = make_random(2, 20)
    names = list(history.commits)
    await history.push(api, ada, repository, names[-1])

    async def find(hashes: bytes, where: Repository = repository) -> pb.FindMissingCommitsResponse:
        request = pb.FindMissingCommitsRequest(repository=where.id, hashes=hashes)
        answer: pb.FindMissingCommitsResponse = await api.commits.FindMissingCommits(
            request, metadata=ada.auth
        )
        return answer

    asked = [names[0], "12" * 32, names[5], *["34" * 32] * 6, names[0]]
    found = await find(bytes.fromhex("".join(asked)))
    assert (found.missing, found.missing_count) == (bytes([0b11111010, 0b01]), 7)
    elsewhere = await find(bytes.fromhex(names[0]), other)
    assert (elsewhere.missing, elsewhere.missing_count) == (b"\1", 1)
    assert (await find(b"")).missing == b""
    many = await find(b"".join(n.to_bytes(32, "big") for n in range(10_000)))
    assert many.missing_count == 10_000
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await find(b"x" * 33)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await find(bytes(32 * 10_001))


async def test_pages_with_filters_go_on_where_they_ended(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_search, "FIRST_WINDOW", 3)
    monkeypatch.setattr(commit_search, "MAX_WALK", 12)
    ada = await api.account()
    repository = await api.repository(ada)
    history = make_random(3, 120)
    names = list(history.commits)
    await history.push(api, ada, repository, names[-1])

    async def list_all(size: int, **fields: Any) -> list[str]:
        request = pb.ListCommitsRequest(repository=repository.id, page_size=size, **fields)
        listed: list[str] = []
        while True:
            page = await api.commits.ListCommits(request, metadata=ada.auth)
            assert len(page.commits) <= size
            listed += [commit.hash for commit in page.commits]
            request.page_token = page.next_page_token
            if not request.page_token:
                return listed

    everything = history.order(history.reach(names[-1]))
    for excluded in ([names[60]], [names[30], names[100], names[30]], [names[-1]], ["main"]):
        gone = history.reach(*(names[-1] if name == "main" else name for name in excluded))
        for size in (4, 1000):
            listed = await list_all(size, not_in=excluded)
            assert listed == [name for name in everything if name not in gone]
        listed = await list_all(5, not_in=excluded, path="d1")
        assert listed == [name for name in history.log(names[-1], "d1") if name not in gone]
    assert await list_all(7, author="aDA <ada") == everything
    assert await list_all(7, author="bob") == []
    assert await list_all(7, author="%") == []


async def test_bad_filters_are_refused(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    head = await save(api, ada, repository, FILES)
    long = Timestamp(seconds=1 << 40)
    cases: list[tuple[StatusCode, str, dict[str, Any]]] = [
        (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {"author": "a\nb"}),
        (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {"author": "x" * 256}),
        (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {"since": long}),
        (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {"until": Timestamp(nanos=-1)}),
        (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {"path": "../a"}),
        (StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE", {"not_in": ["main"] * 21}),
    ]
    for code, reason, fields in cases:
        request = pb.ListCommitsRequest(repository=repository.id, **fields)
        with refused(code, reason):
            await api.commits.ListCommits(request, metadata=ada.auth)
    request = pb.ListCommitsRequest(
        repository=repository.id,
        since=Timestamp(seconds=-62_135_596_800),
        until=Timestamp(seconds=253_402_300_799),
    )
    page = await api.commits.ListCommits(request, metadata=ada.auth)
    assert [commit.hash for commit in page.commits] == [head]
    request = pb.ListCommitsRequest(repository=repository.id, not_in=["nothing"])
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.commits.ListCommits(request, metadata=ada.auth)


async def test_what_is_wrong_is_said_of_the_right_field(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    await save(api, ada, repository, {"a": b"1"})
    for fields in ({"base": "a..b"}, {"head": "a..b"}):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await compare(api, ada, repository, **{"base": "", "head": ""} | fields)
        violations = refusal.detail(BadRequest).field_violations
        assert [each.field for each in violations] == list(fields)
