"""How fast listings are in a repository with very many locks."""

from __future__ import annotations

import json
import statistics
import time
from typing import Any
from uuid import UUID

import asyncpg
from dits.lock.v1 import lock_service_pb2 as pb

from benchmarks.lock_world import World
from services.lock.background import expiry
from services.lock.locks import history, rules
from services.lock.rpc import lock_service

LOCKS = 100_000

Statement = tuple[Any, ...]


async def measure_listings(world: World) -> None:
    """Prints what first pages take, as SQL and through gRPC."""
    repo = await fill_repository(world)
    connection = await asyncpg.connect(world.dsn)
    for name, statement in {
        **await list_pages(connection, repo),
        **await list_questions(connection, repo),
    }.items():
        await explain(connection, name, statement)
    await connection.close()
    request = pb.ListLocksRequest(repository=str(repo))
    spans = []
    for _ in range(50):
        begin = time.perf_counter()
        await world.stub.ListLocks(request, metadata=world.auth)
        spans.append(time.perf_counter() - begin)
    print(f"ListLocks through gRPC, first page of 50: {statistics.median(spans) * 1000:.2f} ms")


async def list_pages(
    connection: asyncpg.Connection[asyncpg.Record], repo: UUID
) -> dict[str, Statement]:
    """Returns statements that read pages of locks, with their arguments."""
    other = await connection.fetchval("SELECT id FROM users WHERE username = 'other'")
    common = {
        "repository_id": repo,
        "now": await connection.fetchval("SELECT clock_timestamp()"),
        "expired": False,
        "user_id": None,
        "path": "",
        "fence": -1,
        "end": rules.compute_prefix_end(""),
        "count": 51,
    }
    below = {"path": "assets/99/", "end": rules.compute_prefix_end("assets/99/")}
    bind, bind_of_user = lock_service.Q.bind.list_locks, lock_service.Q.bind.list_locks_of_user
    return {
        "first page of 50": bind(**common),
        "first page of 1,000": bind(**{**common, "count": 1001}),
        "page in the middle": bind(**{**common, "path": "assets/5", "fence": 7}),
        "page of a prefix": bind(**{**common, **below}),
        "page of one holder": bind_of_user(**{**common, "user_id": other}),
    }


async def list_questions(
    connection: asyncpg.Connection[asyncpg.Record], repo: UUID
) -> dict[str, Statement]:
    """Returns other statements that find locks, with their arguments."""
    now = await connection.fetchval("SELECT clock_timestamp()")
    paths = [f"assets/{n}/{n}/{n}.uasset" for n in range(20)]
    return {
        "page of the history": history.Q.bind.history(
            repository_id=repo, at=now, fence=0, action="", count=51
        ),
        "repositories with locks that expire": (expiry.Q.due_repositories,),
        "expired but not ended?": (history.Q.lock_time, repo),
        "locks that cover 20 paths": ("SELECT * FROM locks_over($1, $2, $3)", repo, paths, now),
    }


async def fill_repository(world: World) -> UUID:
    """Returns a repository with many locks, a hundred of them of another user."""
    repo = world.repositories[-1]
    connection = await asyncpg.connect(world.dsn)
    other = await connection.fetchval(
        """INSERT INTO users (username, email, name, status)
           VALUES ('other', 'other@example.com', 'other', 'active') RETURNING id"""
    )
    for user, first, last in ((world.user_id, 1, LOCKS - 100), (other, LOCKS - 99, LOCKS)):
        await connection.fetch(
            """WITH t AS (SELECT take_lock_mutex($1) AS now)
               SELECT count(*) FROM t, grant_locks($1,
                   ARRAY(SELECT format('assets/%s/%s/%s.uasset', n % 100, n % 1000, n)
                         FROM generate_series($3::int, $4::int) n),
                   t.now, t.now + interval '1 day', $2,
                   ROW ($2, 'exclusive', 'bench', NULL, false)::lock_terms)""",
            *(repo, user, first, last),
            timeout=600,
        )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return repo


async def explain(
    connection: asyncpg.Connection[asyncpg.Record],
    name: str,
    statement: Statement,
) -> None:
    """Prints the time that PostgreSQL says it needs, with the plan that serves any arguments."""
    query, *arguments = statement
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    times = []
    for _ in range(5):
        [row] = await connection.fetch(f"EXPLAIN (ANALYZE, FORMAT json) {query}", *arguments)
        [plan] = json.loads(row[0])
        times.append(plan["Execution Time"])
    print(f"SQL, {LOCKS:,} locks, {name}: {statistics.median(times):.2f} ms")
