"""MergeBranches: what becomes of two branches, and which paths are in conflict."""

from __future__ import annotations

from typing import Any

import pytest
from blake3 import blake3
from dits.repo.v1 import merge_pb2 as pb
from dits.repo.v1.manifest_pb2 import Signer
from dits.repo.v1.ref_service_pb2 import CreateTagRequest
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.branches import Branches
from tests.support.counters import assert_counters
from tests.support.merges import BASE, OURS, THEIRS, Files, Merges, side
from tests.support.trees import save


def told(files: Files) -> dict[str, str]:
    """Files as `Merges.files` tells of them."""
    return {
        path: data if isinstance(data, str) else blake3(data).hexdigest()
        for path, data in files.items()
    }


async def test_two_branches_become_one_by_path(api: Api) -> None:
    merges = await Merges.open(api)
    ours = await merges.save({**BASE, "a": b"2", "new/x": b"1", "same": b"3"})
    changed: Files = {**BASE, "d/e": b"2", "b": "link", "new/y": b"1", "same": b"3"}
    del changed["gone"]
    theirs = await merges.save(changed, branch="side")
    dry = await merges.merge(validate_only=True)
    assert (dry.outcome, dry.head, dry.conflict_count) == (pb.MERGE_OUTCOME_MERGED, "", 0)
    assert await merges.head() == ours
    author = Signer(name="Åsa", email="asa@example.org", time_us=5, offset_minutes=60)
    done = await merges.merge(message="both", author=author, expected_source_head=theirs)
    assert done.outcome == pb.MERGE_OUTCOME_MERGED
    assert (done.source_head, list(done.merge_bases)) == (theirs, [merges.first])
    assert await merges.head() == done.head
    assert await merges.parents(done.head) == [ours, theirs]
    merged: Files = {"a": b"2", "b": "link", "d/e": b"2", "d/f": b"1", "same": b"3"}
    assert await merges.files() == told({**merged, "new/x": b"1", "new/y": b"1"})
    await assert_counters(api.dsn)
    again = await merges.merge()
    assert (again.outcome, again.head) == (pb.MERGE_OUTCOME_UP_TO_DATE, done.head)
    back = await merges.merge(target="side", source="main")
    assert (back.outcome, back.head) == (pb.MERGE_OUTCOME_FAST_FORWARD, done.head)
    events = await api.fetch("SELECT payload FROM events WHERE type = 'push' ORDER BY id")
    assert len(events) == 5


async def test_a_target_with_nothing_of_its_own_moves_or_gets_a_commit(api: Api) -> None:
    merges = await Merges.open(api)
    theirs = await merges.save({**BASE, "a": b"2"}, branch="side")
    dry = await merges.merge(validate_only=True)
    assert (dry.outcome, dry.head) == (pb.MERGE_OUTCOME_FAST_FORWARD, theirs)
    done = await merges.merge(no_fast_forward=True)
    assert done.outcome == pb.MERGE_OUTCOME_MERGED
    assert await merges.parents(done.head) == [merges.first, theirs]
    assert await merges.files() == told({**BASE, "a": b"2"})


async def test_a_repeated_move_to_the_source_changes_nothing(api: Api) -> None:
    merges = await Merges.open(api)
    theirs = await merges.save({**BASE, "a": b"2"}, branch="side")
    ours = await merges.head()
    done = await merges.merge(ours)
    assert (done.outcome, done.head) == (pb.MERGE_OUTCOME_FAST_FORWARD, theirs)
    assert await merges.merge(ours) == done
    events = await api.fetch("SELECT payload FROM events WHERE type = 'push'")
    assert len(events) == 3


async def open_conflicts(api: Api) -> tuple[Merges, Files, Files]:
    """Two branches with conflicts at a, d/e, d/f, gone and new."""
    merges = await Merges.open(api)
    ours: Files = {**BASE, "a": b"22", "d/e": b"2", "new": b"1"}
    del ours["gone"]
    theirs: Files = {**BASE, "a": b"333", "d": "link", "gone": b"2", "new": "other"}
    theirs = {path: data for path, data in theirs.items() if not path.startswith("d/")}
    await merges.save(ours)
    await merges.save(theirs, branch="side")
    return merges, ours, theirs


