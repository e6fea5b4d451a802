"""Reading commits: all that was pushed, in pages that every client can receive."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import pytest
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
from dits.repo.v1.manifest_pb2 import CommitContent, Signer
from dits.repo.v1.repository_service_pb2 import Repository
from grpc import StatusCode

from services.repo.push import stream
from shared.formats.commits import (
    MAX_MESSAGE_BYTES,
    MAX_OFFSET_MINUTES,
    MAX_TIME_US,
    MIN_TIME_US,
    commit_hash,
)
from tests.support.api import Account, Api, refused
from tests.support.trees import build, commit, push, update, upload

LONG = "\u00e9" * (MAX_MESSAGE_BYTES // 2)


async def push_line(
    api: Api, who: Account, repository: Repository, messages: Sequence[str]
) -> list[str]:
    """Pushes commits, each the parent of the next; returns their hashes, the newest first."""
    tree = build({"a": b"1"})
    await upload(api, who, repository, tree.chunks)
    made: list[CommitContent] = []
    names: list[str] = []
    for message in messages:
        made.append(commit(tree, *names[-1:], message=message))
        names.append(commit_hash(made[-1]))
    await push(api, who, repository, made, [update("main", "", names[-1])], [tree])
    return names[::-1]


@pytest.mark.parametrize(
    "signer",
    [
        Signer(),
        Signer(name="Åsa", email="asa@example.org", time_us=1_700_000_000_123_456),
        Signer(name="x" * 255, time_us=MAX_TIME_US, offset_minutes=MAX_OFFSET_MINUTES),
        Signer(email="x" * 254, time_us=MIN_TIME_US, offset_minutes=-MAX_OFFSET_MINUTES),
    ],
)
async def test_a_commit_can_be_rebuilt_from_what_is_read(api: Api, signer: Signer) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = build({"a": b"1"})
    await upload(api, ada, repository, tree.chunks)
    first = commit(tree, message="first")
    second = commit(tree, commit_hash(first), message="two\nlines")
    second.author.CopyFrom(signer)
    second.committer.CopyFrom(Signer(offset_minutes=-90))
    name = commit_hash(second)
    await push(api, ada, repository, [first, second], [update("main", "", name)], [tree])
    request = pb.GetCommitRequest(repository=repository.id)
    got = (await api.commits.GetCommit(request, metadata=ada.auth)).commit
    rebuilt = CommitContent(
        tree_hash=bytes.fromhex(got.tree_hash),
        parent_hashes=[bytes.fromhex(parent) for parent in got.parent_hashes],
        author=got.author,
        committer=got.committer,
        message=got.message,
    )
    assert rebuilt == second
    assert got.hash == commit_hash(rebuilt) == name


async def test_pages_of_long_messages_fit_into_an_ordinary_message(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    # The last step of the walk ends in the middle of a page.
    names = await push_line(api, ada, repository, ["short"] * 120 + [LONG] * 30 + ["short"])
    request = pb.ListCommitsRequest(repository=repository.id, page_size=1000)
    seen: list[pb.Commit] = []
    pages = 0
    # A channel with gRPC's own limit of 4 MiB.
    async with grpc.aio.insecure_channel(api.addresses["repo"]) as channel:
        commits = CommitServiceStub(channel)
        while True:
            page = await commits.ListCommits(request, metadata=ada.auth)
            assert page.commits
            assert page.ByteSize() < 4 << 20
            seen += page.commits
            pages += 1
            request.page_token = page.next_page_token
            if not request.page_token:
                break
        assert [got.hash for got in seen] == names
        assert [got.message for got in seen[1:31]] == [LONG] * 30
        # 11 messages fit into 3 MiB; the others follow the last long ones in one page.
        assert pages == 3
        one = await commits.GetCommit(
            pb.GetCommitRequest(repository=repository.id, revision=names[1]), metadata=ada.auth
        )
    assert one.commit.message == LONG


async def test_the_commits_of_one_push_have_a_limit(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_COMMIT_BYTES", 1000)
    ada = await api.account()
    repository = await api.repository(ada)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await push_line(api, ada, repository, ["x" * 400] * 2)
    assert refusal.metadata["field"] == "commits"
    await push_line(api, ada, repository, ["x" * 400])
