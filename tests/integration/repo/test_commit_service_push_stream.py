"""Push: the order of its stream, and the form of every part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dits.repo.v1 import commit_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import CommitContent, Directory, Entry, Manifest, Symlink
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from services.repo.push import stream
from tests.support import trees
from tests.support.api import Api, refused
from tests.support.trees import build, commit, push_commit, push_line, update, upload


def _bad(change: Callable[[CommitContent], None]) -> CommitContent:
    made = commit("00" * 32)
    change(made)
    return made


HEADER = pb.PushRequest(header=pb.PushHeader(repository="set by the test"))
COMMITS = pb.PushRequest(commits=pb.PushCommits())
MANIFESTS = pb.PushRequest(manifests=pb.PushManifests())
REFS = pb.PushRequest(refs=pb.PushRefs(updates=[update("main", "", "ab" * 32)]))


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [HEADER],
        [HEADER, HEADER, REFS],
        [HEADER, REFS, REFS],
        [HEADER, COMMITS, MANIFESTS, REFS],
        [HEADER, pb.PushRequest()],
    ],
    ids=["nothing", "header", "two headers", "two refs", "commits first", "empty part"],
)  # fmt: skip
async def test_the_stream_has_an_order(api: Api, requests: list[pb.PushRequest]) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    sent = [
        pb.PushRequest(header=pb.PushHeader(repository=repository.id)) if r is HEADER else r
        for r in requests
    ]
    with refused(StatusCode.INVALID_ARGUMENT, "STREAM_ORDER"):
        await trees.send(api, ada, sent)


NO_HASH = Entry(name="a", directory=Directory())
TOO_MANY = [bytes([n]) * 32 for n in range(65)]


def links(*names: str) -> Manifest:
    return Manifest(entries=[Entry(name=name, symlink=Symlink(target="x")) for name in names])


def signed(**fields: Any) -> Callable[[CommitContent], None]:
    def change(made: CommitContent) -> None:
        for name, value in fields.items():
            setattr(made.author, name, value)

    return change


@pytest.mark.parametrize(
    ("field", "part"),
    [
        ("refs.updates.branch", update("a..b", "", "ab" * 32)),
        ("refs.updates.branch", update("HEAD", "", "ab" * 32)),
        ("refs.updates.branch", update("ab" * 32, "", "ab" * 32)),
        ("refs.updates.new_head", update("main", "", "AB" * 32)),
        ("refs.updates.expected_head", update("main", "zz", "ab" * 32)),
        ("refs.updates.ref", pb.RefUpdate(new_head="ab" * 32)),
        ("commits.tree_hash", _bad(lambda c: setattr(c, "tree_hash", b"short"))),
        ("commits.parent_hashes", _bad(lambda c: c.parent_hashes.extend([b"p" * 32] * 2))),
        ("commits.parent_hashes", _bad(lambda c: c.parent_hashes.extend(TOO_MANY))),
        ("commits.author.name", _bad(signed(name="a\0b"))),
        ("commits.author.name", _bad(signed(name="x" * 256))),
        ("commits.author.time_us", _bad(signed(time_us=1 << 62))),
        ("commits.author.offset_minutes", _bad(signed(offset_minutes=1440))),
        ("commits.message", _bad(lambda c: setattr(c, "message", "x" * 262_145))),
        ("manifests.entries[0].name", links("..")),
        ("manifests.entries[0].name", links("a/b")),
        ("manifests.entries[0].name", links("e\u0301")),
        ("manifests.entries[1].name", links("b", "a")),
        ("manifests.entries[0].kind", Manifest(entries=[Entry(name="a")])),
        ("manifests.entries[0].directory.manifest_hash", Manifest(entries=[NO_HASH])),
    ],
)  # fmt: skip
async def test_every_part_is_checked(api: Api, field: str, part: Any) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    requests = [pb.PushRequest(header=pb.PushHeader(repository=repository.id))]
    if isinstance(part, pb.RefUpdate):
        requests.append(pb.PushRequest(refs=pb.PushRefs(updates=[part])))
    elif isinstance(part, CommitContent):
        requests += [pb.PushRequest(commits=pb.PushCommits(commits=[part])), REFS]
    else:
        content = part.SerializeToString(deterministic=True)
        requests += [pb.PushRequest(manifests=pb.PushManifests(manifests=[content])), REFS]
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await trees.send(api, ada, requests)
    assert refusal.detail(BadRequest).field_violations[0].field == field


async def test_a_manifest_must_be_canonical(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    content = next(iter(build({"a": b"1"}).manifests.values()))
    for bad in (content + b"\x78\x01", b"\xff\xff", content[:-1]):
        requests = [
            pb.PushRequest(header=pb.PushHeader(repository=repository.id)),
            pb.PushRequest(manifests=pb.PushManifests(manifests=[bad])),
        ]
        with refused(StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH"):
            await trees.send(api, ada, requests)


async def test_children_come_before_parents(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    tree = build({"a/b": b"1"})
    await upload(api, ada, repository, tree.chunks)
    tree.manifests = dict(reversed(tree.manifests.items()))
    made = commit(tree)
    with refused(StatusCode.INVALID_ARGUMENT, "STREAM_ORDER"):
        await push_commit(api, ada, repository, made, tree)


async def test_the_commits_of_one_push_have_a_limit(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_PUSH_BYTES", 1000)
    ada = await api.account()
    repository = await api.repository(ada)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await push_line(api, ada, repository, ["x" * 400] * 2)
    assert refusal.metadata["field"] == "commits"
    await push_line(api, ada, repository, ["x" * 400])
