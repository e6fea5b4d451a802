"""What each FindMissingChunks asks of a repository reads little, however many chunks it claims."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from services.chunk.catalog.presence import Q
from tests.integration.schema.rows import Connection, add_chunks, add_repo, digest

# They fill some hundred pages, and their index as many.
CLAIMS = 5_000
FEW = 15
DAY = timedelta(days=1)


@pytest.mark.parametrize("is_analyzed", [False, True])
async def test_the_state_of_a_repository_is_read_by_few_pages(
    conn: Connection, is_analyzed: bool
) -> None:
    repo = await add_repo(conn)
    await add_chunks(conn, repo, [digest(number) for number in range(CLAIMS)])
    if is_analyzed:
        await conn.execute("VACUUM ANALYZE chunks, chunk_refs")
    [state] = await conn.fetch(Q.presence_state, repo, DAY)
    assert (state["chunk_count"], state["has_stale"], state["has_lost"]) == (CLAIMS, False, False)
    text = await conn.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {Q.presence_state}", repo, DAY
    )
    plan = json.loads(text)[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= FEW
    await conn.execute(
        "UPDATE chunk_refs SET claimed_at = now() - $1::interval WHERE chunk_hash = $2",
        DAY,
        digest(7),
    )
    [state] = await conn.fetch(Q.presence_state, repo, DAY)
    assert state["has_stale"]
