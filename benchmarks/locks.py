"""How fast locks are: pairs of acquire and release, batches, and listings of 100,000.

    python -m benchmarks.locks [--seconds 5]

Starts a PostgreSQL that syncs, and the auth and lock services as processes of their own; the load comes
from this process, on the same cores. The same work is done by SQL alone, and by etcd where it is installed,
in the same run, because machines differ and are noisy: look at the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import asyncpg
import grpc
import uvloop
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub

from benchmarks import etcd
from benchmarks.lock_listings import measure_listings
from benchmarks.lock_world import World, populate, running
from services.lock.locks import acquisition, release_locks, rules

if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceAsyncStub as LockStub

    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    LockStub = Connection = Pool = object


async def measure_rate(
    callers: int, seconds: float, pair: Callable[[int, int], Awaitable[None]]
) -> tuple[float, float]:
    """Pairs a second, and the median milliseconds of one, of `callers` that call without a pause."""
    spans: list[float] = []
    stop = time.perf_counter() + seconds

    async def call(caller: int) -> None:
        number = 0
        while (begin := time.perf_counter()) < stop:
            await pair(caller, number)
            spans.append(time.perf_counter() - begin)
            number += 1

    begin = time.perf_counter()
    await asyncio.gather(*(call(caller) for caller in range(callers)))
    return len(spans) / (time.perf_counter() - begin), statistics.median(spans) * 1000


async def measure_pairs(world: World, seconds: float, peer: etcd.Etcd | None) -> float:
    """One path a call, through gRPC, by SQL and by etcd; returns etcd's pairs a second with one caller."""
    print("callers  repos  gRPC pairs/s      ms  SQL pairs/s  gRPC/SQL  etcd pairs/s  gRPC/etcd")
    alone = float("nan")
    for callers, repositories in ((1, 1), (16, 1), (64, 1), (16, 16), (64, 16)):
        pool = await asyncpg.create_pool(world.dsn, min_size=1, max_size=20)

        async def through_grpc(caller: int, number: int, count: int = repositories) -> None:
            repo = world.repositories[caller % count]
            ids = await world.acquire(repo, [f"shots/{caller}/{number}.blend"])
            await world.release(repo, ids)

        async def by_sql(
            caller: int, number: int, pool: Pool = pool, count: int = repositories
        ) -> None:
            repo = world.repositories[caller % count]
            async with pool.acquire() as connection:
                await sql_pair(connection, repo, world.user_id, [f"shots/{caller}/{number}.blend"])

        ours, middle = await measure_warm_rate(callers, seconds, through_grpc)
        sql, _ = await measure_warm_rate(callers, seconds, by_sql)
        await pool.close()
        theirs = float("nan")
        if peer is not None:
            theirs, _ = await measure_warm_rate(
                callers, seconds, lambda caller, number: peer.pair(f"shots/{caller}/{number}.blend")
            )
        if callers == 1:
            alone = theirs
        print(
            f"{callers:>7} {repositories:>6} {ours:>13.0f} {middle:>7.2f} {sql:>12.0f}"
            f" {ours / sql:>9.2f} {theirs:>13.0f} {ours / theirs:>10.2f}"
        )
    return alone


async def measure_warm_rate(
    callers: int, seconds: float, pair: Callable[[int, int], Awaitable[None]]
) -> tuple[float, float]:
    """The same as `measure_rate`, after half a second of the same work."""
    await measure_rate(callers, 0.5, pair)
    return await measure_rate(callers, seconds, pair)


async def sql_pair(connection: Connection, repo: UUID, user_id: UUID, paths: list[str]) -> None:
    """What the service does, without the service: two transactions of the same statements."""
    rows = await connection.fetch(
        *acquisition.Q.bind.acquire_locks(
            repository_id=repo,
            owner="bench",
            paths=paths,
            ttl=rules.DEFAULT_TTL,
            holder_id=user_id,
            lock_type="exclusive",
            reason=None,
            release_on_push=False,
        )
    )
    ids = [row["lock_id"] for row in rows]
    await connection.fetch(release_locks.Q.release_locks, repo, user_id, ids)


async def measure_acquisitions(world: World, counts: Sequence[int]) -> dict[int, float]:
    """Median milliseconds of one call that takes so many paths; the counts take turns."""
    spans: dict[int, list[float]] = {count: [] for count in counts}
    for number in range(30):
        for count in counts:
            paths = [f"batch/{count}/{number}/{i // 50}/{i:04}.blend" for i in range(count)]
            begin = time.perf_counter()
            ids = await world.acquire(world.repositories[0], paths)
            spans[count].append(time.perf_counter() - begin)
            await world.release(world.repositories[0], ids)
    return {count: statistics.median(measured) * 1000 for count, measured in spans.items()}


async def measure_batches(world: World, seconds: float, theirs: float) -> None:
    """Many paths a call; `theirs`: etcd's pairs a second with one caller."""
    for count, callers in ((100, 1), (100, 4), (1000, 1), (1000, 4)):

        async def pair(caller: int, number: int, count: int = count) -> None:
            repo = world.repositories[caller]
            paths = [f"b/{caller}/{number}/{i // 50}/{i:04}.blend" for i in range(count)]
            await world.release(repo, await world.acquire(repo, paths))

        calls, _ = await measure_warm_rate(callers, seconds, pair)
        against = f"{calls * count / theirs:.1f} times etcd's {theirs:.0f}"
        print(f"batches of {count}, {callers} callers: {calls * count:,.0f} pairs/s, {against}")
    spans = await measure_acquisitions(world, (1, 100, 1000))
    for count in (100, 1000):
        ratio = f"{spans[count] / spans[1]:.1f} times one path ({spans[1]:.2f} ms)"
        print(f"taking {count} paths: {spans[count]:.1f} ms, {ratio}")


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
        alone = await measure_pairs(world, seconds, beside)
        await measure_batches(world, seconds, alone)
        await measure_listings(world)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement")
    options = parser.parse_args()
    with running() as (url, lock), etcd.running() as neighbour:
        uvloop.run(main(options.seconds, url, lock, neighbour))
