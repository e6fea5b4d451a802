"""A push of many chunks reads each by its key, also where PostgreSQL believes that there are none."""

from __future__ import annotations

import json

import pytest

from tests.integration.schema.rows import Connection, add_chunks, add_repo, digest

CHUNKS = 1_000
# Ways down two indexes, the rows, and what their change writes. Each with each would be a million.
PAGES_EACH = 40
QUERY = "SELECT missing FROM reference_chunks($1, $2, $3, NULL)"
# What a look at tables that have just been emptied leaves.
FORGET = """
    UPDATE pg_class SET reltuples = 0, relpages = greatest(relpages, 20)
    WHERE oid IN ('chunks'::regclass, 'chunk_refs'::regclass)
"""


@pytest.mark.parametrize("is_forgotten", [False, True])
async def test_references_are_counted_by_their_keys(conn: Connection, is_forgotten: bool) -> None:
    repo, hashes = await add_repo(conn), [digest(number) for number in range(CHUNKS)]
    await add_chunks(conn, repo, hashes)
    if is_forgotten:
        await conn.execute(FORGET)
    text = await conn.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {QUERY}", repo, hashes, [2] * CHUNKS
    )
    plan = json.loads(text)[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= PAGES_EACH * CHUNKS
    counts = "SELECT count(*) FROM chunk_refs WHERE repo_id = $1 AND ref_count = 2"
    assert await conn.fetchval(counts, repo) == CHUNKS
