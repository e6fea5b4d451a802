"""DiffTrees: what differs, against a comparison of all paths."""

from __future__ import annotations

import random

import pytest
from dits.repo.v1 import tree_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import Repository
from grpc import StatusCode

from services.repo.trees import diff, groups
from tests.support.api import Account, Api, refused
from tests.support.trees import CHUNK, build, save

Files = dict[str, bytes | str]
Kind = pb.ChangeKind

PIECES = [bytes([n]) * CHUNK for n in range(20)]
OLD: Files = {
    "a/big": b"".join(PIECES[:12]),
    "a/gone": b"gone",
    "a/link": "x",
    "b/moved": b"moved",
    "b/same/c": b"same",
    "d": b"file",
    "empty": b"",
}
NEW: Files = {
    "a/big": b"".join([PIECES[0], PIECES[15], *PIECES[2:12], PIECES[15]]),
    "a/link": "y",
    "b/same/c": b"same",
    "b/same/copy": b"same",
    "c/moved": b"moved",
    "c/again": b"moved",
    "d/e": b"1",
    "nothing": b"",
}
CHANGES = [
    ("modified", "a/big", ""),
    ("deleted", "a/gone", ""),
    ("modified", "a/link", ""),
    ("copied", "b/same/copy", "b/same/c"),
    ("renamed", "c/again", "b/moved"),
    ("copied", "c/moved", "b/moved"),
    ("deleted", "d", ""),
    ("added", "d/e", ""),
    ("deleted", "empty", ""),
    ("added", "nothing", ""),
]


async def compare(
    api: Api, who: Account, repository: Repository, **fields: object
) -> tuple[list[pb.TreeChange], pb.DiffSummary]:
    request = pb.DiffTreesRequest(repository=repository.id, **fields)  # type: ignore[arg-type]
    messages = [m async for m in api.trees.DiffTrees(request, metadata=who.auth)]
    assert all(not m.HasField("summary") for m in messages[:-1])
    assert messages[0].head_commit
    assert not any(m.head_commit or m.base_commit for m in messages[1:])
    return [change for m in messages for change in m.changes], messages[-1].summary


def tell(changes: list[pb.TreeChange]) -> list[tuple[str, str, str]]:
    """Kind, path and old path of some changes."""
    return [
        (Kind.Name(c.kind).removeprefix("CHANGE_KIND_").lower(), c.path, c.old_path)
        for c in changes
    ]


async def test_changes_have_their_kinds_and_sizes(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    base = await save(api, ada, repository, OLD)
    head = await save(api, ada, repository, NEW, parent=base)
    changes, summary = await compare(
        api, ada, repository, base=base, head=head, count_new_bytes=True
    )
    assert tell(changes) == CHANGES
    big = changes[0]
    assert (big.old.size, big.new.size, big.new_chunk_bytes) == (12 * CHUNK, 13 * CHUNK, CHUNK)
    assert (big.old.chunk_count, big.new.chunk_count) == (12, 13)
    assert (changes[2].old.target, changes[2].new.target) == ("x", "y")
    assert (changes[4].new_chunk_bytes, changes[7].new_chunk_bytes) == (0, 1)
    assert summary == pb.DiffSummary(
        added_count=2,
        modified_count=2,
        deleted_count=3,
        renamed_count=1,
        copied_count=2,
        old_bytes=12 * CHUNK + 4 + 5 + 4,
        new_bytes=13 * CHUNK + 4 + 5 + 5 + 1,
        new_chunk_bytes=CHUNK + 1,
    )


async def test_a_part_of_a_tree_and_an_empty_one(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    first = await save(api, ada, repository, {"a/b": b"1", "c": b"2"})
    second = await save(api, ada, repository, {"a/b/d": b"1", "c": b"3"}, parent=first)
    cases: list[tuple[dict[str, object], list[tuple[str, str, str]]]] = [
        ({"base": first, "head": first}, []),
        ({"base": first}, [("renamed", "a/b/d", "a/b"), ("modified", "c", "")]),
        ({"base": first, "path": "c"}, [("modified", "c", "")]),
        ({"base": first, "path": "a/b"}, [("renamed", "a/b/d", "a/b")]),
        ({"base": first, "path": "nowhere"}, []),
        ({"base_is_empty": True, "head": first}, [("added", "a/b", ""), ("added", "c", "")]),
        ({"base_is_empty": True, "head": second, "path": "a/b"}, [("added", "a/b/d", "")]),
    ]
    for fields, expected in cases:
        changes, _ = await compare(api, ada, repository, **fields)
        assert tell(changes) == expected


async def test_what_cannot_be_compared_is_refused(api: Api) -> None:
    ada, eve = await api.account(), await api.account()
    repository = await api.repository(ada)
    await save(api, ada, repository, {"a": b"1"})
    cases: list[tuple[StatusCode, str, dict[str, object]]] = [
        (StatusCode.NOT_FOUND, "NOT_FOUND", {"base": "nothing"}),
        (StatusCode.NOT_FOUND, "NOT_FOUND", {"head": "12" * 32}),
        (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {"path": "/a"}),
        (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", {"base": "main", "base_is_empty": True}),
    ]
    for code, reason, fields in cases:
        with refused(code, reason):
            await compare(api, ada, repository, **fields)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await compare(api, eve, repository)


@pytest.mark.parametrize("most", [10_000, 3])
async def test_random_trees_are_compared_as_all_their_paths_are(
    api: Api, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diff, "MAX_TOGETHER", most)
    monkeypatch.setattr(groups, "GROUPS", 2)
    ada = await api.account()
    repository = await api.repository(ada)
    rng = random.Random(most)
    head, files = "", Files()
    contents: list[bytes | str] = [b"1", b"2", "link"]
    for _ in range(12):
        before, base = dict(files), head
        for _ in range(rng.choice([1, 4, 20])):
            path = "/".join(rng.choice("abc") for _ in range(rng.randrange(1, 4)))
            files = {p: d for p, d in files.items() if not f"{p}/".startswith(f"{path}/")}
            files = {p: d for p, d in files.items() if not f"{path}/".startswith(f"{p}/")}
            if rng.random() < 0.7:
                files[path] = rng.choice(contents)
        if not files or build(files).root == (build(before).root if before else ""):
            continue
        head = await save(api, ada, repository, files, parent=base)
        if not base:
            continue
        changes, summary = await compare(api, ada, repository, base=base, head=head)
        shown = {c.path for c in changes} | {c.old_path for c in changes if c.kind == 4}
        expected = {p for p in before.keys() | files.keys() if before.get(p) != files.get(p)}
        assert shown == expected
        assert summary.is_plain == (len(expected) > most)
        if summary.is_plain:
            assert not summary.renamed_count
