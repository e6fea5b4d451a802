"""Reading commits: all that was pushed, in pages that every client can receive."""

from __future__ import annotations

import grpc
import pytest
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
from dits.repo.v1.manifest_pb2 import CommitContent, Signer
from grpc import StatusCode

from shared.formats.commits import (
    MAX_MESSAGE_BYTES,
    MAX_OFFSET_MINUTES,
    MAX_TIME_US,
    MIN_TIME_US,
    commit_hash,
)
from tests.support.api import Api, refused
from tests.support.trees import build, commit, push, push_line, save, update, upload

LONG = "\u00e9" * (MAX_MESSAGE_BYTES // 2)


async def test_a_commit_reads_back_as_it_was_pushed(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    name = await save(api, ada, repository, {"a": b"1"}, message="first ☃")
    for revision in (name, "main", "", name[:8], name[:63]):
        got = await api.commits.GetCommit(
            pb.GetCommitRequest(repository=repository.id, revision=revision),
            metadata=ada.auth,
        )
        assert (got.commit.hash, got.commit.message) == (name, "first ☃")
        assert got.commit.tree_hash == build({"a": b"1"}).root
        assert got.commit.author.name == "Ada"
    for revision in ("nothing", "12" * 32, name[:7], name[:8] + "0" * 55):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await api.commits.GetCommit(
                pb.GetCommitRequest(repository=repository.id, revision=revision),
                metadata=ada.auth,
            )


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


async def test_commits_come_children_first_and_each_once(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = build({"a": b"1"})
    await upload(api, ada, repository, tree.chunks)
    made = [commit(tree, message="root")]
    names = [commit_hash(made[0])]
    # A ladder of merges: every rung joins the two before it.
    for n in range(30):
        parents = [names[-1]] if n == 0 else [names[-1], names[-2]]
        made.append(commit(tree, *parents, message=str(n)))
        names.append(commit_hash(made[-1]))
    await push(api, ada, repository, made, [update("main", "", names[-1])], [tree])
    seen: list[str] = []
    token = ""
    while True:
        page = await api.commits.ListCommits(
            pb.ListCommitsRequest(repository=repository.id, page_size=7, page_token=token),
            metadata=ada.auth,
        )
        seen += [c.hash for c in page.commits]
        token = page.next_page_token
        if not token:
            break
    assert seen == names[::-1]


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
