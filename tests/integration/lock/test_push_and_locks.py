"""What locks mean for a push, and the SQL functions by which it asks."""

from __future__ import annotations

import random

import asyncpg
import pytest
from dits.repo.v1.repository_service_pb2 import Repository
from grpc import StatusCode

from shared.formats.commits import commit_hash
from tests.support import trees
from tests.support.api import Account, refused
from tests.support.locks import ADVISORY, SHARED, Studio


class Pusher:
    """Pushes one change after the other to main."""

    def __init__(self, studio: Studio, repository: Repository | None = None) -> None:
        self.studio = studio
        self.repository = repository or studio.repo
        self.files: dict[str, bytes | str] = {}
        self.head = ""

    async def push(self, who: Account, **changes: str | None) -> list[str]:
        """Changes symbolic links (None deletes one); returns the ids of released locks."""
        files = {**self.files, **{path: to for path, to in changes.items() if to is not None}}
        for path, to in changes.items():
            if to is None:
                del files[path]
        tree = trees.build(files)
        made = trees.commit(tree, *([self.head] if self.head else []))
        response = await trees.push_commit(
            self.studio.api, who, self.repository, made, tree, expected=self.head
        )
        self.files, self.head = files, commit_hash(made)
        return list(response.released_lock_ids)


async def test_what_a_push_may_not_change(studio: Studio) -> None:
    pusher = Pusher(studio)
    await pusher.push(studio.bob, **{"a": "0", "d/x": "0", "s": "0", "n": "0"})
    file = await studio.take(studio.bob, "a", reason="mine")
    folder = await studio.take(studio.bob, "d/")
    await studio.take(studio.bob, "s", type=SHARED)
    await studio.take(studio.bob, "n", type=ADVISORY)
    for change, lock in (
        ({"a": "1"}, file),
        ({"a": None}, file),
        ({"d/x": "1"}, folder),
        ({"d/new": "1"}, folder),
    ):
        with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
            await pusher.push(studio.cyn, **change)
        assert refusal.metadata["lock_id"] == lock.id
        assert refusal.metadata["holder"] == studio.bob.username
    await pusher.push(studio.cyn, **{"s": "1", "n": "1", "free": "1"})
    await pusher.push(studio.bob, **{"a": "1", "d/x": "1"})
    await studio.release(studio.bob, file)
    await pusher.push(studio.cyn, a="2")
    await studio.pass_time(9 * 3600)
    await pusher.push(studio.cyn, **{"d/x": "2"})


async def test_a_repository_may_require_locks(studio: Studio) -> None:
    repository = await studio.api.repository(studio.ada, must_lock=True)
    for user in (studio.bob, studio.cyn):
        await studio.api.grant(repository, user, "write")
    strict = Studio(studio.api, repository, studio.ada, studio.bob, studio.cyn, studio.dan)
    pusher = Pusher(strict)
    await pusher.push(strict.bob, **{"a": "0", "d/x": "0"})
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_REQUIRED") as refusal:
        await pusher.push(strict.bob, a="1")
    assert refusal.metadata["path"] == "a"
    await strict.take(strict.bob, "a", type=SHARED)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_REQUIRED"):
        await pusher.push(strict.bob, a="1")
    await strict.take(strict.bob, "d/")
    await pusher.push(strict.bob, **{"d/x": "1", "d/y": "new"})


async def test_a_push_releases_what_waits_for_it(studio: Studio) -> None:
    pusher = Pusher(studio)
    file = await studio.take(studio.bob, "a", release_on_push=True)
    folder = await studio.take(studio.bob, "d/", release_on_push=True)
    kept = await studio.take(studio.bob, "b")
    other = await studio.take(studio.bob, "c", release_on_push=True)
    released = await pusher.push(studio.bob, **{"a": "1", "b": "1", "d/x": "1"})
    assert sorted(released) == sorted([file.id, folder.id])
    assert await studio.paths() == ["b", "c"]
    for lock in (file, folder):
        assert await studio.story(lock) == ["acquired", "released"]
    for lock in (kept, other):
        assert await studio.story(lock) == ["acquired"]
    assert (await studio.events())[-2:] == [("lock.released", ["a"]), ("lock.released", ["d/"])]
    # The next lock begins no earlier than this one ended.
    new = await studio.take(studio.cyn, "a")
    end = (await studio.history(studio.ada, lock_id=file.id)).entries[0]
    assert new.lock_time.ToDatetime() >= end.time.ToDatetime()


async def test_a_push_that_fails_releases_nothing(studio: Studio) -> None:
    pusher = Pusher(studio)
    await studio.take(studio.bob, "a", release_on_push=True)
    await studio.take(studio.cyn, "b")
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
        await pusher.push(studio.bob, a="1", b="1")
    assert await studio.paths() == ["a", "b"]


