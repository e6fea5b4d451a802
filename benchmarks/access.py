"""What access decisions cost PostgreSQL: 100,000 repositories, 10,000 users, 1,000 teams of 50.

python -m benchmarks.access
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import asyncpg

from benchmarks.lock_world import running_database
from services.auth.access import accessible_repositories, batches, repository_users

Statement = tuple[Any, ...]

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

# Studios with even numbers show their members nothing but what teams may do.
FILL = """
INSERT INTO users (username, email, name, status)
SELECT 'user' || n, 'user' || n || '@example.com', 'User', 'active' FROM generate_series(1, 10000) n;
INSERT INTO organizations (name, display_name, settings)
SELECT 'studio' || n, 'Studio',
       CASE WHEN n % 2 = 0 THEN '{"member_permission": "none"}'::jsonb ELSE '{}' END
FROM generate_series(1, 20) n;
CREATE TEMP TABLE people AS SELECT id, substr(username, 5)::int AS n FROM users;
CREATE TEMP TABLE studios AS SELECT id, substr(name, 7)::int AS n FROM organizations;
INSERT INTO organization_members (org_id, user_id, role)
SELECT s.id, p.id, 'member' FROM studios s JOIN people p ON p.n % 20 IN (s.n % 20, (s.n + 1) % 20);
INSERT INTO teams (org_id, name) SELECT s.id, 'team' || t FROM studios s, generate_series(1, 50) t;
INSERT INTO team_members (team_id, user_id)
SELECT t.id, p.id FROM teams t JOIN studios s ON s.id = t.org_id
JOIN people p ON p.n % 20 = s.n % 20 AND (p.n / 20) % 10 = substr(t.name, 5)::int % 10;
INSERT INTO repositories (name, owner_type, owner_id, storage_bucket, storage_region)
SELECT 'repository' || k, 'organization', s.id, 'b', 'local'
FROM studios s, generate_series(1, {repositories}) k;
INSERT INTO repositories (name, owner_type, owner_id, storage_bucket, storage_region)
SELECT 'repository0', 'user', p.id, 'b', 'local' FROM people p;
INSERT INTO team_repositories (team_id, repo_id, permission)
SELECT t.id, r.id, 'write' FROM teams t
JOIN repositories r ON r.owner_id = t.org_id AND substr(r.name, 11)::int % 50 = substr(t.name, 5)::int - 1;
INSERT INTO repository_collaborators (repo_id, user_id, permission)
SELECT r.id, p.id, 'read'
FROM (SELECT id, row_number() OVER () AS n FROM repositories) r JOIN people p ON p.n = r.n / 5 + 1;
"""


def fill(studio_repositories: int = 4500) -> str:
    """Returns what makes the world: so many repositories of each of twenty studios, and 10,000 others."""
    return FILL.replace("{repositories}", str(studio_repositories))


async def main(dsn: str) -> None:
    """Prints what each question takes."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(fill(), timeout=600)
    await connection.execute("VACUUM ANALYZE", timeout=600)
    questions = {**await list_checks(connection), **await list_pages(connection)}
    for name, statement in questions.items():
        await measure(connection, name, statement)
    await connection.close()


async def measure(connection: Connection, name: str, statement: Statement) -> None:
    """Prints the least time of fifteen that PostgreSQL says it needs, and the pages that it reads.

    The plan is the one that serves any arguments.
    """
    query, *arguments = statement
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    times = []
    for _ in range(15):
        text = await connection.fetchval(
            f"EXPLAIN (ANALYZE, TIMING OFF, BUFFERS, FORMAT json) {query}", *arguments
        )
        [plan] = json.loads(text)
        times.append(plan["Execution Time"])
    pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    print(f"{name}: {min(times):.2f} ms, {pages:,} pages", flush=True)


async def find_user(connection: Connection) -> UUID:
    """Returns a member of two studios and five teams."""
    user: UUID = await connection.fetchval("SELECT id FROM users WHERE username = 'user1234'")
    return user


async def list_checks(connection: Connection) -> dict[str, Statement]:
    """Returns decisions, with their arguments."""
    user = await find_user(connection)
    rows = await connection.fetch(
        """SELECT r.id, o.name_key, lower(r.name) AS name
           FROM repositories r JOIN owner_identities o USING (owner_type, owner_id)
           ORDER BY md5(r.id::text) LIMIT 1000"""
    )
    check = partial(batches.Q.bind.check_repositories, user_id=user, refused_by=[])
    none = [None] * len(rows)
    owners, names = [row["name_key"] for row in rows], [row["name"] for row in rows]
    ids = [row["id"] for row in rows]
    return {
        "one decision": ("SELECT repository_permission($1, $2)", user, ids[0]),
        "1,000 times one decision": (
            "SELECT count(*) FROM unnest($2::uuid[]) r (id) WHERE repository_permission($1, r.id) > 0",
            user,
            ids,
        ),
        "1,000 decisions by id": check(ids=ids, owners=none, names=none),
        "1,000 decisions by name": check(ids=none, owners=owners, names=names),
    }


async def list_pages(connection: Connection) -> dict[str, Statement]:
    """Returns pages of listings, with their arguments."""
    user = await find_user(connection)
    shared = await connection.fetchval(
        """SELECT r.id FROM repositories r JOIN organizations o ON o.id = r.owner_id
           WHERE o.name = 'studio13' ORDER BY r.id LIMIT 1"""
    )
    bind = partial(accessible_repositories.Q.bind.list_repositories, refused_by=[])
    users = repository_users.Q.list_users
    return {
        "repositories of a user, 50": bind(user_id=user, after_owner="", after="", count=51),
        "repositories of a user, 1,000": bind(user_id=user, after_owner="", after="", count=1001),
        "repositories of a user, in the middle": bind(
            user_id=user, after_owner="studio13", after="repository3000", count=51
        ),
        "users of a repository, 50": (users, shared, "", 51),
        "users of a repository, 1,000": (users, shared, "", 1001),
        "users of a repository, in the middle": (users, shared, "user5", 51),
    }


if __name__ == "__main__":
    with running_database() as (database, _):
        asyncio.run(main(database))