async def test_conflicts_are_listed_with_both_sides(api: Api) -> None:
    merges, *_ = await open_conflicts(api)
    with refused(StatusCode.FAILED_PRECONDITION, "MERGE_CONFLICT") as refusal:
        await merges.merge()
    assert refusal.metadata == {"count": "4", "path": "a"}
    found = await merges.merge(validate_only=True, resolutions=[side("a", THEIRS)])
    assert found.outcome == pb.MERGE_OUTCOME_CONFLICTS
    assert (found.conflict_count, found.unresolved_count, found.head) == (4, 3, "")
    shown = [
        (c.path, c.base.size, c.ours.size, c.theirs.size, c.theirs.target, c.resolution)
        for c in found.conflicts
    ]
    assert shown == [
        ("a", 1, 2, 3, "", THEIRS),
        ("d", 0, 2, 0, "link", 0),
        ("gone", 1, 0, 1, "", 0),
        ("new", 0, 1, 0, "other", 0),
    ]
    assert [c.HasField("ours") for c in found.conflicts] == [1, 1, 0, 1]
    assert [c.HasField("base") for c in found.conflicts] == [1, 0, 1, 0]


async def test_each_conflict_is_taken_from_the_side_that_the_caller_says(api: Api) -> None:
    merges, ours, theirs = await open_conflicts(api)
    with refused(StatusCode.FAILED_PRECONDITION, "MERGE_CONFLICT") as refusal:
        await merges.merge(resolutions=[side("a", THEIRS), side("gone", OURS), side("new", OURS)])
    assert refusal.metadata == {"count": "1", "path": "d"}
    done = await merges.merge(resolutions=[side("a", THEIRS)], other_conflicts=OURS)
    assert (done.conflict_count, done.unresolved_count) == (4, 0)
    assert await merges.files() == told({**ours, "a": b"333"})
    await assert_counters(api.dsn)
    # The other way round, from the same two commits.
    first, second = await merges.parents(done.head)
    await merges.branch("other", first)
    done = await merges.merge(
        target="other", source=second, other_conflicts=THEIRS, resolutions=[side("a", OURS)]
    )
    assert await merges.files("other") == told({**theirs, "a": b"22"})


async def test_merges_that_cross_are_merged_from_what_both_had(api: Api) -> None:
    merges = await Merges.open(api)
    left = await merges.save({**BASE, "a": b"2", "b": b"2"})
    right = await merges.save({**BASE, "a": b"3", "d/e": b"2"}, branch="side")
    await merges.branch("left", left)
    await merges.branch("right", right)
    # Each has taken its own `a`; all else is the same on both.
    await merges.merge(resolutions=[side("a", OURS)])
    await merges.merge(target="side", source="left", resolutions=[side("a", OURS)])
    both: Files = {**BASE, "b": b"2", "d/e": b"2"}
    ours = await merges.save({**both, "a": b"2", "b": b"4"}, parent=await merges.head())
    found = await merges.merge(validate_only=True)
    assert set(found.merge_bases) == {left, right}
    assert [c.path for c in found.conflicts] == ["a"]
    assert not found.conflicts[0].HasField("base")
    await merges.merge(resolutions=[side("a", THEIRS)], expected_head=ours)
    assert await merges.files() == told({**both, "a": b"3", "b": b"4"})


async def test_histories_without_a_common_commit(api: Api) -> None:
    merges = await Merges.open(api)
    await save(api, merges.who, merges.repository, {"a": b"1", "b": b"9"}, branch="alone")
    with refused(StatusCode.FAILED_PRECONDITION, "UNRELATED_HISTORIES"):
        await merges.merge(source="alone")
    done = await merges.merge(source="alone", allow_unrelated=True, resolutions=[side("b", THEIRS)])
    assert not done.merge_bases
    assert await merges.files() == told({**BASE, "b": b"9"})


