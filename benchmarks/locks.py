"""How fast locks are: pairs of acquire and release, batches, and listings of 100,000.

    python -m benchmarks.locks [--seconds 5]

Starts a PostgreSQL that syncs, and the auth and lock services as processes of their own; the load comes
from this process, on the same cores. The same work done by SQL alone, and by etcd where it is installed, is
measured in the same run, because machines differ and are noisy: look at the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import asyncpg
import grpc
import uvloop
from dits.lock.v1 import lock_service_pb2 as pb
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub

from benchmarks import etcd
from benchmarks.lock_world import World, populate, running
from services.lock.background import expiry
from services.lock.locks import acquire, changes, history, reading, rules

if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceAsyncStub as LockStub

    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    LockStub = Connection = Pool = object

BIG = 100_000


async def rate(
    callers: int, seconds: float, pair: Callable[[int, int], Awaitable[None]]
) -> tuple[float, float]:
    """Pairs a second, and the median milliseconds of one, of `callers` that call without a pause."""
    spans: list[float] = []
    stop = time.perf_counter() + seconds

    async def call(caller: int) -> None:
        turn = 0
        while (begin := time.perf_counter()) < stop:
            await pair(caller, turn)
            spans.append(time.perf_counter() - begin)
            turn += 1

    begin = time.perf_counter()
    await asyncio.gather(*(call(caller) for caller in range(callers)))
    return len(spans) / (time.perf_counter() - begin), statistics.median(spans) * 1000


async def pairs(world: World, seconds: float, peer: etcd.Etcd | None) -> float:
    """One path a call, through gRPC, by SQL and by etcd; returns etcd's pairs a second with one caller."""
    print("callers  repos  gRPC pairs/s      ms  SQL pairs/s  gRPC/SQL  etcd pairs/s  gRPC/etcd")
    alone = float("nan")
    for callers, repositories in ((1, 1), (16, 1), (64, 1), (16, 16), (64, 16)):
        pool = await asyncpg.create_pool(world.dsn, min_size=1, max_size=20)

        async def through_grpc(caller: int, turn: int, count: int = repositories) -> None:
            repo = world.repositories[caller % count]
            ids = await world.acquire(repo, [f"shots/{caller}/{turn}.blend"])
            await world.release(repo, ids)

        async def by_sql(
            caller: int, turn: int, pool: Pool = pool, count: int = repositories
        ) -> None:
            repo = world.repositories[caller % count]
            async with pool.acquire() as connection:
                await sql_pair(connection, repo, world.user_id, [f"shots/{caller}/{turn}.blend"])

        ours, middle = await warm_rate(callers, seconds, through_grpc)
        sql, _ = await warm_rate(callers, seconds, by_sql)
        await pool.close()
        theirs = float("nan")
        if peer is not None:
            theirs, _ = await warm_rate(
                callers, seconds, lambda caller, turn: peer.pair(f"shots/{caller}/{turn}.blend")
            )
        if callers == 1:
            alone = theirs
        print(
            f"{callers:>7} {repositories:>6} {ours:>13.0f} {middle:>7.2f} {sql:>12.0f}"
            f" {ours / sql:>9.2f} {theirs:>13.0f} {ours / theirs:>10.2f}"
        )
    return alone


async def warm_rate(
    callers: int, seconds: float, pair: Callable[[int, int], Awaitable[None]]
) -> tuple[float, float]:
    """The same as `rate`, after half a second of the same work."""
    await rate(callers, 0.5, pair)
    return await rate(callers, seconds, pair)


async def sql_pair(connection: Connection, repo: UUID, user_id: UUID, paths: list[str]) -> None:
    """What the service does, without the service: two transactions of the same statements."""
    ask = (paths, rules.DEFAULT_TTL, "exclusive", user_id, None, False, rules.WARNING)
    rows = await connection.fetch(acquire.Q.acquire, repo, *ask)
    await connection.fetch(changes.Q.release, repo, user_id, [row["lock_id"] for row in rows])


