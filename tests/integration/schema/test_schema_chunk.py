"""The four counters of the chunk store and the functions that keep them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.integration.schema.rows import (
    Connection,
    add_chunks,
    add_repo,
    add_user,
    rows,
)
from tests.support.waiting import until_blocked


async def reference(
    conn: Connection, repo: UUID, hashes: Sequence[str], counts: Sequence[int]
) -> Any:
    return await conn.fetchval(
        "SELECT missing FROM reference_chunks($1, $2, $3, NULL)", repo, hashes, counts
    )


async def counts(conn: Connection) -> dict[str, int]:
    return dict(await rows(conn, "SELECT chunk_hash, ref_count FROM chunk_refs"))


async def test_a_chunk_that_is_wanted_again_is_not_collected(conn: Connection) -> None:
    await add_chunks(conn, await add_repo(conn), ["a"])
    state = "SELECT ref_count, delete_after IS NULL FROM chunks"
    await conn.execute("SELECT decrement_chunk_ref('a')")
    assert await rows(conn, state) == [(0, False)]
    await conn.execute("SELECT increment_chunk_ref('a')")
    assert await rows(conn, state) == [(1, True)]


async def test_counting_what_is_not_there_fails(conn: Connection) -> None:
    await add_chunks(conn, await add_repo(conn), ["a"])
    for function in ("increment_chunk_ref", "decrement_chunk_ref"):
        with pytest.raises(asyncpg.NoDataFoundError, match="no chunk x"):
            await conn.execute(f"SELECT {function}('x')")
    await conn.execute("SELECT decrement_chunk_ref('a')")
    grace = await conn.fetchval("SELECT delete_after FROM chunks")
    with pytest.raises(asyncpg.CheckViolationError, match="chunk a has no reference to release"):
        await conn.execute("SELECT decrement_chunk_ref('a')")
    assert await conn.fetchval("SELECT delete_after FROM chunks") == grace


async def test_services_do_not_count_single_chunks(conn: Connection) -> None:
    granted = await rows(
        conn,
        "SELECT proname FROM pg_proc WHERE proname ~ '^(in|de)crement_chunk_ref$'"
        " AND has_function_privilege('pg_monitor', oid, 'EXECUTE')",
    )
    assert granted == []


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE chunks SET ref_count = 0", "chunks_delete_after_check"),
        ("UPDATE chunks SET delete_after = now()", "chunks_delete_after_check"),
        ("UPDATE chunk_refs SET ref_count = 1", "chunk_refs_claimed_at_check"),
        ("UPDATE chunk_refs SET claimed_at = NULL", "chunk_refs_claimed_at_check"),
        ("UPDATE packs SET live = 0", "packs_sealed_check"),
        ("UPDATE packs SET state = 'open'", "packs_sealed_check"),
        ("INSERT INTO packs (key, bucket, region) VALUES ('a@0', '', '')", "packs_key_check"),
    ],
)
async def test_states_that_cannot_be(conn: Connection, statement: str, constraint: str) -> None:
    await add_chunks(conn, await add_repo(conn), ["a"])
    with pytest.raises(asyncpg.CheckViolationError, match=constraint):
        await conn.execute(statement)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("DELETE FROM repositories", "chunk_refs_repo_id_fkey"),
        ("DELETE FROM chunks", "chunk_refs_chunk_hash_fkey"),
        ("DELETE FROM packs", "chunks_pack_fkey"),
        ("UPDATE chunks SET storage_key = 'gone@0+100'", "chunks_pack_fkey"),
    ],
)
async def test_nothing_that_is_named_goes(
    conn: Connection, statement: str, constraint: str
) -> None:
    await add_chunks(conn, await add_repo(conn), ["a"])
    with pytest.raises(asyncpg.ForeignKeyViolationError, match=constraint):
        await conn.execute(statement)


async def test_a_copy_goes_with_its_chunk_only_on_purpose(conn: Connection) -> None:
    await add_chunks(conn, await add_repo(conn), ["a"])
    await conn.execute("INSERT INTO packs VALUES ('p2', 'eu', 'eu', 'sealed', 1)")
    await conn.execute("INSERT INTO chunk_locations VALUES ('a', 'eu', 'eu', 'p2@0+100')")
    await conn.execute("DELETE FROM chunk_refs")
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="chunk_locations_chunk_hash_fkey"):
        await conn.execute("DELETE FROM chunks")
    gone = await rows(
        conn,
        "WITH l AS (DELETE FROM chunk_locations WHERE chunk_hash = 'a' RETURNING pack_key),"
        " c AS (DELETE FROM chunks WHERE hash = 'a' RETURNING pack_key)"
        " TABLE l UNION ALL TABLE c",
    )
    assert gone == [("p2",), ("p1",)]


async def test_a_push_references_what_the_repository_holds(conn: Connection) -> None:
    repo = await add_repo(conn)
    await add_chunks(conn, repo, ["a", "b"])
    assert await reference(conn, repo, ["b", "a"], [2, 1]) == []
    assert await reference(conn, repo, ["a"], [3]) == []
    assert await counts(conn) == {"a": 4, "b": 2}
    assert await reference(conn, repo, [], []) == []


async def test_a_push_counts_nothing_if_a_chunk_is_missing(conn: Connection) -> None:
    repo = await add_repo(conn)
    await add_chunks(conn, repo, ["a", "b"])
    assert await reference(conn, repo, ["z", "a", "y"], [1, 1, 1]) == ["y", "z"]
    assert await counts(conn) == {"a": 0, "b": 0}


async def test_the_chunks_of_another_repository_are_missing(conn: Connection) -> None:
    ada = await add_user(conn)
    await add_chunks(conn, await add_repo(conn, ada), ["a"])
    assert await reference(conn, await add_repo(conn, ada, "other"), ["a"], [1]) == ["a"]


async def test_a_hash_is_counted_once_per_call(conn: Connection) -> None:
    repo = await add_repo(conn)
    await add_chunks(conn, repo, ["a"])
    with pytest.raises(asyncpg.CardinalityViolationError, match="hashes must be distinct"):
        await reference(conn, repo, ["a", "a"], [1, 1])
    with pytest.raises(asyncpg.CheckViolationError, match="chunk_refs_claimed_at_check"):
        await reference(conn, repo, ["a"], [0])


async def test_pushes_beside_each_other_add_up(conn: Connection, other: Connection) -> None:
    repo = await add_repo(conn)
    await add_chunks(conn, repo, ["a", "b"])
    first = other.transaction()
    await first.start()
    await reference(other, repo, ["a"], [1])
    second = asyncio.create_task(reference(conn, repo, ["a", "b"], [1, 1]))
    await until_blocked(other)
    await first.commit()
    assert await second == []
    assert await counts(conn) == {"a": 2, "b": 1}


async def test_a_push_sees_that_a_claim_went_while_it_waited(
    conn: Connection, other: Connection
) -> None:
    repo = await add_repo(conn)
    await add_chunks(conn, repo, ["a", "b"])
    sweep = other.transaction()
    await sweep.start()
    await other.execute("DELETE FROM chunk_refs WHERE chunk_hash = 'a'")
    push = asyncio.create_task(reference(conn, repo, ["a", "b"], [1, 1]))
    await until_blocked(other)
    await sweep.commit()
    assert await push == ["a"]
    assert await counts(conn) == {"b": 0}


async def test_a_claim_that_appears_while_a_push_waits_is_missing(
    conn: Connection, other: Connection
) -> None:
    """Deleted and claimed again: the row that was waited for is gone, so the chunk is missing."""
    repo = await add_repo(conn)
    await add_chunks(conn, repo, ["a"])
    renewal = other.transaction()
    await renewal.start()
    await other.execute("DELETE FROM chunk_refs")
    await other.execute(
        "INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size) VALUES ($1, 'a', 100)", repo
    )
    push = asyncio.create_task(reference(conn, repo, ["a"], [1]))
    await until_blocked(other)
    await renewal.commit()
    assert await push == ["a"]
    assert await counts(conn) == {"a": 0}


async def test_a_size_that_is_not_the_stored_one(conn: Connection) -> None:
    repo = await add_repo(conn)
    await add_chunks(conn, repo, ["a", "b", "c"])
    query = "SELECT * FROM reference_chunks($1, $2, $3, $4)"
    # Nobody claims a size of b.
    sizes = [199, 0, 200]
    assert await rows(conn, query, repo, ["a", "b", "c"], [1, 1, 1], sizes) == [([], ["a"])]
    assert await rows(conn, query, repo, ["a", "z"], [1, 1], [199, 1]) == [(["z"], [])]


async def test_what_is_released_becomes_a_claim(conn: Connection) -> None:
    repo = await add_repo(conn)
    await add_chunks(conn, repo, ["a", "b"])
    await reference(conn, repo, ["a", "b"], [2, 3])
    await conn.execute("SELECT release_chunks($1, $2, $3)", repo, ["b", "a"], [1, 2])
    assert await counts(conn) == {"a": 0, "b": 2}
    claimed = await rows(conn, "SELECT chunk_hash FROM chunk_refs WHERE claimed_at IS NOT NULL")
    assert claimed == [("a",)]


async def test_releasing_what_is_not_held_fails(conn: Connection) -> None:
    repo = await add_repo(conn)
    await add_chunks(conn, repo, ["a", "b"])
    await reference(conn, repo, ["a"], [1])
    with pytest.raises(asyncpg.CheckViolationError):
        await conn.execute("SELECT release_chunks($1, '{a}', '{2}')", repo)
    with pytest.raises(asyncpg.CardinalityViolationError, match="released 1 of 2 chunks"):
        await conn.execute("SELECT release_chunks($1, '{a,z}', '{1,1}')", repo)
    assert await counts(conn) == {"a": 1, "b": 0}


async def test_live_bytes_of_a_pack(conn: Connection) -> None:
    await add_chunks(conn, await add_repo(conn), ["a", "b", "c"])
    await conn.execute("DELETE FROM chunk_refs; DELETE FROM chunks WHERE hash = 'a'")
    assert await rows(conn, "SELECT key, live, bytes, live_bytes FROM pack_usage") == [
        ("p1", 3, 300, 200)
    ]
