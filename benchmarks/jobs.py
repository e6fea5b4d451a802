"""Jobs that do nothing: how many a worker process does a second, and how soon one begins.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.jobs [--jobs N] [--rounds N] [--pings N]

Ours, Procrastinate and PgQueuer (see job_queues.py; those that are not installed are left out) take turns
on one PostgreSQL, each with 50 slots and in this process. Printed are medians over the rounds, and what
ours is of each of the others. A ping is one job on an idle queue, from before its transaction to its start.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import logging
import os
import random
import re
import statistics
import tempfile
import time
from pathlib import Path

import asyncpg
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.job_queues import BATCH, QUEUES, JobQueue
from shared.postgres.embedded import EmbeddedPostgres


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.jobs")
    parser.add_argument("--jobs", type=int, default=10 * BATCH)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pings", type=int, default=300)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    names = [name for name in QUEUES if name == "dits" or importlib.util.find_spec(name)]
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as postgres,
    ):
        table = uvloop.run(measure(postgres.dsn, names, arguments))
    Console().print(table)


async def measure(dsn: str, names: list[str], arguments: argparse.Namespace) -> Table:
    """Returns the table of one run."""
    queues = {name: await _open(dsn, name) for name in names}
    rates: dict[str, list[float]] = {name: [] for name in names}
    pings: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(arguments.rounds):
        for name, queue in queues.items():
            rates[name].append(await measure_rate(queue, arguments.jobs))
            pings[name] += await measure_pings(queue, arguments.pings // arguments.rounds)
    for queue in queues.values():
        await queue.close()
    table = Table(
        "queue", "jobs/s", "lowest", "ours / its", "ping p50 ms", "p99 ms", "ours / its p99"
    )
    ours, soonest = statistics.median(rates["dits"]), _percentile(pings["dits"], 99)
    for name in names:
        rate, p99 = statistics.median(rates[name]), _percentile(pings[name], 99)
        table.add_row(
            name,
            f"{rate:,.0f}",
            f"{min(rates[name]):,.0f}",
            f"{ours / rate:.2f}",
            f"{_percentile(pings[name], 50):.1f}",
            f"{p99:.1f}",
            f"{soonest / p99:.2f}",
        )
    return table


async def measure_rate(queue: JobQueue, count: int) -> float:
    """Returns how many jobs a second the worker did, of `count` that waited."""
    await queue.put(count)
    queue.expect(count)
    began = time.perf_counter()
    await queue.drain()
    return count / (time.perf_counter() - began)


async def measure_pings(queue: JobQueue, count: int) -> list[float]:
    """Returns how long single jobs took to begin, milliseconds."""
    found = []
    async with queue.working():
        await asyncio.sleep(1)
        for _ in range(count):
            await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311
            queue.expect(1)
            began = time.perf_counter()
            await queue.put(1)
            found.append((await queue.wait_until_begun() - began) * 1000)
    return found


async def _open(dsn: str, name: str) -> JobQueue:
    """Returns a queue in a database of its own."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"CREATE DATABASE bench_{name}")
    await connection.close()
    queue: JobQueue = QUEUES[name]()
    await queue.set_up(re.sub(r"/[^/?]+(\?|$)", rf"/bench_{name}\1", dsn))
    return queue


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    main()
