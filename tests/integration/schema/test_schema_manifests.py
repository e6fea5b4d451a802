"""Manifests that are stored as deltas: what the database itself guarantees."""

from __future__ import annotations

import asyncpg
import pytest

from tests.integration.schema.rows import Connection, add_repo, digest


async def test_a_delta_has_its_base_and_goes_with_the_repository(conn: Connection) -> None:
    repo = await add_repo(conn)
    for number in (1, 2):
        await conn.execute(
            """
            INSERT INTO manifests (repo_id, hash, commit_hash, entry_count, total_size, chunk_count,
                                   content, delta_base, delta_depth)
            VALUES ($1, $2, '', 1, 1, 1, '', $3, $4)
            """,
            *(repo, digest(number), digest(1) if number == 2 else None, number - 1),
        )
    for change in ("delta_depth = 17", "delta_depth = 0", "delta_base = NULL"):
        with pytest.raises(asyncpg.CheckViolationError, match="manifests_delta"):
            await conn.execute(f"UPDATE manifests SET {change} WHERE hash = $1", digest(2))
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="manifests_delta_base_fkey"):
        await conn.execute("UPDATE manifests SET delta_base = 'none' WHERE hash = $1", digest(2))
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="manifests_delta_base_fkey"):
        await conn.execute("DELETE FROM manifests WHERE hash = $1", digest(1))
    await conn.execute("DELETE FROM repositories")
    assert await conn.fetchval("SELECT count(*) FROM manifests") == 0
