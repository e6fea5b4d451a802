"""Uploads and downloads of random chunks of 1 MiB, beside a script that hashes and writes the same.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.streams [--streams 1 8] [--mebibytes 256]

The script hashes each chunk and writes it to a file, which it fsyncs, one for each stream; it has as many
threads as there are streams. That is also the least that whoever downloads has to do with the bytes.
"""

from __future__ import annotations

import argparse
import os
import statistics
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

CHUNK_BYTES = 1 << 20


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.streams")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--mebibytes", type=int, default=256, help="of all streams together")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    total, rounds = arguments.mebibytes, arguments.rounds
    names = ("streams", "script", "dits: up", "ratio", "dits: down", "ratio", "MB more")
    table = Table(*names, title=f"MB/s of {total} MiB, load {os.getloadavg()[0]:.0f}")
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder,
        running(Path(folder) / "data") as server,
    ):
        user = User(server)
        for streams in arguments.streams:
            size, most = total // streams, 0.0
            script, ours = list[float](), list[tuple[float, float]]()
            for _ in range(rounds):
                script.append(_by_script(Path(folder), streams, size))
                row = measure_streams(user, streams, size)
                ours.append(row[:2])
                most = max(most, *(float(text.replace(",", "")) for text in row[4:]))
            table.add_row(*_tell(streams, size, script, ours), f"{most:,.0f}")
    Console(width=120).print(table)


def _tell(
    streams: int, size: int, script: list[float], ours: list[tuple[float, float]]
) -> list[str]:
    megabytes = streams * size * CHUNK_BYTES / 1e6
    rate = megabytes / statistics.median(script)
    cells = [str(streams), f"{rate:,.0f}"]
    for way in (0, 1):
        own = megabytes / statistics.median(row[way] for row in ours)
        cells += [f"{own:,.0f}", f"{own / rate:.2f}"]
    return cells


def _by_script(folder: Path, streams: int, size: int) -> float:
    """Returns how long the script takes, in seconds."""
    data = [[os.urandom(CHUNK_BYTES) for _ in range(size)] for _ in range(streams)]
    paths = [folder / f"script-{number}" for number in range(streams)]

    def write(number: int) -> None:
        with paths[number].open("wb", buffering=0) as file:
            for chunk in data[number]:
                blake3(chunk).digest()
                file.write(chunk)
            os.fsync(file.fileno())

    with ThreadPoolExecutor(streams) as pool:
        begun = time.perf_counter()
        list(pool.map(write, range(streams)))
        seconds = time.perf_counter() - begun
    for path in paths:
        path.unlink()
    return seconds


def measure_streams(
    user: User, streams: int, size: int
) -> tuple[float, float, float, float, str, str]:
    """Returns seconds, processor seconds and megabytes, each of uploads and downloads."""
    data = [[os.urandom(CHUNK_BYTES) for _ in range(size)] for _ in range(streams)]
    hashes = [[blake3(chunk).digest() for chunk in stream] for stream in data]
    stub = ChunkServiceStub(user.channels["chunk"])

    def requests(number: int) -> Iterator[chunk_pb.UploadChunksRequest]:
        for digest, chunk in zip(hashes[number], data[number], strict=True):
            one = chunk_pb.UploadedChunk(
                hash=digest, size=CHUNK_BYTES, compression=chunk_pb.COMPRESSION_NONE, data=chunk
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
        if found != size * CHUNK_BYTES:
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
