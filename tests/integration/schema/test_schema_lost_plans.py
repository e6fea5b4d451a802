"""A page of lost chunks reads little, however many others have lost, and however many are not lost."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.chunk.rpc.maintenance_service import Q
from tests.integration.schema.rows import Connection, add_chunks, add_repo, add_user, digest

CHUNKS = 6_000
# Rows that were read: a step reads two, and looks at a neighbour of each at most.
READ = """
    SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int
    FROM pg_stat_xact_user_tables WHERE relname IN ('chunks', 'chunk_refs')
"""
FORGET = """
    UPDATE pg_class SET reltuples = 0, relpages = greatest(relpages, 20)
    WHERE relnamespace = 'public'::regnamespace
"""


async def find(
    conn: Connection, repo: UUID | None, after: str, steps: int = CHUNKS, count: int = 10
) -> tuple[list[str], int]:
    """What a page has, with where it stopped, and how many rows were read for it."""
    async with conn.transaction():
        before = await conn.fetchval(READ)
        found = await conn.fetch(Q.list_lost_chunks, repo, after, count, steps)
        return [row["hash"] for row in found], await conn.fetchval(READ) - before


@pytest.mark.parametrize("state", ["analyzed", "forgotten", "never analyzed"])
@pytest.mark.parametrize("lost", [range(1, CHUNKS, 2), range(CHUNKS - 50, CHUNKS)])
async def test_a_page_reads_little(conn: Connection, state: str, lost: range) -> None:
    mine = await add_repo(conn)
    others = await add_repo(conn, await add_user(conn, "bob"), "other")
    for table in ("chunks", "chunk_refs"):
        await conn.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = FALSE)")
    hashes = [digest(number) for number in range(CHUNKS)]
    await add_chunks(conn, others, hashes)
    few = hashes[lost[40] : lost[48] : lost.step]
    await conn.executemany(
        "INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size) VALUES ($1, $2, 1)",
        [(mine, each) for each in few],
    )
    await conn.execute(
        "UPDATE chunks SET lost_at = now() WHERE hash = ANY ($1::text[])",
        [hashes[number] for number in lost],
    )
    if state != "never analyzed":
        await conn.execute("ANALYZE")
    if state == "forgotten":
        await conn.execute(FORGET)
    found, read = await find(conn, mine, "")
    assert (found, read < 60) == (few, True)
    found, read = await find(conn, None, "")
    assert (found, read < 60) == ([hashes[number] for number in lost[:10]], True)
    found, read = await find(conn, others, "")
    assert (found, read < 100) == ([hashes[number] for number in lost[:10]], True)


async def test_a_walk_that_stops_says_where(conn: Connection) -> None:
    mine = await add_repo(conn)
    others = await add_repo(conn, await add_user(conn, "bob"), "other")
    hashes = [digest(2 * number) for number in range(40)]
    await add_chunks(conn, others, hashes)
    await conn.execute("UPDATE chunks SET lost_at = now()")
    # Between two lost ones of the others stands one of mine that is not lost.
    own = [digest(2 * number + 1) for number in range(40)]
    await add_chunks(conn, mine, own, "p2")
    await conn.execute(
        "INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size) VALUES ($1, $2, 1)",
        mine,
        hashes[-1],
    )
    after, found = "", []
    while True:
        rows = await conn.fetch(Q.list_lost_chunks, mine, after, 10, 3)
        found += [row["hash"] for row in rows if row["is_here"]]
        if not rows or rows[-1]["is_here"]:
            break
        assert rows[-1]["hash"] > after
        after = rows[-1]["hash"]
    assert found == [hashes[-1]]
