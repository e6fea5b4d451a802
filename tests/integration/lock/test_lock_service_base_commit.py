"""Locks for those who work on the newest version."""

from __future__ import annotations

import asyncio
from typing import Any

from dits.repo.v1 import commit_service_pb2 as repo_pb
from google.rpc.error_details_pb2 import BadRequest, PreconditionFailure
from grpc import StatusCode

from shared.formats.commits import commit_hash
from tests.support import trees
from tests.support.api import refused
from tests.support.locks import PER_PATH, Studio


async def commit(studio: Studio, files: dict[str, str], *parents: str, **fields: Any) -> str:
    """Pushes a commit of symbolic links; moves the branch `to` (default main) from `at` (its parent)."""
    tree = trees.build(files)
    made = trees.commit(tree, *parents)
    name = commit_hash(made)
    at = fields.get("at", parents[0] if parents else "")
    moves = [trees.update(fields.get("to", "main"), at, name, force=True)]
    await trees.push(studio.api, studio.ada, studio.repo, [made], moves, [tree])
    return name


async def newer(studio: Studio, base: str, *paths: str, revision: str = "") -> dict[str, str]:
    request = repo_pb.FindChangesSinceRequest(
        repository=studio.repo.id, revision=revision, base_commit=base, paths=paths
    )
    answer = await studio.api.commits.FindChangesSince(request, metadata=studio.dan.auth)
    return {change.path: change.commit_hash for change in answer.changes}


async def test_an_outdated_base_gets_no_lock(studio: Studio) -> None:
    first = await commit(studio, {"a": "1", "b": "1", "d/x": "1", "d/y": "1"})
    second = await commit(studio, {"a": "2", "b": "1", "d/x": "2", "d/y": "1"}, first)
    third = await commit(studio, {"a": "2", "b": "2", "d/x": "2", "d/y": "1"}, second)
    with refused(StatusCode.FAILED_PRECONDITION, "BASE_OUTDATED") as refusal:
        await studio.acquire(studio.bob, "d/y", "b", "a", base_commit=first, batch_mode=PER_PATH)
    assert refusal.metadata == {
        "count": "2",
        "path": "b",
        "branch": "",
        "base": first,
        "newer": third,
    }
    violations = refusal.detail(PreconditionFailure).violations
    assert [(v.subject, second in v.description) for v in violations] == [("b", False), ("a", True)]
    assert await studio.paths() == []
    lock = await studio.take(studio.bob, "d/y", base_commit=first)
    assert lock.base_commit == first
    await studio.take(studio.bob, "a", base_commit=second)
    await studio.take(studio.bob, "new", base_commit=first)
    await studio.take(studio.bob, "b", base_commit=third, branch="main")
    with refused(StatusCode.FAILED_PRECONDITION, "BASE_OUTDATED") as refusal:
        await studio.acquire(studio.bob, "d/", base_commit=first)
    assert refusal.metadata["path"] == "d/"


async def test_what_counts_as_newer(studio: Studio) -> None:
    root = await commit(studio, {"a": "0", "b": "0", "c": "0", "gone": "0"})
    side = await commit(
        studio, {"a": "0", "b": "side", "c": "0", "gone": "0"}, root, to="side", at=""
    )
    main = await commit(studio, {"a": "1", "b": "0", "c": "0"}, root)
    merge = await commit(studio, {"a": "1", "b": "side", "c": "0", "new": "1"}, main, side)
    paths = ("a", "b", "c", "gone", "new", "nowhere/x")
    assert await newer(studio, root, *paths) == {
        "a": main,
        "b": side,
        "gone": main,
        "new": merge,
    }
    assert await newer(studio, side, *paths) == {"a": main, "gone": main, "new": merge}
    assert await newer(studio, merge, *paths) == {}
    # The base is ahead: there is nothing in the branch that it lacks.
    assert await newer(studio, merge, *paths, revision="side") == {}
    # The two have parted: only what the branch itself has changed counts.
    assert await newer(studio, main, *paths, revision="side") == {"b": side}
    back = await commit(studio, {"a": "0", "b": "side", "c": "0", "gone": "0"}, merge)
    assert await newer(studio, root, *paths) == {"b": side}
    assert await newer(studio, main, "a", "gone") == {"a": back, "gone": back}


async def test_a_long_history_is_walked_to_where_it_is_known(studio: Studio) -> None:
    first = await commit(studio, {"a": "0", "b": "0"})
    head, changed = first, ""
    for i in range(130):
        head = await commit(studio, {"a": str(i // 100), "b": str(i)}, head)
        changed = head if i == 100 else changed
    assert await newer(studio, first, "a", "b") == {"a": changed, "b": head}


async def test_commits_and_branches_that_are_not_there(studio: Studio) -> None:
    known = await commit(studio, {"a": "1"})
    for base, branch in (("00" * 32, ""), (known, "nowhere"), ("00" * 32, "main")):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await studio.acquire(studio.bob, "a", base_commit=base, branch=branch)
    empty = await Studio.open(studio.api)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await empty.acquire(empty.bob, "a", base_commit=known)
    token = await studio.api.api_token(studio.bob, "lock:write")
    await studio.acquire(token, "a")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
        await studio.acquire(token, "a", base_commit=known)
    assert refusal.metadata["required"] == "repo:read"
    for fields, field in (
        ({"base_commit": "x", "paths": ["a"]}, "base_commit"),
        ({"base_commit": known, "paths": ["/a"]}, "paths[0]"),
        ({"base_commit": known}, "paths"),
    ):
        request = repo_pb.FindChangesSinceRequest(repository=studio.repo.id, **fields)
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await studio.api.commits.FindChangesSince(request, metadata=studio.bob.auth)
        assert refusal.detail(BadRequest).field_violations[0].field == field


async def test_a_push_and_a_lock_at_once_never_leave_an_outdated_holder(studio: Studio) -> None:
    base = await commit(studio, {"a": "0"})
    for i in range(12):
        tree = trees.build({"a": str(i + 1)})
        made = trees.commit(tree, base)
        name = commit_hash(made)
        moves = [trees.update("main", base, name)]
        pushing = trees.push(studio.api, studio.ada, studio.repo, [made], moves, [tree])
        locking = studio.acquire(studio.bob, "a", base_commit=base)
        calls = (pushing, locking) if i % 2 else (locking, pushing)
        done = await asyncio.gather(*calls, return_exceptions=True)
        pushed, locked = done if i % 2 else reversed(done)
        # One of the two has lost: the push against the lock, or the lock against the push.
        assert isinstance(pushed, Exception) != isinstance(locked, Exception), (pushed, locked)
        if isinstance(pushed, Exception):
            held = (await studio.list(studio.bob)).locks[0]
            await studio.release(studio.bob, held)
        else:
            base = name
