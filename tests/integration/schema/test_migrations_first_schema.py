"""A database with the first schema: nothing of it is lost."""

from __future__ import annotations

from migrations.runner import migrate
from tests.integration.schema.rows import (
    Connection,
    add_org,
    add_repo,
    add_user,
    connected,
    rows,
)
from tests.integration.schema.steps import first

# Rows as the first schema allowed them: counters that are wrong, a worker's claim without a token.
IN_USE = """
    INSERT INTO manifests (repo_id, hash, commit_hash, entry_count, total_size, chunk_count, content)
        SELECT id, 't', 'c', 1, 1, 1, '' FROM repositories;
    INSERT INTO commits (repo_id, hash, tree_hash, message, author_name, author_email, author_timestamp,
                         committer_name, committer_email, committer_timestamp)
        SELECT id, 'c', 't', '', '', '', now(), '', '', now() FROM repositories;
    INSERT INTO branches (repo_id, name, head_commit) SELECT id, 'main', 'c' FROM repositories;
    INSERT INTO assets (repo_id, hash, size, chunk_count) SELECT id, 'x', 1, 1 FROM repositories;
    INSERT INTO chunks (hash, size, storage_bucket, storage_key, ref_count, delete_after)
        VALUES ('a', 1, 'main', 'k1', 7, now()), ('b', 1, 'main', 'k1', 0, NULL);
    INSERT INTO chunk_refs (repo_id, chunk_hash) SELECT id, 'a' FROM repositories;
    INSERT INTO chunk_locations (chunk_hash, region, bucket, storage_key) VALUES ('a', 'eu', 'eu', 'k2');
    INSERT INTO webhooks (repo_id, url, secret_encrypted) SELECT id, '', '' FROM repositories;
    INSERT INTO webhook_deliveries (webhook_id, event, payload, success)
        SELECT id, 'push', '{}', TRUE FROM webhooks;
    INSERT INTO locks (repo_id, path, owner_id, expires_at)
        SELECT id, 'a', owner_id, now() + interval '1 hour' FROM repositories;
    INSERT INTO lock_history (lock_id, repo_id, path, owner_id, action)
        SELECT id, repo_id, path, owner_id, 'acquired' FROM locks;
    INSERT INTO notifications (user_id, type, title, created_at, read)
        SELECT id, 't', n::text, now() + n * interval '1 hour', n = 1 FROM users, generate_series(1, 2) n;
    INSERT INTO jobs (job_type, payload, status, locked_by) VALUES ('t', '{}', 'running', 'w');
    INSERT INTO audit_log (actor_type, action, resource_type, resource_id)
        VALUES ('system', 'a', 'r', '1');
    INSERT INTO usage_metrics (entity_type, entity_id, metric_date)
        SELECT 'repository', id, '2025-01-08' FROM repositories;
"""


async def columns(conn: Connection) -> set[tuple[str, ...]]:
    query = """
        SELECT table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema = 'public'
    """
    return set(await rows(conn, query))


async def test_nothing_of_the_specification_is_lost(empty_database: str) -> None:
    await migrate(empty_database, first(1))
    async with connected(empty_database) as conn:
        specified = await columns(conn)
        assert len({table for table, _, _ in specified}) == 36
        await migrate(empty_database)
        assert specified <= await columns(conn)


async def test_a_database_in_use_is_carried_over(empty_database: str) -> None:
    await migrate(empty_database, first(1))
    async with connected(empty_database) as conn:
        ada, org = await add_user(conn, "Ada"), await add_org(conn, "Pixar")
        await add_repo(conn, ada)
        await conn.execute(IN_USE)

        await migrate(empty_database)

        names = await rows(conn, "SELECT name_key, owner_id FROM namespaces ORDER BY name_key")
        assert names == [("ada", ada), ("pixar", org)]
        chunks = await rows(
            conn, "SELECT ref_count, delete_after IS NULL FROM chunks ORDER BY hash"
        )
        assert chunks == [(1, True), (0, False)]
        packs = await rows(conn, "SELECT key, state, live FROM packs ORDER BY key")
        assert packs == [("k1", "sealed", 2), ("k2", "sealed", 1)]
        assert await rows(conn, "SELECT ref_count, claimed_at FROM chunk_refs") == [(1, None)]
        assert await conn.fetchval("SELECT status FROM jobs") == "pending"
        assert await conn.fetchval("SELECT state FROM webhook_deliveries") == "succeeded"
        assert await conn.fetchval("SELECT excl_key = fence FROM locks")
        assert await rows(conn, "SELECT repo_id, fence FROM lock_clocks") == await rows(
            conn, "SELECT repo_id, fence FROM locks"
        )
        told = await rows(conn, "SELECT title, number, read_at = created_at FROM notifications")
        assert sorted(told) == [("1", 1, True), ("2", 2, None)]
        for partitioned in ("audit_log", "usage_metrics"):
            assert await conn.fetchval(f"SELECT count(*) FROM {partitioned}") == 1