async def acquisitions(world: World, counts: Sequence[int]) -> dict[int, float]:
    """Median milliseconds of one call that takes so many paths; the counts take turns."""
    spans: dict[int, list[float]] = {count: [] for count in counts}
    for turn in range(30):
        for count in counts:
            paths = [f"batch/{count}/{turn}/{i // 50}/{i:04}.blend" for i in range(count)]
            begin = time.perf_counter()
            ids = await world.acquire(world.repositories[0], paths)
            spans[count].append(time.perf_counter() - begin)
            await world.release(world.repositories[0], ids)
    return {count: statistics.median(measured) * 1000 for count, measured in spans.items()}


async def batches(world: World, seconds: float, theirs: float) -> None:
    """Many paths a call; `theirs`: etcd's pairs a second with one caller."""
    for count, callers in ((100, 1), (100, 4), (1000, 1), (1000, 4)):

        async def pair(caller: int, turn: int, count: int = count) -> None:
            repo = world.repositories[caller]
            paths = [f"b/{caller}/{turn}/{i // 50}/{i:04}.blend" for i in range(count)]
            await world.release(repo, await world.acquire(repo, paths))

        calls, _ = await warm_rate(callers, seconds, pair)
        against = f"{calls * count / theirs:.1f} times etcd's {theirs:.0f}"
        print(f"batches of {count}, {callers} callers: {calls * count:,.0f} pairs/s, {against}")
    spans = await acquisitions(world, (1, 100, 1000))
    for count in (100, 1000):
        ratio = f"{spans[count] / spans[1]:.1f} times one path ({spans[1]:.2f} ms)"
        print(f"taking {count} paths: {spans[count]:.1f} ms, {ratio}")


async def fill(world: World) -> UUID:
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


async def listings(world: World) -> None:
    """First pages, in a repository with very many locks."""
    repo = await fill(world)
    connection = await asyncpg.connect(world.dsn)
    now = await connection.fetchval("SELECT clock_timestamp()")
    other = await connection.fetchval("SELECT id FROM users WHERE username = 'other'")
    everything = rules.prefix_end("")
    some = [f"assets/{n}/{n}/{n}.uasset" for n in range(20)]
    questions: list[tuple[str, str, tuple[object, ...]]] = [
        (
            "first page of 50",
            reading.Q.list_locks,
            (repo, now, "", -1, everything, 51, False, None),
        ),
        (
            "first page of 1,000",
            reading.Q.list_locks,
            (repo, now, "", -1, everything, 1001, False, None),
        ),
        (
            "page in the middle",
            reading.Q.list_locks,
            (repo, now, "assets/5", 7, everything, 51, False, None),
        ),
        (
            "page of a prefix",
            reading.Q.list_locks,
            (repo, now, "assets/99/", -1, rules.prefix_end("assets/99/"), 51, False, None),
        ),
        (
            "page of one holder",
            reading.Q.list_locks_of,
            (repo, now, "", -1, everything, 51, False, other),
        ),
        (
            "page of the history",
            history.Q.history,
            (repo, now, 0, "", 51),
        ),
        ("repositories to reap", expiry.Q.due, (rules.WARNING,)),
        ("expired but not ended?", history.Q.lock_time, (repo,)),
        ("what bears on 20 paths", "SELECT * FROM locks_over($1, $2, $3)", (repo, some, now)),
    ]
    for name, query, arguments in questions:
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


async def main(seconds: float, dsn: str, address: str, peer: str | None) -> None:
    """Measures everything."""
    token, user_id, repositories = await populate(dsn)
    async with (
        grpc.aio.insecure_channel(address) as channel,
        grpc.aio.insecure_channel(peer or "nowhere") as other,
    ):
        world = World(dsn, LockServiceStub(channel), token, user_id, repositories)
        beside = None
        if peer is not None:
            beside = etcd.Etcd(other)
            await beside.begin()
        alone = await pairs(world, seconds, beside)
        await batches(world, seconds, alone)
        await listings(world)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement")
    options = parser.parse_args()
    with running() as (url, lock), etcd.running() as neighbour:
        uvloop.run(main(options.seconds, url, lock, neighbour))
