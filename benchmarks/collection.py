"""How long the collection of dead chunks takes, and how much slower uploads are beside it.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.collection [--dead N] [--rounds N] [--seconds N]

Rows of so many dead chunks are made, 1,000 a pack, and a quarter as many in their grace. A loop uploads
messages of 1 MiB, each of 16 chunks. In each round its rate is taken alone, beside a collection from its
beginning to its end, and alone again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from blake3 import blake3
from rich.console import Console
from rich.table import Table

from benchmarks.callers import User, upload_chunks
from benchmarks.server import Server, running

CHUNK_BYTES = 64 << 10
MESSAGE_CHUNKS = 16
FILL = """
    WITH made AS (
        INSERT INTO packs (key, bucket, region, state, live, bytes)
        SELECT '0/' || replace(gen_random_uuid()::text, '-', ''), 'local', 'local', 'sealed', 1000, 64000000
        FROM generate_series(1, $1)
        RETURNING key
    )
    INSERT INTO chunks (hash, size, compression, storage_bucket, storage_key, ref_count, delete_after)
    SELECT encode(sha256((key || n)::bytea), 'hex'), 64000, 'none', 'local',
           key || '@' || (n - 1) * 64000 || '+64000', 0,
           clock_timestamp() - random() * INTERVAL '10 days'
           + CASE WHEN $2 THEN INTERVAL '99 days' ELSE INTERVAL '-1 s' END
    FROM made CROSS JOIN generate_series(1, 1000) AS n
"""
COLLECT = """
    SELECT enqueue_job('chunk', 'collect_garbage', '{"confirmed_chunk_count": "1000000000"}')
"""
ENDED = """
    SELECT extract(epoch FROM ended_at - started_at)::float8, (report->>'deleted_chunk_count')::int
    FROM maintenance_runs WHERE job_id = $1 AND ended_at IS NOT NULL
"""


@dataclass(slots=True)
class Uploads:
    """A loop that uploads.

    Attributes:
        count: messages that were acknowledged.
    """

    user: User
    count: int = 0
    is_over: bool = False
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Starts it."""
        self._threads = [threading.Thread(target=self._run, daemon=True)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends it."""
        self.is_over = True
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self.is_over:
            data = os.urandom(CHUNK_BYTES * MESSAGE_CHUNKS)
            parts = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
            upload_chunks(self.user, {blake3(part).digest(): part for part in parts})
            self.count += 1

    def measure(self, seconds: float) -> float:
        """Returns the messages a second over some seconds."""
        began, before = time.perf_counter(), self.count
        time.sleep(seconds)
        return (self.count - before) / (time.perf_counter() - began)


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.collection")
    parser.add_argument("--dead", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15)
    arguments = parser.parse_args()
    table = Table("dead chunks", "seconds", "chunks/s", "uploads alone MiB/s", "beside", "ratio")
    ratios, times = [], []
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder,
        running(Path(folder) / "data") as server,
    ):
        uploads = Uploads(User(server))
        uploads.start()
        for _ in range(arguments.rounds):
            asyncio.run(_fill(server, arguments.dead))
            before = uploads.measure(arguments.seconds)
            began, count = time.perf_counter(), uploads.count
            seconds, deleted = asyncio.run(_collect(server))
            beside = (uploads.count - count) / (time.perf_counter() - began)
            alone = (before + uploads.measure(arguments.seconds)) / 2
            ratios.append(beside / alone)
            times.append(seconds)
            table.add_row(
                f"{deleted:,}",
                f"{seconds:.1f}",
                f"{deleted / seconds:,.0f}",
                f"{alone:.1f}",
                f"{beside:.1f}",
                f"{beside / alone:.2f}",
            )
        uploads.stop()
    table.add_row(
        "median", f"{statistics.median(times):.1f}", "", "", "", f"{statistics.median(ratios):.2f}"
    )
    Console().print(table)


async def _fill(server: Server, dead: int) -> None:
    connection = await asyncpg.connect(server.dsn)
    try:
        for at in range(0, dead // 1000, 50):
            await connection.execute(FILL, min(50, dead // 1000 - at), False)
        await connection.execute(FILL, dead // 4000, True)
        await connection.execute("VACUUM ANALYZE chunks")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def _collect(server: Server) -> tuple[float, int]:
    """Has the server collect; returns the seconds that it took, and how many chunks it deleted."""
    connection = await asyncpg.connect(server.dsn)
    try:
        job_id = await connection.fetchval(COLLECT)
        while True:
            row = await connection.fetchrow(ENDED, job_id)
            if row is not None:
                return row[0], row[1]
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
