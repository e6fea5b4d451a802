"""How fast locks are: pairs of acquire and release, batches, and listings of 100,000.

    python -m benchmarks.locks [--seconds 5]

Starts a PostgreSQL that syncs, and the auth and lock services as processes of their own; the load comes
from this process, on the same cores. The same work done by SQL alone is measured in the same run, because
machines differ and are noisy: look at the ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import asyncpg
import grpc
import uvloop
from dits.lock.v1 import lock_service_pb2 as pb
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub

from migrations.runner import migrate
from services.lock import acquire, changes, ends, history, reading, reaper, rules, turns
from shared import credentials
from shared.embedded_postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceAsyncStub as LockStub

    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    LockStub = Connection = Pool = object

REPOSITORIES = 16
BIG = 100_000
# etcd 3.4, see the design's anchors: lock + unlock pairs a second with one caller.
ETCD_PAIRS = 600


@dataclass(frozen=True, slots=True)
class World:
    """What is measured against."""

    dsn: str
    stub: LockStub
    token: str
    user_id: UUID
    repositories: list[UUID]

    @property
    def auth(self) -> tuple[tuple[str, str], ...]:
        """Metadata of every call."""
        return (("authorization", f"Bearer {self.token}"),)

    async def acquire(self, repo: UUID, paths: list[str]) -> list[str]:
        """Ids of new locks."""
        request = pb.AcquireLocksRequest(repository=str(repo), paths=paths)
        response = await self.stub.AcquireLocks(request, metadata=self.auth)
        return [result.lock.id for result in response.results]

    async def release(self, repo: UUID, ids: list[str]) -> None:
        """Ends locks."""
        request = pb.ReleaseLocksRequest(repository=str(repo), lock_ids=ids)
        await self.stub.ReleaseLocks(request, metadata=self.auth)


@contextmanager
def service(name: str, dsn: str, folder: Path, **addresses: str) -> Iterator[str]:
    """A service in a process of its own; its address."""
    environment = {
        **os.environ,
        "DITS_DATABASE_URL": dsn,
        "DITS_DATA_DIR": str(folder),
        "DITS_SERVER_KEY": "00" * 32,
        f"DITS_{name.upper()}_PORT": "0",
        "DITS_POOL_SIZE": "20",
        "DITS_LOG_FORMAT": "json",
        **{f"DITS_{key.upper()}_ADDRESS": value for key, value in addresses.items()},
    }
    log = folder / f"{name}.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "services.cli", "serve", name], stderr=errors, env=environment
        ) as process,
    ):
        try:
            yield f"127.0.0.1:{_port(log, process)}"
        finally:
            process.terminate()


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    while process.poll() is None:
        found = re.search(r'"port": (\d+)', log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.02)
    raise RuntimeError(log.read_text())


async def populate(dsn: str) -> tuple[str, UUID, list[UUID]]:
    """A user with a session, and repositories."""
    token = credentials.mint(credentials.Kind.SESSION)
    connection = await asyncpg.connect(dsn)
    user_id = await connection.fetchval(
        """WITH u AS (INSERT INTO users (username, email, name, status)
                      VALUES ('bench', 'bench@example.com', 'bench', 'active') RETURNING id),
                s AS (INSERT INTO sessions (user_id, token_hash, expires_at)
                      SELECT id, $1, now() + interval '1 day' FROM u)
           SELECT id FROM u""",
        credentials.token_hash(token),
    )
    rows = await connection.fetch(
        """INSERT INTO repositories (owner_type, owner_id, name, storage_bucket, storage_region)
           SELECT 'user', $1, 'repo' || n, 'bench', 'local' FROM generate_series(1, $2) n
           RETURNING id""",
        user_id,
        REPOSITORIES,
    )
    await connection.close()
    return token, user_id, [row["id"] for row in rows]


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


async def pairs(world: World, seconds: float) -> float:
    """One path a call, through gRPC and by SQL; returns the milliseconds of one acquisition."""
    print(
        f"{'callers':>8} {'repos':>6} {'gRPC pairs/s':>13} {'ms':>7} {'SQL pairs/s':>12} {'ratio':>6}"
    )
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

        await rate(callers, 0.5, through_grpc)
        grpc_rate, middle = await rate(callers, seconds, through_grpc)
        await rate(callers, 0.5, by_sql)
        sql_rate, _ = await rate(callers, seconds, by_sql)
        await pool.close()
        print(
            f"{callers:>8} {repositories:>6} {grpc_rate:>13.0f} {middle:>7.2f} {sql_rate:>12.0f}"
            f" {grpc_rate / sql_rate:>6.2f}"
        )
    return await acquisition(world, 1)


async def sql_pair(connection: Connection, repo: UUID, user_id: UUID, paths: list[str]) -> None:
    """What the service does, without the service: two transactions of the same statements."""
    async with connection.transaction():
        now = await connection.fetchval(turns.Q.lock_now, repo)
        await connection.fetch(acquire.Q.judge, repo, paths, user_id, "exclusive", now, [], [])
        rows = await connection.fetch(
            acquire.Q.grant_locks,
            *(repo, paths, now, now + rules.DEFAULT_TTL, "exclusive", user_id, user_id),
            *(None, None, False, rules.WARNING),
        )
    ids = [row["lock_id"] for row in rows]
    async with connection.transaction():
        now = await connection.fetchval(turns.Q.lock_now, repo)
        await connection.fetch(changes.Q.own_locks, repo, ids, user_id, now)
        how = ("released", user_id, None, "lock.released")
        await connection.fetch(ends.Q.end_locks, repo, ids, now, *how)


async def acquisition(world: World, count: int) -> float:
    """Median milliseconds of one call that takes `count` paths."""
    spans = []
    for turn in range(30):
        paths = [f"batch/{count}/{turn}/{i // 50}/{i:04}.blend" for i in range(count)]
        begin = time.perf_counter()
        ids = await world.acquire(world.repositories[0], paths)
        spans.append(time.perf_counter() - begin)
        await world.release(world.repositories[0], ids)
    return statistics.median(spans) * 1000


async def batches(world: World, seconds: float, one: float) -> None:
    """Many paths a call."""
    for count, callers in ((100, 1), (100, 4), (1000, 1), (1000, 4)):

        async def pair(caller: int, turn: int, count: int = count) -> None:
            repo = world.repositories[caller]
            paths = [f"b/{caller}/{turn}/{i // 50}/{i:04}.blend" for i in range(count)]
            await world.release(repo, await world.acquire(repo, paths))

        calls, _ = await rate(callers, seconds, pair)
        against = f"{calls * count / ETCD_PAIRS:.1f} times etcd's 600"
        print(f"batches of {count}, {callers} callers: {calls * count:,.0f} pairs/s, {against}")
    for count in (100, 1000):
        span = await acquisition(world, count)
        print(
            f"taking {count} paths: {span:.1f} ms, {span / one:.1f} times one path ({one:.2f} ms)"
        )


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
        ("repositories to reap", reaper.Q.due, (rules.WARNING,)),
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


async def main(seconds: float, dsn: str, address: str) -> None:
    """Measures everything."""
    token, user_id, repositories = await populate(dsn)
    async with grpc.aio.insecure_channel(address) as channel:
        world = World(dsn, LockServiceStub(channel), token, user_id, repositories)
        one = await pairs(world, seconds)
        await batches(world, seconds, one)
        await listings(world)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        postgres = EmbeddedPostgres(Path(place) / "pg", settings={"shared_buffers": "1GB"})
        url = postgres.start()
        stack.callback(postgres.stop)
        asyncio.run(migrate(url))
        auth = stack.enter_context(service("auth", url, Path(place)))
        lock = stack.enter_context(service("lock", url, Path(place), auth=auth, repo=auth))
        uvloop.run(main(options.seconds, url, lock))
