"""Locks in the time of the database, and what a push asks about them."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from tests.integration.schema.rows import (
    NOBODY,
    Connection,
    add_lock,
    add_repo,
    add_user,
    connected,
    rows,
)
from tests.support.waiting import until_blocked


async def test_shared_locks_agree_and_an_exclusive_one_with_none(conn: Connection) -> None:
    ada, bob = await add_user(conn, "ada"), await add_user(conn, "bob")
    repo = await add_repo(conn, ada)
    overlap = pytest.raises(asyncpg.ExclusionViolationError, match="locks_no_overlap")
    await add_lock(conn, repo, ada, "a", kind="shared")
    await add_lock(conn, repo, bob, "a", kind="shared")
    with overlap:
        await add_lock(conn, repo, bob, "a")
    await add_lock(conn, repo, ada, "b")
    for kind in ("shared", "exclusive"):
        with overlap:
            await add_lock(conn, repo, bob, "b", kind=kind)
    await add_lock(conn, repo, bob, "b", kind="advisory")
    await add_lock(conn, await add_repo(conn, ada, "other"), bob, "b")


async def test_an_expired_lock_conflicts_with_none(conn: Connection) -> None:
    ada = await add_user(conn)
    repo = await add_repo(conn, ada)
    old = await add_lock(conn, repo, ada, "a", expired=True)
    new = await add_lock(conn, repo, ada, "a")
    assert new["fence"] > old["fence"]
    with pytest.raises(asyncpg.ExclusionViolationError, match="locks_no_overlap"):
        await conn.execute("UPDATE locks SET expires_at = now() WHERE id = $1", old["id"])


GRANT = """
    WITH t AS (SELECT take_lock_mutex($1) AS now)
    SELECT g.path, g.fence
    FROM t, grant_locks($1, $2, t.now, t.now + interval '1 h', $3,
                        ROW ($3, 'exclusive', NULL, NULL, FALSE)::lock_terms) g
    ORDER BY g.fence
