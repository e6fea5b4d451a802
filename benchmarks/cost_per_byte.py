"""What a byte costs: inputs made to cost much, and what the server's process spends on them.

    python -m benchmarks.cost_per_byte [--checkout OTHER_STATE_WITH_ITS_VENV] [--only WORDS]

It prints the bytes sent, how long it took, the processor time, the peak of memory, and what another caller
saw meanwhile.
"""

from __future__ import annotations

import argparse
import gzip
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from blake3 import blake3
from dits.chunk.v1 import chunk_service_pb2 as chunk_pb
from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import (
    Usage,
    User,
    code,
    make_witness,
    upload_chunks,
)
from benchmarks.push_costs import doubled, doubled_beside_locks, honest, large, nested, recipes
from benchmarks.server import Server, running

PUSH = "/dits.repo.v1.CommitService/Push"


@dataclass(frozen=True, slots=True)
class Case:
    """An input.

    Attributes:
        prepare: returns the bytes that are sent, and what sends them and returns how it ended.
    """

    name: str
    prepare: Callable[[User], tuple[int, Callable[[], str]]]


def compressed(user: User) -> tuple[int, Callable[[], str]]:
    """16 KB of gzip without a credential, which unfold to a header of 8 million locks."""
    # The header of a push, of 16,600,000 bytes.
    body = b"\x0a\xc0\x97\xf5\x07" + b"\x1a\x00" * 8_300_000
    return len(gzip.compress(body)), lambda: _call_compressed(user, body)


def _call_compressed(user: User, body: bytes) -> str:
    push: Any = user.channels["repo"].stream_unary(PUSH)
    try:
        push(iter([body]), compression=grpc.Compression.Gzip, timeout=120)
    except grpc.RpcError as error:
        return code(error)
    return "OK"


def unread(user: User) -> tuple[int, Callable[[], str]]:
    """20 downloads of 100 times a chunk of 16 MiB that nobody reads, for five seconds."""
    data = os.urandom(16 << 20)
    digest = blake3(data).digest()
    upload_chunks(user, {digest: data})
    request = chunk_pb.DownloadChunksRequest(repository=user.repository, hashes=digest * 100)
    stub = ChunkServiceStub(user.channels["chunk"])

    def send() -> str:
        calls: list[Any] = [stub.DownloadChunks(request, metadata=user.auth) for _ in range(20)]
        time.sleep(5)
        for call in calls:
            call.cancel()
        return "broken off"

    return request.ByteSize() * 20, send


def silent(user: User) -> tuple[int, Callable[[], str]]:
    """1,010 pushes without a credential that never say anything, for five seconds."""

    def send() -> str:
        done = threading.Event()
        calls: list[Any] = []
        channels = [_channel(user) for _ in range(4)]
        for number in range(1_010):
            push: Any = channels[number % 4].stream_unary(PUSH)
            calls.append(push.future(_nothing(done)))
        time.sleep(5)
        done.set()
        for call in calls:
            call.cancel()
        for channel in channels:
            channel.close()
        return "broken off"

    # Headers, of which all but the first are a few bytes of references.
    return 1_010 * 60, send


def _channel(user: User) -> grpc.Channel:
    options = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.insecure_channel(user.server.addresses["repo"], options)


def _nothing(done: threading.Event) -> Iterator[bytes]:
    done.wait()
    yield from ()


CASES = [
    Case("doubled 19 times", doubled),
    Case("doubled beside locks", doubled_beside_locks),
    Case("nested 5,000 deep", nested),
    Case("a recipe 128 times", recipes),
    Case("5,000 commits, honest", honest),
    Case("9,760 commits, large", large),
    Case("gzip, no credential", compressed),
    Case("20 unread downloads", unread),
    Case("1,010 silent streams", silent),
]


def main() -> None:
    """Runs the benchmark and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.cost_per_byte")
    parser.add_argument("--checkout", type=Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    columns = (
        "input",
        "ended",
        "bytes",
        "clock s",
        "CPU s",
        "CPU µs/byte",
        "MB more",
        "others: p99 s",
        "most s",
        "refused",
    )
    table = Table(*columns, title=f"Cost per byte: {arguments.checkout or 'this checkout'}")
    for column in table.columns[2:]:
        column.justify = "right"
    for case in CASES:
        if arguments.only in case.name:
            table.add_row(case.name, *_measure(case, arguments.checkout))
    Console(width=130).print(table)


def _measure(case: Case, checkout: Path | None) -> list[str]:
    """Returns the figures of one case, with a server of its own."""
    base = os.environ.get("BENCH_DIR")
    with (
        tempfile.TemporaryDirectory(prefix="dits-bench-", dir=base) as folder,
        running(Path(folder, "data"), checkout=checkout) as server,
    ):
        return _measure_on(case, server)


def _measure_on(case: Case, server: Server) -> list[str]:
    user, witness = User(server), make_witness(server)
    size, send = case.prepare(user)
    usage = Usage(server.pid)
    with witness.watching(), usage.measured():
        begun = time.perf_counter()
        ended = send()
        clock = time.perf_counter() - begun
        time.sleep(1)
    return [
        ended,
        f"{size:,}",
        f"{clock:.2f}",
        f"{usage.seconds:.2f}",
        f"{usage.seconds * 1e6 / size:,.1f}",
        f"{usage.peak_bytes / 1e6:,.0f}",
        f"{witness.percentile(0.99):.2f}",
        f"{max(witness.waits, default=0):.2f}",
        f"{witness.refusals} of {len(witness.waits)}",
    ]


if __name__ == "__main__":
    main()
