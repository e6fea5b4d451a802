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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from blake3 import blake3
from dits.chunk.v1 import chunk_service_pb2 as chunk_pb
from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import Usage, User
from benchmarks.server import running
from tests.support.s3_server import S3Process, S3Server

_CHUNK = 1 << 20
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
                    row = _measure(User(server), streams, size)
                ratios = f"{row[0] / up:.2f}", f"{row[1] / down:.2f}"
                cells = [f"{row[0]:.2f}", ratios[0], f"{row[1]:.2f}", ratios[1]]
                table.add_row(name, *cells, *(f"{value:.2f}" for value in row[2:4]), *row[4:])
        finally:
            process.stop()
    Console(width=130).print(table)


async def _by_script(s3: S3Server, streams: int, size: int) -> tuple[float, float]:
    """Returns how long the bytes take in and out, in seconds."""
    client, count = s3.client("script"), -(-streams * size * _CHUNK // _OBJECT)
    objects = [os.urandom(min(_OBJECT, streams * size * _CHUNK)) for _ in range(count)]
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


def _measure(user: User, streams: int, size: int) -> tuple[float, float, float, float, str, str]:
    """Returns seconds, processor seconds and megabytes, each of uploads and downloads."""
    data = [[os.urandom(_CHUNK) for _ in range(size)] for _ in range(streams)]
    hashes = [[blake3(chunk).digest() for chunk in stream] for stream in data]
    stub = ChunkServiceStub(user.channels["chunk"])

    def requests(number: int) -> Iterator[chunk_pb.UploadChunksRequest]:
        for digest, chunk in zip(hashes[number], data[number], strict=True):
            one = chunk_pb.UploadedChunk(
                hash=digest, size=_CHUNK, compression=chunk_pb.COMPRESSION_NONE, data=chunk
            )
            is_first = digest == hashes[number][0]
            repository = user.repository if is_first else ""
            yield chunk_pb.UploadChunksRequest(repository=repository, chunks=[one])

    def upload(number: int) -> None:
        for answer in stub.UploadChunks(requests(number), metadata=user.auth):
            if answer.failures:
                raise SystemExit("a chunk was refused")

    def download(number: int) -> None:
        request = chunk_pb.DownloadChunksRequest(
            repository=user.repository, hashes=b"".join(hashes[number])
        )
        found = 0
        for answer in stub.DownloadChunks(request, metadata=user.auth):
            found += sum(len(chunk.data) for chunk in answer.chunks)
        if found != size * _CHUNK:
            raise SystemExit("a chunk did not come")

    up, down = _run(user, upload, streams), _run(user, download, streams)
    return up[0], down[0], up[1], down[1], up[2], down[2]


def _run(user: User, work: Callable[[int], None], streams: int) -> tuple[float, float, str]:
    usage = Usage(user.server.pid)
    with usage.measured(), ThreadPoolExecutor(streams) as pool:
        begun = time.perf_counter()
        list(pool.map(work, range(streams)))
        seconds = time.perf_counter() - begun
    return seconds, usage.seconds, f"{usage.peak_bytes / 1e6:,.0f}"


if __name__ == "__main__":
    main()
