"""Packs in a bucket beside packs in a directory: parallel uploads and downloads of random chunks of 1 MiB.

    python -m benchmarks.s3 [--streams 8] [--mebibytes 64]

The baselines, in the same run: the same bytes put into and got from the same S3 server by a script, in
objects of 64 MiB, as many at once. Memory is the peak of the server's process above what it held before.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.callers import User
from benchmarks.server import running
from benchmarks.streams import CHUNK_BYTES, measure_streams
from tests.support.s3_server import S3Process, S3Server

_OBJECT = 64 << 20


def main() -> None:
    """Runs the benchmark and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.s3")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--mebibytes", type=int, default=64, help="of each stream")
    arguments = parser.parse_args()
    streams, size = arguments.streams, arguments.mebibytes
    names = ("", "up s", "to script", "down s", "to script", "CPU s up", "down", "MB up", "down")
    table = Table(
        *names, title=f"{streams} streams of {size} MiB at once, load {os.getloadavg()[0]:.0f}"
    )
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        process = S3Process(Path(folder, "s3"))
        try:
            s3 = process.wait_until_ready()
            up, down = asyncio.run(_by_script(s3, streams, size))
            table.add_row("script", f"{up:.2f}", "1.00", f"{down:.2f}", "1.00", "", "", "", "")
            for name, options in (("directory", []), ("bucket", ["--store", s3.url("bench")])):
                data = Path(folder, name, "data")
                data.parent.mkdir()
                with running(data, options=options) as server:
                    row = measure_streams(User(server), streams, size)
                ratios = f"{row[0] / up:.2f}", f"{row[1] / down:.2f}"
                cells = [f"{row[0]:.2f}", ratios[0], f"{row[1]:.2f}", ratios[1]]
                table.add_row(name, *cells, *(f"{value:.2f}" for value in row[2:4]), *row[4:])
        finally:
            process.stop()
    Console(width=130).print(table)


async def _by_script(s3: S3Server, streams: int, size: int) -> tuple[float, float]:
    """Returns how long the bytes take in and out, in seconds."""
    client, count = s3.client("script"), -(-streams * size * CHUNK_BYTES // _OBJECT)
    objects = [os.urandom(min(_OBJECT, streams * size * CHUNK_BYTES)) for _ in range(count)]
    slots = asyncio.Semaphore(streams)

    async def put(number: int) -> None:
        async with slots:
            await client.put_async(str(number), objects[number])

    async def get(number: int) -> None:
        async with slots:
            answer = await client.get_async(str(number))
            await answer.bytes_async()

    seconds = []
    for work in (put, get):
        begun = time.perf_counter()
        await asyncio.gather(*map(work, range(count)))
        seconds.append(time.perf_counter() - begun)
    return seconds[0], seconds[1]


if __name__ == "__main__":
    main()