async def test_parents_and_ancestors_of_paths(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for path, parent in (
            ("a", ""),
            ("a/", ""),
            ("a/b", "a/"),
            ("a/b/", "a/"),
            ("é/日本/x", "é/日本/"),
            ("é/日本/", "é/"),
        ):
            assert await connection.fetchval("SELECT lock_parent($1)", path) == parent
        for directory, ancestry in (
            ("", []),
            ("a/", ["a/"]),
            ("é/日本/b/", ["é/", "é/日本/", "é/日本/b/"]),
        ):
            rows = await connection.fetch("SELECT lock_ancestry($1)", directory)
            assert [row[0] for row in rows] == ancestry
    finally:
        await connection.close()


async def test_locks_over_paths_are_those_that_begin_them(studio: Studio) -> None:
    chosen = random.Random(5)
    names = ["a", "b", "ab", "é"]

    def path(depth: int) -> str:
        return "/".join(chosen.choice(names) for _ in range(chosen.randint(1, depth)))

    locked = sorted({path(4) + chosen.choice(("", "/", "/")) for _ in range(60)})
    await studio.acquire(studio.bob, *locked)
    asked = sorted({path(6) + chosen.choice(("", "", "/")) for _ in range(300)})
    rows = await studio.api.fetch(
        """SELECT o.path, l.path AS lock FROM locks_over($1::uuid, $2, clock_timestamp()) o
           JOIN locks l ON l.id = o.lock_id""",
        studio.repo.id,
        asked,
    )
    expected = [
        (each, lock)
        for each in asked
        for lock in locked
        if each == lock or (lock.endswith("/") and each.startswith(lock))
    ]
    assert sorted((row["path"], row["lock"]) for row in rows) == sorted(expected)


@pytest.mark.parametrize("locks", [3, 40])
async def test_few_and_many_locks_forbid_the_same(studio: Studio, locks: int) -> None:
    chosen = random.Random(locks)
    pusher = Pusher(studio)

    def path() -> str:
        return "/".join([*(f"d{chosen.randint(0, 2)}" for _ in range(chosen.randint(0, 3))), "f"])

    for number in range(12):
        places = {path().removesuffix(chosen.choice(("", "f"))) for _ in range(locks)} - {""}
        theirs = await studio.acquire(studio.bob, *sorted(places))
        changes: dict[str, str | None] = {path(): f"{number}" for _ in range(10)}
        covers = {
            (change, place)
            for change in changes
            for place in places
            if change == place or (place.endswith("/") and change.startswith(place))
        }
        if covers:
            with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD") as refusal:
                await pusher.push(studio.cyn, **changes)
            assert (refusal.metadata["path"], refusal.metadata["lock_path"]) in covers
        else:
            await pusher.push(studio.cyn, **changes)
        await studio.release(studio.bob, *(result.lock for result in theirs.results))


async def test_one_lock_on_a_directory_permits_and_ends_for_all_below(studio: Studio) -> None:
    repository = await studio.api.repository(studio.ada, must_lock=True)
    await studio.api.grant(repository, studio.bob, "write")
    strict = Studio(studio.api, repository, studio.ada, studio.bob, studio.cyn, studio.dan)
    pusher = Pusher(strict)
    names = [f"d/{number}" for number in range(30)]
    await pusher.push(strict.bob, **{**dict.fromkeys(names, "0"), "e": "0"})
    lock = await strict.take(strict.bob, "d/", release_on_push=True)
    inner = await strict.take(strict.bob, "d/7", release_on_push=True)
    other = await strict.take(strict.bob, "f/", release_on_push=True)
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_REQUIRED") as refusal:
        await pusher.push(strict.bob, **{**dict.fromkeys(names, "1"), "e": "1"})
    assert refusal.metadata["path"] == "e"
    released = await pusher.push(strict.bob, **dict.fromkeys(names, "1"))
    assert sorted(released) == sorted([lock.id, inner.id])
    assert await strict.paths() == [other.path]


async def test_a_push_tells_of_many_locks_in_several_events(studio: Studio) -> None:
    """Though they were taken at one moment, because the clock was set back."""
    await studio.pass_time(3600)
    paths = [f"{n:04}" for n in range(1_200)]
    for some in (paths[:600], paths[600:]):
        await studio.acquire(studio.bob, *some, release_on_push=True)
    await studio.api.fetch(
        "SELECT * FROM release_pushed_locks($1::uuid, $2, $3)",
        studio.repo.id,
        studio.bob.id,
        paths,
    )
    told = [locked for kind, locked in await studio.events() if kind == "lock.released"]
    assert told == [paths[:1_000], paths[1_000:]]
