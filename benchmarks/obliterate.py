"""What pushes to a repository wait while a large file of it is obliterated, and given back.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.obliterate [--chunks N] [--seconds N]

A server holds a file of N chunks (100,000) of 4 bytes on a branch. A user uploads one chunk and pushes one
commit to the default branch of the same repository, again and again: alone for some seconds, and then from
the call of ObliterateAsset until the chunks are gone; then, when they are uploaded again, while
LiftObliteration gives them back. Printed are the waits of uploads and pushes together, how long the calls
took, and the longest transaction of the database meanwhile, with its statement.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import Entry, File
from dits.repo.v1.obliteration_service_pb2 import (
    LiftObliterationRequest,
    ListObliterationsRequest,
    ObliterateAssetRequest,
)
from dits.repo.v1.obliteration_service_pb2_grpc import ObliterationServiceStub
from rich.console import Console
from rich.table import Table

from benchmarks.callers import User, commit_of, push_requests, tree_of, upload_chunks
from benchmarks.purge import Pusher, percentile
from benchmarks.server import running
from shared.formats.recipes import encode_list

# Chunks of one message.
BATCH = 2_000
BRANCH = "film"
# A worker of autovacuum is no transaction of ours, and may take its time.
OLDEST = """SELECT extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age, query
            FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend'
              AND pid <> pg_backend_pid()
            ORDER BY xact_start LIMIT 1"""


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.obliterate")
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder,
        running(Path(folder) / "data") as server,
    ):
        user = User(server)
        pusher = Pusher(user)
        pieces = cut_file(arguments.chunks)
        content = push_file(user, pieces)
        before = pusher.watch(lambda: time.sleep(arguments.seconds))
        seconds: list[float] = []
        with Watch(server.dsn) as watch:
            during = pusher.watch(lambda: seconds.extend(obliterate(user, content)))
        upload_file(user, pieces)
        with Watch(server.dsn) as lift_watch:
            lifting = pusher.watch(lambda: seconds.append(lift(user, content)))
    call, total, lifted = seconds
    times = f"call {call:.2f} s, in all {total:.1f} s, lift {lifted:.1f} s"
    table = Table(title=f"{arguments.chunks:,} chunks: {times}")
    for heading in ("", "pushes", "median", "longest", "longest transaction"):
        table.add_column(heading, justify="right")
    for name, waits, oldest in (
        ("before", before, ""),
        ("obliterated", during, f"{watch.oldest:.2f} s"),
        ("lifted", lifting, f"{lift_watch.oldest:.2f} s"),
    ):
        figures = (f"{figure * 1000:.0f} ms" for figure in (percentile(waits, 0.5), max(waits)))
        table.add_row(name, f"{len(waits):,}", *figures, oldest)
    Console().print(table)
    for watched in (watch, lift_watch):
        Console().print(f"{watched.oldest:.2f} s: {watched.query[:120]}", markup=False)


def cut_file(count: int) -> list[bytes]:
    """Returns the chunks of a file."""
    return [number.to_bytes(4, "big") for number in range(count)]


def make_recipes(pieces: Sequence[bytes]) -> dict[bytes, bytes]:
    """Returns the recipes of a file by their hashes, in order."""
    hashes = b"".join(blake3(piece).digest() for piece in pieces)
    return {blake3(r).digest(): r for r in encode_list(hashes, [4] * len(pieces))}


def upload_file(user: User, pieces: Sequence[bytes]) -> None:
    """Uploads the chunks and the recipes of a file."""
    for at in range(0, len(pieces), BATCH):
        part = pieces[at : at + BATCH]
        upload_chunks(user, {blake3(piece).digest(): piece for piece in part})
    upload_chunks(user, make_recipes(pieces))


def push_file(user: User, pieces: Sequence[bytes]) -> bytes:
    """Pushes a file to a branch of its own; returns its hash."""
    upload_file(user, pieces)
    content = blake3(b"".join(pieces)).digest()
    recipes = b"".join(make_recipes(pieces))
    file = File(mode=0o644, hash=content, size=4 * len(pieces), recipe_hashes=recipes)
    tree, manifest = tree_of([Entry(name="film", file=file)])
    head, made = commit_of(tree)
    ended = user.push(push_requests(user.repository, [manifest], [made], head, BRANCH))
    if ended != "OK":
        raise SystemExit(f"the push of the file ended with {ended}")
    return content


def obliterate(user: User, content: bytes) -> tuple[float, float]:
    """Obliterates the file; returns the seconds of the call, and those until its chunks were gone."""
    stub = ObliterationServiceStub(user.channels["repo"])
    request = ObliterateAssetRequest(
        repository=user.repository, revision=BRANCH, path="film", hash=content.hex(), reason="bench"
    )
    began = time.perf_counter()
    stub.ObliterateAsset(request, metadata=user.auth)
    call = time.perf_counter() - began
    listing = ListObliterationsRequest(repository=user.repository)
    while stub.ListObliterations(listing, metadata=user.auth).obliterations[0].is_pending:
        time.sleep(0.1)
    return call, time.perf_counter() - began


def lift(user: User, content: bytes) -> float:
    """Gives the file back; returns the seconds of the call."""
    stub = ObliterationServiceStub(user.channels["repo"])
    request = LiftObliterationRequest(
        repository=user.repository, revision=BRANCH, path="film", hash=content.hex()
    )
    began = time.perf_counter()
    stub.LiftObliteration(request, metadata=user.auth)
    return time.perf_counter() - began


class Watch:
    """Looks all the time how old the oldest transaction of a database is.

    Attributes:
        oldest: the most seconds that one was seen to be.
        query: what it did then.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._done = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._look()))
        self.oldest = 0.0
        self.query = ""

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    async def _look(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            while not self._done.is_set():
                row = await connection.fetchrow(OLDEST)
                if row is not None and row["age"] is not None and row["age"] > self.oldest:
                    self.oldest, self.query = row["age"], row["query"]
                await asyncio.sleep(0.02)
        finally:
            await connection.close()


if __name__ == "__main__":
    main()
