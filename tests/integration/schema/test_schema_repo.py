"""Repositories, refs, deliveries, statistics: what the database itself guarantees."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from tests.integration.schema.rows import (
    NOBODY,
    Connection,
    add_branch,
    add_chunks,
    add_commit,
    add_org,
    add_repo,
    add_user,
    add_webhook,
    digest,
    rows,
)
from tests.support.waiting import until_blocked


async def test_the_name_of_a_deleted_repository_is_free(conn: Connection) -> None:
    ada = await add_user(conn)
    film = await add_repo(conn, ada, "film")
    with pytest.raises(asyncpg.UniqueViolationError, match="repositories_owner_name_key"):
        await add_repo(conn, ada, "FILM")
    await conn.execute("UPDATE repositories SET deleted_at = now() WHERE id = $1", film)
    await add_repo(conn, ada, "Film")
    with pytest.raises(asyncpg.UniqueViolationError, match="repositories_owner_name_key"):
        await conn.execute("UPDATE repositories SET deleted_at = NULL WHERE id = $1", film)


async def test_a_repository_has_an_owner_for_as_long_as_it_exists(conn: Connection) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="repositories_owner_fkey"):
        await add_repo(conn, NOBODY)
    ada = await add_user(conn)
    await add_repo(conn, ada)
    await conn.execute("UPDATE repositories SET deleted_at = now()")
    await conn.execute("UPDATE users SET username = 'lovelace'")
    await conn.execute("ALTER TABLE namespaces DISABLE TRIGGER namespaces_stay")
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="repositories_owner_fkey"):
        await conn.execute("DELETE FROM namespaces")


async def test_refs_reach_commits_and_commits_reach_trees(conn: Connection) -> None:
    repo = await add_repo(conn)
    head = await add_commit(conn, repo, 1)
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="branches_head_fkey"):
        await add_branch(conn, repo, digest(2))
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="tags_commit_fkey"):
        await conn.execute(
            "INSERT INTO tags (repo_id, name, commit_hash) VALUES ($1, 'v1', $2)", repo, digest(2)
        )
    await add_branch(conn, repo, head)
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="branches_head_fkey"):
        await conn.execute("DELETE FROM commits")
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="commits_tree_fkey"):
        await conn.execute("DELETE FROM manifests")
    await conn.execute("DELETE FROM repositories")
    assert await conn.fetchval("SELECT count(*) FROM manifests") == 0


async def test_a_commit_may_lack_names_and_have_a_long_message(conn: Connection) -> None:
    await add_commit(conn, await add_repo(conn), 1)
    await conn.execute(
        "UPDATE commits SET author_name = '', author_email = '', committer_name = '',"
        " committer_email = '', message = repeat('m', 262144)"
    )


@pytest.mark.parametrize("person", ["author", "committer"])
async def test_offsets_are_less_than_a_day(conn: Connection, person: str) -> None:
    await add_commit(conn, await add_repo(conn), 1)
    column = f"{person}_offset_minutes"
    assert await rows(conn, f"SELECT {column} FROM commits") == [(0,)]
    for offset in (-1439, 1439):
        await conn.execute(f"UPDATE commits SET {column} = $1", offset)
    for offset in (-1440, 1440):
        with pytest.raises(asyncpg.CheckViolationError, match=f"commits_{column}_check"):
            await conn.execute(f"UPDATE commits SET {column} = $1", offset)


async def test_a_branch_is_made_or_its_commit_is_collected(
    conn: Connection, other: Connection
) -> None:
    repo = await add_repo(conn)
    head = await add_commit(conn, repo, 1)
    outcomes = await asyncio.gather(
        add_branch(conn, repo, head), other.execute("DELETE FROM commits"), return_exceptions=True
    )
    assert sum(isinstance(outcome, asyncpg.ForeignKeyViolationError) for outcome in outcomes) == 1


async def test_children_are_found_by_any_of_64_parents(conn: Connection) -> None:
    repo = await add_repo(conn)
    child = await add_commit(conn, repo, 1, parents=range(100, 164))
    await conn.execute("SET enable_seqscan = off")
    find = "SELECT hash FROM commits WHERE repo_id = $1 AND parent_hashes @> ARRAY[$2::text]"
    assert await rows(conn, find, repo, digest(163)) == [(child,)]
    assert await rows(conn, find, repo, digest(1)) == []
    plan = await rows(conn, "EXPLAIN SELECT FROM commits WHERE parent_hashes @> '{a}'")
    assert "idx_commits_parent" in str(plan)


@pytest.mark.parametrize(("table", "column"), [("branches", "repo_id"), ("webhooks", "url")])
async def test_changes_are_dated(conn: Connection, table: str, column: str) -> None:
    repo = await add_repo(conn)
    await add_branch(conn, repo, await add_commit(conn, repo, 1))
    await add_webhook(conn, repo)
    before = await conn.fetchval(f"SELECT updated_at FROM {table}")
    await conn.execute(f"UPDATE {table} SET {column} = {column}")
    assert await conn.fetchval(f"SELECT updated_at FROM {table}") > before


async def test_a_webhook_has_one_owner(conn: Connection) -> None:
    hook = await add_webhook(conn, await add_repo(conn))
    org = await add_org(conn)
    with pytest.raises(asyncpg.CheckViolationError, match="webhooks_owner_check"):
        await conn.execute("UPDATE webhooks SET org_id = $1 WHERE id = $2", org, hook)
    await conn.execute("UPDATE webhooks SET repo_id = NULL, org_id = $1 WHERE id = $2", org, hook)


async def test_each_attempt_at_a_delivery_is_a_row(conn: Connection) -> None:
    repo = await add_repo(conn)
    hook = await add_webhook(conn, repo)
    attempt = (
        "INSERT INTO webhook_deliveries (webhook_id, delivery_id, attempt, event, event_id, payload)"
        " VALUES ($1, $2, $3, 'push', $2, CASE $3::int WHEN 1 THEN '{}'::jsonb END)"
    )
    await conn.execute(attempt, hook, NOBODY, 1)
    for ending in ("state = 'failed'", "success = FALSE"):
        with pytest.raises(asyncpg.CheckViolationError, match="webhook_deliveries_success_check"):
            await conn.execute(f"UPDATE webhook_deliveries SET {ending}")
    await conn.execute(
        "UPDATE webhook_deliveries SET state = 'failed', success = FALSE, delivered_at = now()"
    )
    with pytest.raises(asyncpg.UniqueViolationError, match="webhook_deliveries_attempt_key"):
        await conn.execute(attempt, hook, NOBODY, 1)
    await conn.execute(attempt, hook, NOBODY, 2)


STATS = "SELECT update_repo_stats($1)"


async def test_statistics_of_an_empty_repository(conn: Connection) -> None:
    repo = await add_repo(conn)
    await conn.execute(STATS, repo)
    row = await conn.fetchrow("SELECT * FROM repository_stats")
    assert row is not None
    assert row["dedup_ratio"] == 1.0
    assert row["last_activity_at"] is None
    assert {row[name] for name in row.keys() if name.endswith(("_count", "_bytes"))} == {0}  # noqa: SIM118


async def test_statistics_fill_every_column(conn: Connection) -> None:
    repo = await add_repo(conn)
    await add_branch(conn, repo, await add_commit(conn, repo, 1))
    head = await add_commit(conn, repo, 2, parents=[1])
    await conn.execute(
        "INSERT INTO tags (repo_id, name, commit_hash) VALUES ($1, 'v1', $2)", repo, head
    )
    await conn.execute(
        "INSERT INTO assets (repo_id, hash, size, chunk_count, ref_count, recipe_hash)"
        " SELECT $1, n::text, 300, 2, 1, '' FROM generate_series(1, 2) AS n",
        repo,
    )
    await add_chunks(conn, repo, ["a", "b", "c"])
    await conn.execute(
        "SELECT reference_chunks($1, '{a,b}', '{1,2}', NULL)", repo
    )  # c stays a claim
    await conn.execute("UPDATE repositories SET pushed_at = '2100-01-01Z'")
    await conn.execute(STATS, repo)
    await conn.execute(STATS, repo)

    row = dict(await conn.fetchrow("SELECT * FROM repository_stats") or {})
    calculated = row.pop("calculated_at")
    assert row == {
        "repo_id": repo,
        "commit_count": 2,
        "branch_count": 1,
        "tag_count": 1,
        "contributor_count": 1,
        "file_count": 2,
        "chunk_count": 2,
        "storage_bytes": 200,
        "logical_bytes": 600,
        "dedup_ratio": 3.0,
        "last_activity_at": datetime(2100, 1, 1, tzinfo=UTC),
    }
    assert calculated <= await conn.fetchval("SELECT clock_timestamp()")


async def test_a_recount_does_not_undo_a_push_beside_it(
    conn: Connection, other: Connection
) -> None:
    repo = await add_repo(conn)
    await conn.execute(STATS, repo)
    push = other.transaction()
    await push.start()
    await add_commit(other, repo, 1)
    await other.execute("UPDATE repository_stats SET commit_count = commit_count + 1")
    recount = asyncio.create_task(conn.execute(STATS, repo))
    await until_blocked(other)
    await push.commit()
    await recount
    assert await conn.fetchval("SELECT commit_count FROM repository_stats") == 1


async def test_repo_publishes_repositories_and_grants(conn: Connection) -> None:
    ada, org = await add_user(conn), await add_org(conn)
    repo = await add_repo(conn, ada)
    team = await conn.fetchval(
        "INSERT INTO teams (org_id, name) VALUES ($1, 'rig') RETURNING id", org
    )
    await conn.execute(
        "INSERT INTO team_repositories (team_id, repo_id) VALUES ($1, $2)", team, repo
    )
    await conn.execute(
        "INSERT INTO repository_collaborators (repo_id, user_id, permission) VALUES ($1, $2, 'write')",
        repo,
        ada,
    )
    identity = await rows(
        conn,
        "SELECT owner_type, owner_id, name, visibility FROM repository_identities WHERE id = $1"
        " FOR KEY SHARE",
        repo,
    )
    assert identity == [("user", ada, "film", "private")]
    assert await rows(conn, "SELECT * FROM repository_grants ORDER BY grantee_type") == [
        (repo, "team", team, "read"),
        (repo, "user", ada, "write"),
    ]
