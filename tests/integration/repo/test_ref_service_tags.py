"""Tags: creating, listing, pushing and deleting them, and what protects them."""

from __future__ import annotations

import pytest
from dits.repo.v1 import ref_service_pb2 as pb
from dits.repo.v1.commit_service_pb2 import GetCommitRequest, RefState, RefUpdate
from dits.repo.v1.manifest_pb2 import Signer, TagContent
from dits.repo.v1.ref_protection_pb2 import TagProtection
from grpc import StatusCode

from shared.formats.commits import commit_hash
from shared.formats.tags import tag_hash
from tests.support.api import Api, refused
from tests.support.branches import Branches, members, open_pair
from tests.support.tags import Tags, annotate, move_tag
from tests.support.trees import build, commit, push, update, upload

ABSENT = "12" * 32


async def open_tags(api: Api) -> tuple[Tags, Tags, str]:
    """The tags of a repository as its owner and as a writer call for them, and a commit."""
    branches, bob = await open_pair(api)
    return Tags(branches, branches.who), Tags(branches, bob.who), await branches.save("1")


async def events(api: Api) -> list[str]:
    rows = await api.fetch("SELECT type FROM events WHERE type ~ '^(push|tag)' ORDER BY id")
    return [row["type"] for row in rows]


async def test_a_tag_is_created_read_and_deleted(api: Api) -> None:
    tags, bob, first = await open_tags(api)
    second = await tags.branches.save("2", parent=first)
    for _ in range(2):
        made = await bob.create("v1", first)
        assert (made.name, made.head, made.hash) == ("v1", first, "")
        assert made.creator_id == str(bob.who.id)
        assert not made.HasField("annotation")
    said = annotate()
    for _ in range(2):
        made = await bob.create("v2", second, said)
        assert made.annotation == said
    content = TagContent(
        commit_hash=bytes.fromhex(second), name="v2", tagger=said.tagger, message=said.message
    )
    assert made.hash == tag_hash(content)
    assert await tags.get("v2") == made
    for name, head, note in (("v1", second, None), ("v1", first, said), ("v2", second, annotate())):
        with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
            await bob.create(name, head, note)
    assert await api.value("SELECT tag_count FROM repository_stats") == 2
    with refused(StatusCode.ABORTED, "HEAD_MOVED") as refusal:
        await bob.delete("v1", second)
    assert refusal.metadata == {"tag": "v1", "expected": second, "current": first}
    await bob.delete("v1", first)
    for call in (bob.delete("v1", first), bob.get("v1")):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await call
    assert await api.value("SELECT tag_count FROM repository_stats") == 1
    assert await events(api) == ["push", "push", "tag.created", "tag.created", "tag.deleted"]


async def test_tags_are_listed_by_name(api: Api) -> None:
    tags, _, first = await open_tags(api)
    long = annotate("x" * (256 << 10))
    made = [await tags.create(f"v/{number:02}", first, long) for number in range(14)]
    made.append(await tags.create("w", first))
    assert await tags.list_all() == await tags.list_all(size=4) == made
    assert await tags.list_all("w") == made[-1:]


async def test_a_tag_is_a_revision_unless_a_branch_has_its_name(api: Api) -> None:
    tags, _, first = await open_tags(api)
    second = await tags.branches.save("2", parent=first)
    for name, found in (("v1", first), ("main", second)):
        await tags.create(name, first)
        request = GetCommitRequest(repository=tags.branches.repository.id, revision=name)
        answer = await api.commits.GetCommit(request, metadata=tags.who.auth)
        assert answer.commit.hash == found


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": "a..b"}),
        ("name", {"name": "HEAD"}),
        ("head", {"head": "v1"}),
        ("annotation.tagger", {"annotation": pb.TagAnnotation(message="x")}),
        ("annotation.message", {"annotation": annotate("a\0b")}),
        ("annotation.message", {"annotation": annotate("x" * 262_145)}),
        (
            "annotation.tagger.time_us",
            {"annotation": pb.TagAnnotation(tagger=Signer(time_us=2**62))},
        ),
    ],
)
async def test_what_is_no_tag(api: Api, field: str, values: dict[str, object]) -> None:
    tags, _, first = await open_tags(api)
    arguments = {"name": "v1", "head": first, **values}
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await tags.create(**arguments)  # type: ignore[arg-type]
    assert f'field: "{field}"' in str(refusal.details) or field in str(refusal.details)


async def test_a_tag_names_a_commit_and_nothing_else(api: Api) -> None:
    tags, _, _ = await open_tags(api)
    tree = await api.value("SELECT tree_hash FROM commits")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await tags.create("v1", tree)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await tags.create("v1", ABSENT)
    where = tags.branches
    for head in (tree, ABSENT):
        with refused(StatusCode.FAILED_PRECONDITION, "HISTORY_MISSING"):
            await push(api, where.who, where.repository, [], [move_tag("v1", "", head)])


