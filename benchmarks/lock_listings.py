"""Questions about 100,000 locks: pages, the history, expired locks."""

from __future__ import annotations

import json
import statistics
import time
from datetime import datetime
from uuid import UUID

import asyncpg
from dits.lock.v1 import lock_service_pb2 as pb

from benchmarks.lock_world import World
from services.lock.background import expiry
from services.lock.locks import history, reading, rules

BIG = 100_000
# What it asks, the SQL, its arguments.
Question = tuple[str, str, tuple[object, ...]]


async def fill_repository(world: World) -> UUID:
    """A repository with many locks; a hundred of another user."""
    repo = world.repositories[-1]
    connection = await asyncpg.connect(world.dsn)
    other = await connection.fetchval(
        """INSERT INTO users (username, email, name, status)
           VALUES ('other', 'other@example.com', 'other', 'active') RETURNING id"""
    )
    for user, first, last in ((world.user_id, 1, BIG - 100), (other, BIG - 99, BIG)):
        await connection.fetch(
            """WITH t AS (SELECT lock_now($1) AS now)
               SELECT count(*) FROM t, grant_locks($1,
                   ARRAY(SELECT format('assets/%s/%s/%s.uasset', n % 100, n % 1000, n)
                         FROM generate_series($3::int, $4::int) n),
                   t.now, t.now + interval '1 day', 'exclusive', $2, $2, 'bench', NULL, false,
                   interval '15 min')""",
            *(repo, user, first, last),
            timeout=600,
        )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return repo


def ask_pages(repo: UUID, now: datetime, other: UUID) -> list[Question]:
    """Pages of locks: the first, one in the middle, of a prefix, of another holder."""
    end, listed, of_holder = rules.prefix_end(""), reading.Q.list_locks, reading.Q.list_locks_of
    prefix = "assets/99/"
    return [
        ("first page of 50", listed, (repo, now, "", -1, end, 51, False, None)),
        ("first page of 1,000", listed, (repo, now, "", -1, end, 1001, False, None)),
        ("page in the middle", listed, (repo, now, "assets/5", 7, end, 51, False, None)),
        (
            "page of a prefix",
            listed,
            (repo, now, prefix, -1, rules.prefix_end(prefix), 51, False, None),
        ),
        ("page of one holder", of_holder, (repo, now, "", -1, end, 51, False, other)),
    ]


def ask_more(repo: UUID, now: datetime) -> list[Question]:
    """The history, what has expired, and the locks over some paths."""
    some = [f"assets/{n}/{n}/{n}.uasset" for n in range(20)]
    return [
        ("page of the history", history.Q.history, (repo, now, 0, "", 51)),
        ("repositories to reap", expiry.Q.due, (rules.WARNING,)),
        ("expired but not ended?", history.Q.lock_time, (repo,)),
        ("what bears on 20 paths", "SELECT * FROM locks_over($1, $2, $3)", (repo, some, now)),
    ]


async def measure_listings(world: World) -> None:
    """First pages, in a repository with very many locks."""
    repo = await fill_repository(world)
    connection = await asyncpg.connect(world.dsn)
    now = await connection.fetchval("SELECT clock_timestamp()")
    other = await connection.fetchval("SELECT id FROM users WHERE username = 'other'")
    for name, query, arguments in [*ask_pages(repo, now, other), *ask_more(repo, now)]:
        await explain(connection, name, query, arguments)
    await connection.close()
    request = pb.ListLocksRequest(repository=str(repo))
    spans = []
    for _ in range(50):
        begin = time.perf_counter()
        await world.stub.ListLocks(request, metadata=world.auth)
        spans.append(time.perf_counter() - begin)
    print(f"ListLocks through gRPC, first page of 50: {statistics.median(spans) * 1000:.2f} ms")


async def explain(
    connection: asyncpg.Connection[asyncpg.Record],
    name: str,
    query: str,
    arguments: tuple[object, ...],
) -> None:
    """The time that PostgreSQL says it needs, with the plan that serves any arguments."""
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    times = []
    for _ in range(5):
        [row] = await connection.fetch(f"EXPLAIN (ANALYZE, FORMAT json) {query}", *arguments)
        [plan] = json.loads(row[0])
        times.append(plan["Execution Time"])
    print(f"SQL, {BIG:,} locks, {name}: {statistics.median(times):.2f} ms")
