"""How fast FindMissingChunks answers, with and without a filter in memory, beside raw SQL.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.find_missing [--chunks N] [--rounds N] [--callers N]

A repository gets so many chunks that commits name. In each round, for chunks that are there and for such
that are not: the plain statement with an array of text; the statement with what else a claim needs, which
reads the table, as it was before; what the service asks without a filter, in this process; and the RPC, on
a server whose filter is built. A call has 10,000 hashes. Client and server share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from dits.chunk.v1 import chunk_service_pb2 as pb
from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import User
from benchmarks.server import running
from services.chunk.catalog.presence import Presence
from shared.db.pool import Database, Databases

HASHES = 10_000
PACK = 1000
BATCH = 100_000
FILL = (
    """INSERT INTO packs (key, bucket, region, state, live, bytes)
       SELECT '0/' || md5('p' || n), 'local', 'local', 'sealed', $3, $3 * 65536
       FROM generate_series($1::int, $2::int - 1, $3::int) AS n""",
    """INSERT INTO chunks (hash, size, compression, storage_bucket, storage_key, ref_count)
       SELECT encode(sha256(n::text::bytea), 'hex'), 65536, 'none', 'local',
              '0/' || md5('p' || n / $3 * $3) || '@' || n % $3 * 65536 || '+65536', 1
       FROM generate_series($1::int, $2::int - 1) AS n""",
    """INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size, ref_count, claimed_at)
       SELECT $4::uuid, encode(sha256(n::text::bytea), 'hex'), 65536, 1, NULL
       FROM generate_series($1::int, $2::int - 1) AS n WHERE $3 > 0""",
)
RAW = "SELECT chunk_hash FROM chunk_refs WHERE repo_id = $1 AND chunk_hash = ANY ($2::text[])"
FROM_TABLE = """
    SELECT string_agg(decode(r.chunk_hash, 'hex'), ''::bytea),
           coalesce(bool_or(r.claimed_at < clock_timestamp() - INTERVAL '12 hours'), FALSE)
    FROM chunk_refs r
    WHERE r.repo_id = $1
      AND r.chunk_hash = ANY (ARRAY(
          SELECT encode(substr($2::bytea, g * 32 + 1, 32), 'hex')
          FROM generate_series(0, length($2::bytea) / 32 - 1) AS g))
      AND r.chunk_hash NOT IN (SELECT hash FROM chunks WHERE lost_at IS NOT NULL)
"""


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.find_missing")
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, default=4)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder,
        running(Path(folder) / "data") as server,
    ):
        figures = asyncio.run(_measure(User(server), server.dsn, arguments))
    table = Table("10,000 hashes a call", "", "hashes/s", "to raw SQL")
    for (name, kind), rates in figures.items():
        rate, raw = statistics.median(rates), statistics.median(figures["raw SQL", kind])
        table.add_row(name, kind, f"{rate:,.0f}", f"{rate / raw:.2f}")
    Console().print(table)


class Ways:
    """The ways to ask."""

    def __init__(self, user: User, database: Database, callers: int) -> None:
        self._user = user
        self._database = database
        self._repository_id = UUID(user.repository)
        self._presence = Presence(Databases(database), timedelta(days=1))
        self._threads = ThreadPoolExecutor(callers)

    async def ask_raw(self, digests: Sequence[bytes]) -> None:
        """As anybody would."""
        names = [digest.hex() for digest in digests]
        await self._database.fetch(RAW, self._repository_id, names)

    async def ask_table(self, digests: Sequence[bytes]) -> None:
        """As the service did."""
        await self._database.fetch(FROM_TABLE, self._repository_id, b"".join(digests))

    async def ask_index(self, digests: Sequence[bytes]) -> None:
        """As the service does without a filter."""
        await self._presence.find_missing_chunks(self._repository_id, digests)

    async def ask_server(self, *batches: Sequence[bytes]) -> None:
        """Calls the server, as often at once as there are callers."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            *(loop.run_in_executor(self._threads, _call, self._user, each) for each in batches)
        )


async def _measure(
    user: User, dsn: str, arguments: argparse.Namespace
) -> dict[tuple[str, str], list[float]]:
    """Returns the rates of all rounds, by what was asked how."""
    database = await Database.connect(dsn, service="bench", size=2)
    await fill_chunks(database, UUID(user.repository), arguments.chunks)
    ways = Ways(user, database, arguments.callers)
    await _warm_up(ways, arguments.chunks)
    figures: dict[tuple[str, str], list[float]] = {}
    asked: dict[str, tuple[Callable[..., Awaitable[None]], int]] = {
        "raw SQL": (ways.ask_raw, 1),
        "from the table": (ways.ask_table, 1),
        "from the index": (ways.ask_index, 1),
        "the RPC with a filter, 1 caller": (ways.ask_server, 1),
        f"the RPC with a filter, {arguments.callers} callers": (
            ways.ask_server,
            4 * arguments.callers,
        ),
    }
    for kind in ("there", "absent"):
        for _ in range(arguments.rounds):
            for name, (ask, count) in asked.items():
                batches = [_choose(arguments.chunks, kind) for _ in range(count)]
                began = time.perf_counter()
                await ask(*batches)
                rate = count * HASHES / (time.perf_counter() - began)
                figures.setdefault((name, kind), []).append(rate)
    await database.close()
    return figures


async def _warm_up(ways: Ways, count: int) -> None:
    """Asks until the server answers from memory: several times as fast as at first."""
    first = 0.0
    for number in range(1000):
        began = time.perf_counter()
        await ways.ask_server(_choose(count, "there"))
        took = time.perf_counter() - began
        if number < 3:
            first = max(first, took)
        elif took < first / 4:
            return
    raise RuntimeError("the server has built no filter")


async def fill_chunks(database: Database, repository_id: UUID, count: int) -> None:
    """Makes the chunks of a repository, which commits seem to name."""
    for first in range(0, count, BATCH):
        last = min(first + BATCH, count)
        await database.fetch(FILL[0], first, last, PACK)
        await database.fetch(FILL[1], first, last, PACK)
        await database.fetch(FILL[2], first, last, PACK, repository_id)
    async with database.connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        for table in ("chunks", "chunk_refs", "repository_storage"):
            await connection.execute(f"VACUUM ANALYZE {table}")


def _choose(count: int, kind: str) -> list[bytes]:
    """Returns the hashes of one call, in order, as the client sends them."""
    prefix = "" if kind == "there" else "x"
    numbers = random.sample(range(count), HASHES)
    return sorted(hashlib.sha256(f"{prefix}{number}".encode()).digest() for number in numbers)


def _call(user: User, digests: Sequence[bytes]) -> None:
    request = pb.FindMissingChunksRequest(repository=user.repository, hashes=b"".join(digests))
    ChunkServiceStub(user.channels["chunk"]).FindMissingChunks(request, metadata=user.auth)


if __name__ == "__main__":
    main()
