"""Access questions read little, whatever others call their repositories and whenever the plan was made."""

from __future__ import annotations

import json
import uuid
from typing import Any

from services.auth.access import batches, decisions
from services.auth.notifications import audience
from tests.integration.schema.rows import Connection, rows

PEOPLE, FEW = 3_000, 60
FILL = """
    WITH u AS (INSERT INTO users (username, email, name, status)
               SELECT 'user' || n, 'user' || n || '@example.com', '', 'active' FROM generate_series(1, $1) n
               RETURNING id)
    INSERT INTO repositories (name, owner_type, owner_id, storage_bucket, storage_region, visibility)
    SELECT 'film', 'user', id, 'b', 'local', 'internal' FROM u
"""
CALLS = "SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'repository_permission'"


async def count_pages(conn: Connection, statement: str, *arguments: Any) -> int:
    """Returns how many pages a statement reads, when the functions in it are planned."""
    for _ in range(2):
        text = await conn.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments
        )
    plan = json.loads(text)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def test_a_repository_is_found_among_thousands_of_its_name(conn: Connection) -> None:
    await conn.execute(FILL, PEOPLE)
    await conn.execute("VACUUM ANALYZE")
    one = decisions.Q.bind.access(
        token_hash=None, is_open=False, id=None, owner="user7", name="film"
    )
    many = batches.Q.bind.check_repositories(
        user_id=uuid.uuid4(), refused_by=[], ids=[None] * 20, owners=["user7"] * 20,
        names=["film"] * 20,
    )  # fmt: skip
    assert await count_pages(conn, *one) <= 100
    assert await count_pages(conn, *many) <= 20 * 100


async def test_a_plan_from_before_there_were_readers_asks_once_for_each(conn: Connection) -> None:
    await conn.execute(FILL, FEW)
    await conn.execute("SET session_replication_role = replica")
    await conn.execute("DELETE FROM namespaces; DELETE FROM repositories; DELETE FROM users")
    await conn.execute("RESET session_replication_role; ANALYZE")
    await conn.execute("SET plan_cache_mode = force_generic_plan; SET track_functions = 'all'")
    await conn.execute(f"PREPARE readers (uuid[], uuid[]) AS {audience.Q.readers}")
    await conn.execute("EXECUTE readers (NULL, NULL)")
    await conn.execute(FILL, FEW)
    [repository, *_] = await rows(conn, "SELECT id FROM repositories")
    people = await rows(conn, "SELECT id FROM users")
    users = ",".join(str(user) for (user,) in people)
    repositories = ",".join([str(repository[0])] * FEW)
    async with conn.transaction():
        found = await conn.fetch(f"EXECUTE readers ('{{{users}}}', '{{{repositories}}}')")
        asked = await conn.fetchval(CALLS)
    assert len(found) == asked == FEW