"""


async def test_each_repository_counts_its_fences(conn: Connection) -> None:
    ada = await add_user(conn)
    film, game = await add_repo(conn, ada, "film"), await add_repo(conn, ada, "game")
    assert await rows(conn, GRANT, film, ["b", "c", "a"], ada) == [("a", 1), ("b", 2), ("c", 3)]
    assert await rows(conn, GRANT, game, ["a"], ada) == [("a", 1)]
    await conn.execute("DELETE FROM locks")
    assert await rows(conn, GRANT, film, ["a"], ada) == [("a", 4)]
    assert await rows(conn, "SELECT repo_id, fence FROM lock_clocks ORDER BY fence") == [
        (game, 1),
        (film, 4),
    ]


async def test_fences_are_drawn_under_the_mutex_of_a_repository(conn: Connection) -> None:
    with pytest.raises(asyncpg.NoDataFoundError):
        await conn.fetchval("SELECT draw_fences($1, 1)", await add_repo(conn))


@pytest.mark.parametrize(
    ("path", "fits"), [("ä" * 512, True), ("ä" * 512 + "a", False), ("", False)]
)
async def test_paths_have_at_most_1024_bytes(conn: Connection, path: str, fits: bool) -> None:
    ada = await add_user(conn)
    repo = await add_repo(conn, ada)
    if fits:
        await add_lock(conn, repo, ada, path)
        return
    with pytest.raises(asyncpg.CheckViolationError, match="locks_path_check"):
        await add_lock(conn, repo, ada, path)


async def test_the_time_of_a_repository_never_runs_backwards(conn: Connection) -> None:
    repo = await add_repo(conn)
    first = await conn.fetchval("SELECT take_lock_mutex($1)", repo)
    assert await conn.fetchval("SELECT take_lock_mutex($1)", repo) > first
    ahead = await conn.fetchval(
        "UPDATE lock_clocks SET high_water = '2100-01-01Z' RETURNING high_water"
    )
    assert await conn.fetchval("SELECT take_lock_mutex($1)", repo) == ahead
    assert await conn.fetchval("SELECT share_lock_mutex($1)", repo) == ahead


async def test_the_time_is_read_when_the_mutex_is_held(conn: Connection, other: Connection) -> None:
    repo = await add_repo(conn)
    change = other.transaction()
    await change.start()
    await other.fetchval("SELECT take_lock_mutex($1)", repo)
    waiter = asyncio.create_task(conn.fetchrow("SELECT take_lock_mutex($1), now()", repo))
    await until_blocked(other)
    released = await other.fetchval("SELECT clock_timestamp()")
    await change.commit()
    times = await waiter
    assert times is not None
    assert times[1] < released < times[0]


async def test_pushes_share_the_mutex_and_keep_lock_changes_out(
    dsn: str, conn: Connection, other: Connection
) -> None:
    repo = await add_repo(conn)
    async with connected(dsn) as third:
        pushes = [conn.transaction(), other.transaction()]
        for push in pushes:
            await push.start()
        await conn.fetchval("SELECT share_lock_mutex($1)", repo)
        await other.fetchval("SELECT share_lock_mutex($1)", repo)
        change = asyncio.create_task(third.fetchval("SELECT take_lock_mutex($1)", repo))
        await until_blocked(other)
        for push in pushes:
            assert not change.done()
            await push.commit()
        await change


async def test_a_lock_begins_once_and_ends_once(conn: Connection) -> None:
    ada = await add_user(conn)
    note = (
        "INSERT INTO lock_history (lock_id, repo_id, path, owner_id, action, action_at, fence, lock_type)"
        " VALUES ($1, $1, 'a', $2, $3, now(), 1, 'shared')"
    )
    await conn.execute(note, NOBODY, ada, "acquired")
    await conn.execute(note, NOBODY, ada, "expired")
    with pytest.raises(asyncpg.UniqueViolationError, match="lock_history_one_start"):
        await conn.execute(note, NOBODY, ada, "acquired")
    with pytest.raises(asyncpg.UniqueViolationError, match="lock_history_one_end"):
        await conn.execute(note, NOBODY, ada, "released")


async def test_a_lock_is_named_within_its_repository(conn: Connection) -> None:
    ada = await add_user(conn)
    film, game = await add_repo(conn, ada, "film"), await add_repo(conn, ada, "game")
    lock = await add_lock(conn, film, ada, "a")
    other = await add_lock(conn, game, ada, "a")
    await conn.execute("UPDATE locks SET id = $1 WHERE id = $2", lock["id"], other["id"])
    with pytest.raises(asyncpg.UniqueViolationError, match="locks_pkey"):
        await conn.execute("UPDATE locks SET repo_id = $1", film)


async def test_what_stands_in_the_way_of_a_push(conn: Connection) -> None:
    ada, bob = await add_user(conn, "ada"), await add_user(conn, "bob")
    repo = await add_repo(conn, ada)
    file = await add_lock(conn, repo, bob, "b/x")
    folder = await add_lock(conn, repo, bob, "c/")
    await add_lock(conn, repo, bob, "d/x", expired=True)  # expired
    await add_lock(conn, repo, bob, "e/x", kind="shared")
    await add_lock(conn, repo, ada, "f/")
    paths = ["c/y/z", "c.txt", "b/x", "b/xy", "d/x", "e/x", "f/x", "c/a"]

    found = await rows(
        conn,
        "SELECT path, lock_id, lock_path, owner_id FROM lock_conflicts($1, $2, $3)",
        repo,
        ada,
        paths,
    )
    assert found == [
        ("b/x", file["id"], "b/x", bob),
        ("c/a", folder["id"], "c/", bob),
        ("c/y/z", folder["id"], "c/", bob),
    ]
    missing = await conn.fetchval("SELECT locks_missing($1, $2, $3)", repo, ada, paths)
    assert missing == sorted(set(paths) - {"f/x"})
    assert await conn.fetchval("SELECT locks_missing($1, $2, '{}')", repo, ada) == []


async def test_locks_that_answer_a_question_are_found_in_order(conn: Connection) -> None:
    ada, bob = await add_user(conn, "ada"), await add_user(conn, "bob")
    repo = await add_repo(conn, ada)
    for path in ("a", "b/", "c"):
        await add_lock(conn, repo, bob, path)
    await add_lock(conn, repo, bob, "d", kind="shared")
    await add_lock(conn, repo, bob, "e", expired=True)
    await add_lock(conn, repo, ada, "f")
    await add_lock(conn, repo, ada, "g/")
    await conn.execute("UPDATE locks SET release_on_push = true WHERE path IN ('a', 'f')")
    found = "SELECT array_agg(path) FROM locked_places($1, $2, $3, $4, $5)"

    for question, after, count, places in (
        ("forbids", "", 9, ["a", "b/", "c"]),
        ("forbids", "a", 1, ["b/"]),
        ("permits all below", "", 9, ["g/"]),
        ("ends", "", 9, ["f"]),
        ("ends", "f", 9, None),
    ):
        assert await conn.fetchval(found, repo, ada, question, after, count) == places
    for most, count in ((1, 1), (100, 6)):
        assert await conn.fetchval("SELECT count_locks($1, $2)", repo, most) == count
    assert await conn.fetchval("SELECT count_locks($1, 100)", NOBODY) == 0


async def test_a_stale_fence_is_told(conn: Connection) -> None:
    ada, bob = await add_user(conn, "ada"), await add_user(conn, "bob")
    repo = await add_repo(conn, ada)
    live = await add_lock(conn, repo, ada, "a")
    gone = await add_lock(conn, repo, ada, "b", expired=True)
    bobs = await add_lock(conn, repo, bob, "c")
    stale = "SELECT locks_stale($1, $2, $3, $4)"

    assert await conn.fetchval(stale, repo, ada, [live["id"]], [live["fence"]]) == []
    assert await conn.fetchval(stale, repo, ada, [live["id"]], [live["fence"] - 1]) == [live["id"]]
    assert await conn.fetchval(stale, NOBODY, ada, [live["id"]], [live["fence"]]) == [live["id"]]
    both = [gone, bobs]
    assert await conn.fetchval(
        stale, repo, ada, [lock["id"] for lock in both], [lock["fence"] for lock in both]
    ) == sorted(lock["id"] for lock in both)


async def test_a_push_releases_the_locks_that_waited_for_it(conn: Connection) -> None:
    ada, bob = await add_user(conn, "ada"), await add_user(conn, "bob")
    repo = await add_repo(conn, ada)
    file = await add_lock(conn, repo, ada, "a", release_on_push=True)
    folder = await add_lock(conn, repo, ada, "d/", release_on_push=True)
    for path, owner, release in [("b", ada, False), ("c", ada, True), ("e", bob, True)]:
        await add_lock(conn, repo, owner, path, release_on_push=release)

    released = await rows(
        conn,
        "SELECT * FROM release_pushed_locks($1, $2, $3)",
        repo,
        ada,
        ["d/x", "d/y", "a", "b", "e"],
    )
    assert released == [(file["id"], "a", file["fence"]), (folder["id"], "d/", folder["fence"])]
    assert await rows(conn, "SELECT path FROM locks ORDER BY path") == [("b",), ("c",), ("e",)]
    assert await rows(
        conn, "SELECT lock_id, action, action_by, fence FROM lock_history ORDER BY path"
    ) == [
        (file["id"], "released", ada, file["fence"]),
        (folder["id"], "released", ada, folder["fence"]),
    ]
    assert await conn.fetchval(
        "SELECT max(action_at) <= take_lock_mutex($1) FROM lock_history", repo
    )
