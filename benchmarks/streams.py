"""Uploads and downloads of random chunks of 1 MiB, beside a script that hashes and writes the same.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.streams [--streams 1 8] [--mebibytes 256]

The script hashes each chunk and writes it to a file, which it fsyncs, one for each stream; it has as many
threads as there are streams. That is also the least that whoever downloads has to do with the bytes. Like
the server it keeps what it wrote: where a virtual machine gives free memory back to its host, the pages of
a deleted file cost a tenth of what pages cost that the host has to find first.

"gRPC" is the same caller with a server in a process of its own that drops what it receives.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import grpc
from blake3 import blake3
from dits.chunk.v1 import chunk_service_pb2 as chunk_pb
from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import Usage, User
from benchmarks.server import running
from dits_client.transfer.memory import keep_freed_memory

CHUNK_BYTES = 1 << 20
_DROP = """
import asyncio, grpc, uvloop
from services.chunk.runtime.memory import keep_freed_memory

async def drop(messages, context):
    async for _ in messages:
        pass
    yield b""

async def serve():
    keep_freed_memory()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    methods = {"UploadChunks": grpc.stream_stream_rpc_method_handler(drop)}
    name = "dits.chunk.v1.ChunkService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
    loop.run(serve())
"""


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.streams")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--mebibytes", type=int, default=256, help="of all streams together")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    total, rounds = arguments.mebibytes, arguments.rounds
    keep_freed_memory()
    names = ("streams", "script", "gRPC", "dits: up", "ratio", "dits: down", "ratio", "MB more")
    table = Table(*names, title=f"MB/s of {total} MiB, load {os.getloadavg()[0]:.0f}")
    with (
        TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder,
        running(Path(folder) / "data") as server,
    ):
        user = User(server)
        for streams in arguments.streams:
            size, most = total // streams, 0.0
            script, alone, ours = list[float](), list[float](), list[tuple[float, float]]()
            for _ in range(rounds):
                script.append(_by_script(Path(mkdtemp(dir=folder)), streams, size))
                with _dropping() as channel:
                    chunks = _make_chunks(streams, size)
                    alone.append(_each(chunks, partial(_upload, user, channel)))
                row = measure_streams(user, streams, size)
                ours.append(row[:2])
                most = max(most, *(float(text.replace(",", "")) for text in row[4:]))
            table.add_row(*_tell(streams, size, script, alone, ours), f"{most:,.0f}")
    Console(width=120).print(table)


def _tell(
    streams: int,
    size: int,
    script: list[float],
    alone: list[float],
    ours: list[tuple[float, float]],
) -> list[str]:
    megabytes = streams * size * CHUNK_BYTES / 1e6
    rate = megabytes / statistics.median(script)
    cells = [str(streams), f"{rate:,.0f}", f"{megabytes / statistics.median(alone):,.0f}"]
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
        return time.perf_counter() - begun


@contextmanager
def _dropping() -> Iterator[grpc.Channel]:
    """Runs a server that drops what it receives; yields a channel to it."""
    command = [sys.executable, "-c", _DROP]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101  a pipe was asked for
            address = f"127.0.0.1:{int(process.stdout.readline())}"
            with grpc.insecure_channel(address, [("grpc.max_send_message_length", -1)]) as channel:
                yield channel
        finally:
            process.terminate()


def _make_chunks(streams: int, size: int) -> list[dict[bytes, bytes]]:
    """Returns random chunks of each stream by their hashes."""
    data = ((os.urandom(CHUNK_BYTES) for _ in range(size)) for _ in range(streams))
    return [{blake3(chunk).digest(): chunk for chunk in stream} for stream in data]


def measure_streams(
    user: User, streams: int, size: int
) -> tuple[float, float, float, float, str, str]:
    """Returns seconds, processor seconds and megabytes, each of uploads and downloads."""
    chunks, channel = _make_chunks(streams, size), user.channels["chunk"]
    up = _run(user.server.pid, lambda: _each(chunks, partial(_upload, user, channel)))
    down = _run(user.server.pid, lambda: _each(chunks, partial(_download, user)))
    return up[0], down[0], up[1], down[1], up[2], down[2]


def _each(chunks: list[dict[bytes, bytes]], work: Callable[[dict[bytes, bytes]], None]) -> float:
    """Works on all streams at once; returns how long it took, in seconds."""
    with ThreadPoolExecutor(len(chunks)) as pool:
        begun = time.perf_counter()
        list(pool.map(work, chunks))
        return time.perf_counter() - begun


def _upload(user: User, channel: grpc.Channel, chunks: dict[bytes, bytes]) -> None:
    def requests() -> Iterator[chunk_pb.UploadChunksRequest]:
        repository = user.repository
        for digest, chunk in chunks.items():
            one = chunk_pb.UploadedChunk(
                hash=digest, size=CHUNK_BYTES, compression=chunk_pb.COMPRESSION_NONE, data=chunk
            )
            yield chunk_pb.UploadChunksRequest(repository=repository, chunks=[one])
            repository = ""

    for answer in ChunkServiceStub(channel).UploadChunks(requests(), metadata=user.auth):
        if answer.failures:
            raise SystemExit("a chunk was refused")


def _download(user: User, chunks: dict[bytes, bytes]) -> None:
    stub = ChunkServiceStub(user.channels["chunk"])
    hashes = b"".join(chunks)
    request = chunk_pb.DownloadChunksRequest(repository=user.repository, hashes=hashes)
    found = 0
    for answer in stub.DownloadChunks(request, metadata=user.auth):
        found += sum(len(chunk.data) for chunk in answer.chunks)
    if found != len(chunks) * CHUNK_BYTES:
        raise SystemExit("a chunk did not come")


def _run(pid: int, work: Callable[[], float]) -> tuple[float, float, str]:
    usage = Usage(pid)
    with usage.measured():
        seconds = work()
    return seconds, usage.seconds, f"{usage.peak_bytes / 1e6:,.0f}"


if __name__ == "__main__":
    main()