async def test_bad_requests_are_refused(api: Api) -> None:
    merges, *_ = await open_conflicts(api)
    eve = await api.account()
    other = "12" * 32
    twice = [side("a", OURS), side("a", THEIRS)]
    invalid: list[dict[str, Any]] = [
        {"target": "a..b", "expected_head": other},
        {"source": ""},
        {"source": other, "expected_source_head": "34" * 32},
        {"expected_head": "main"},
        {"resolutions": twice},
        {"resolutions": [side("a", pb.MERGE_SIDE_UNSPECIFIED)]},
        {"resolutions": [side("b", OURS)]},
        {"resolutions": [side("../a", OURS)]},
        {"other_conflicts": 7},
        {"other_conflicts": OURS, "message": "\0"},
        {"other_conflicts": OURS, "author": Signer(name="a\n")},
        {"request_id": "x", "other_conflicts": OURS},
    ]
    absent: list[dict[str, Any]] = [
        {"source": "nothing"},
        {"source": other},
        {"expected_head": other},
        {"target": "nothing", "expected_head": merges.first, "other_conflicts": OURS},
        {"who": eve},
    ]
    main = await merges.head()
    for fields in invalid:
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await merges.merge(**({"expected_head": main} | fields))
    for fields in absent:
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await merges.merge(**({"expected_head": main} | fields))
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await merges.merge(resolutions=[side("a", OURS)] * 10_001)
    assert await merges.head() == main


@pytest.mark.parametrize("kind", ["branch", "tag", "beginning of a hash"])
async def test_any_revision_may_be_expected_at_a_commit(api: Api, kind: str) -> None:
    merges = await Merges.open(api)
    await merges.save({**BASE, "a": b"2"})
    theirs = await merges.save({**BASE, "b": b"2"}, branch="side")
    tag = CreateTagRequest(repository=merges.repository.id, name="v1", head=theirs)
    await api.refs.CreateTag(tag, metadata=merges.who.auth)
    source = {"branch": "side", "tag": "v1"}.get(kind, theirs[:12])
    # The commit of another branch: the source is not there.
    code, reason = StatusCode.ABORTED, "HEAD_MOVED"
    if source == theirs[:12]:
        code, reason = StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"
    with refused(code, reason) as refusal:
        await merges.merge(source=source, expected_source_head=merges.first)
    if reason == "HEAD_MOVED":
        assert refusal.metadata == {kind: source, "expected": merges.first, "current": theirs}
    done = await merges.merge(source=source, expected_source_head=theirs)
    assert (done.outcome, done.source_head) == (pb.MERGE_OUTCOME_MERGED, theirs)


@pytest.mark.parametrize("path", ["resolutions", "expected"])
async def test_a_repeated_merge_gives_the_first_result(api: Api, path: str) -> None:
    merges = await Merges.open(api)
    ours = await merges.save({**BASE, "a": b"2"})
    theirs = await merges.save({**BASE, "b": b"2"}, branch="side")
    fields: dict[str, Any] = {"request_id": "7e0f9f86-9d2c-4f2e-8d2e-0f4b6f1d2c3a"}
    if path == "expected":
        fields["expected_source_head"] = theirs
    done = await merges.merge(ours, **fields)
    await merges.save({**BASE, "c": b"1"}, parent=done.head)
    await merges.save({**BASE, "c": b"2"}, parent=theirs, branch="side")
    assert await merges.merge(ours, **fields) == done
    # Nor does it matter that the two could not be merged any more.
    await merges.branch("other", theirs)
    in_conflict = await merges.save({**BASE, "a": b"3"}, parent=theirs, branch="other")
    branches = Branches(api, merges.repository, merges.who)
    await branches.update("side", await merges.head("side"), in_conflict, force=True)
    assert await merges.merge(ours, **fields) == done
    await branches.delete("side", in_conflict)
    assert await merges.merge(ours, **fields) == done
    await merges.branch("side", in_conflict)
    with refused(StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await merges.merge(ours, **fields, message="other")
    with refused(StatusCode.ABORTED, "HEAD_MOVED") as refusal:
        await merges.merge(ours, expected_source_head=theirs)
    assert refusal.metadata["branch"] == "side"