async def test_a_push_brings_tags_with_their_commits(api: Api) -> None:
    branches = await Branches.open(api)
    tags = Tags(branches, branches.who)
    first = await branches.save("1")
    tree = build({"a": b"2"})
    await upload(api, branches.who, branches.repository, tree.chunks)
    second = commit(tree, first)
    head, said = commit_hash(second), annotate()
    moves = [
        move_tag("z", "", first, said),
        move_tag("a", "", head),
        update("main", first, first),
    ]
    for _ in range(2):
        answer = await push(api, branches.who, branches.repository, [second], moves, [tree])
        # In the order of the request.
        assert list(answer.refs) == [
            RefState(tag="z", head=first),
            RefState(tag="a", head=head),
            RefState(branch="main", head=first),
        ]
    assert (await tags.get("z")).annotation == said
    assert [tag.name for tag in await tags.list_all()] == ["a", "z"]
    assert (await branches.get()).head == first
    assert await api.value("SELECT tag_count FROM repository_stats") == 2
    payload = await api.value("SELECT payload::text FROM events WHERE payload::text ~ 'tags'")
    assert head in payload


async def test_a_tag_moves_by_force_alone(api: Api) -> None:
    branches = await Branches.open(api)
    tags = Tags(branches, branches.who)
    first = await branches.save("1")
    second = await branches.save("2", parent=first)
    await tags.create("v1", first)

    async def send(*moves: RefUpdate) -> None:
        await push(api, branches.who, branches.repository, [], moves)

    with refused(StatusCode.FAILED_PRECONDITION, "NOT_FAST_FORWARD") as refusal:
        await send(move_tag("v1", first, second))
    assert refusal.metadata == {"tag": "v1", "current": first, "new": second}
    with refused(StatusCode.ABORTED, "HEAD_MOVED") as refusal:
        await send(move_tag("v1", second, first, annotate(), force=True))
    # All or none.
    with refused(StatusCode.ABORTED, "HEAD_MOVED"):
        await send(move_tag("new", "", second), move_tag("v1", "", second, force=True))
    assert [tag.name for tag in await tags.list_all()] == ["v1"]
    said = annotate()
    await send(move_tag("v1", first, second, said, force=True))
    assert (await tags.get("v1")).annotation == said
    await send(move_tag("v1", second, second, force=True))
    assert (await tags.get("v1")).hash == ""
    assert await api.value("SELECT tag_count FROM repository_stats") == 1


@pytest.mark.parametrize(
    "moves",
    [
        [RefUpdate(tag="a", new_head=ABSENT), RefUpdate(tag="a", new_head=ABSENT)],
        [RefUpdate(tag="a..b", new_head=ABSENT)],
        [RefUpdate(branch="a", new_head=ABSENT, annotation=annotate())],
        [RefUpdate(tag="a", new_head=ABSENT, annotation=pb.TagAnnotation())],
    ],
)
async def test_moves_of_tags_that_are_refused(api: Api, moves: list[RefUpdate]) -> None:
    branches = await Branches.open(api)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await push(api, branches.who, branches.repository, [], moves)


async def test_protected_tags_are_for_some(api: Api) -> None:
    tags, bob, first = await open_tags(api)
    await tags.create("v1", first)
    protection = TagProtection(patterns=["v*", "caf\u00e9", "!v*-rc"])
    assert await tags.protect(protection) == protection
    where = tags.branches
    calls = (
        bob.create("film/v2", first),
        *(bob.create(look, first) for look in ("cafe\u0301", "ca\u200bfe\u0301", "\u2060v2\ufe0f")),
        bob.delete("v1", first),
        push(api, bob.who, where.repository, [], [move_tag("v2", "", first)]),
        push(
            api, bob.who, where.repository, [],
            [move_tag("v1", first, first, annotate(), force=True)],
        ),
    )  # fmt: skip
    for call in calls:
        with refused(StatusCode.FAILED_PRECONDITION, "TAG_PROTECTED"):
            await call
    await bob.create("v2-rc", first)
    await bob.create("x", first)
    # What is as it shall be is not changed.
    await bob.create("v1", first)
    await tags.create("v3", first)
    protection.allowed.CopyFrom(members(bob.who.id))
    await tags.protect(protection)
    await bob.create("v4", first)
    answer = await api.refs.GetTagProtection(
        pb.GetTagProtectionRequest(repository=where.repository.id), metadata=bob.who.auth
    )
    assert answer.protection == protection
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await bob.protect(TagProtection())
    await tags.protect(TagProtection(allowed=protection.allowed))
    assert await api.value("SELECT tag_protection IS NULL FROM repository_settings")
    rows = await api.fetch("SELECT FROM audit_log WHERE action = 'tag.protection_changed'")
    assert len(rows) == 3


async def test_a_push_moves_a_thousand_refs(api: Api) -> None:
    branches = await Branches.open(api)
    first = await branches.save("1")
    tree = build({"a": b"2"})
    await upload(api, branches.who, branches.repository, tree.chunks)
    second = commit(tree, first)
    head = commit_hash(second)
    who, repository = branches.who, branches.repository
    moves = [update(f"b{number}", "", first) for number in range(500)]
    moves += [move_tag(f"t{number}", "", first) for number in range(500)]
    await push(api, who, repository, [], moves)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await push(api, who, repository, [], [*moves, update("main", first, first)])
    moves = [update(f"b{number}", first, head) for number in range(500)]
    moves += [move_tag(f"t{number}", first, head, annotate(), force=True) for number in range(500)]
    await push(api, who, repository, [second], moves, [tree])
    at = await api.fetch(
        "SELECT head_commit AS h, count(*) AS n FROM branches GROUP BY 1 UNION ALL"
        " SELECT commit_hash, count(*) FROM tags GROUP BY 1 ORDER BY n"
    )
    assert [(row["h"], row["n"]) for row in at] == [(first, 1), (head, 500), (head, 500)]
