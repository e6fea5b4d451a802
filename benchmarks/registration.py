"""How fast the chunks of an uploaded pack are registered, beside plain INSERTs of the same rows.

    BENCH_DIR=/a/folder/on/a/disk python -m benchmarks.registration [--chunks N] [--rounds N]

A repository gets so many chunks that commits name. In each round 10,000 new chunks are registered, in
turns: by two INSERTs in one transaction, of chunks and of references, and by the transaction that
finalizes a pack (steps U1 to U7 in docs/chunks.md) with its row announced before.
The bytes of the pack are not written.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
import uuid
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.callers import User
from benchmarks.find_missing import fill_chunks
from benchmarks.server import running
from services.chunk.catalog.presence import Presence
from services.chunk.packs.content import Chunk
from services.chunk.packs.pack import Pack
from services.chunk.packs.pack_finalization import PackFinalization
from services.chunk.stores.local_store import LocalStore
from shared.db.pool import Connection, Database, Databases

COUNT = 10_000
SIZE = 65_536
OPEN_PACK = "INSERT INTO packs (key, bucket, region, state) VALUES ($1, 'local', 'local', 'open')"
INSERT_CHUNKS = """
    INSERT INTO chunks (hash, size, compression, storage_bucket, storage_key, ref_count)
    SELECT h, $3::int, 'none', 'local', $1::text || '@' || (n - 1) * $3 || '+' || $3, 1
    FROM unnest($2::text[]) WITH ORDINALITY AS d (h, n)
"""
INSERT_REFERENCES = """
    INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size)
    SELECT $1, h, $3::int FROM unnest($2::text[]) h
"""


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.registration")
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder,
        running(Path(folder) / "data") as server,
    ):
        repository_id = uuid.UUID(User(server).repository)
        table = asyncio.run(
            _run(server.dsn, repository_id, Path(folder), arguments.chunks, arguments.rounds)
        )
    Console().print(table)


async def _run(dsn: str, repository_id: uuid.UUID, folder: Path, chunks: int, rounds: int) -> Table:
    database = await Database.connect(dsn, service="bench", size=2)
    await fill_chunks(database, repository_id, chunks)
    table = await measure(database, repository_id, folder, rounds)
    await database.close()
    return table


async def measure(database: Database, repository_id: uuid.UUID, folder: Path, rounds: int) -> Table:
    """Registers chunks both ways in turns; returns the rates."""
    plain = list[float]()
    finalized = list[float]()
    for _ in range(rounds):
        plain.append(await _insert(database, repository_id))
        finalized.append(await _finalize(database, repository_id, folder))
    table = Table(f"{COUNT:,} chunks a transaction", "chunks/s", "to the INSERTs")
    for name, rates in (("two INSERTs", plain), ("a pack is finalized", finalized)):
        rate = statistics.median(rates)
        table.add_row(name, f"{rate:,.0f}", f"{rate / statistics.median(plain):.2f}")
    return table


async def _insert(database: Database, repository_id: uuid.UUID) -> float:
    key = await _open_pack(database)
    hashes = sorted(digest.hex() for digest in _make_digests())

    async def work(connection: Connection) -> None:
        await connection.execute(INSERT_CHUNKS, key, hashes, SIZE)
        await connection.execute(INSERT_REFERENCES, repository_id, hashes, SIZE)
        await connection.execute(
            "UPDATE packs SET state = 'sealed', live = $2, bytes = 1 WHERE key = $1", key, COUNT
        )

    begun = time.perf_counter()
    await database.transaction(work)
    return COUNT / (time.perf_counter() - begun)


async def _finalize(database: Database, repository_id: uuid.UUID, folder: Path) -> float:
    store = LocalStore(folder / "store", bucket="local", region="local")
    key = await _open_pack(database)
    pack = Pack(key, database, store, store.open_writer(key))
    pack.add_entries(Chunk(digest, SIZE, "none", b"x" * 8, "") for digest in _make_digests())
    begun = time.perf_counter()
    finalization = PackFinalization(
        pack,
        repository_id,
        store,
        Presence(Databases(database), timedelta(days=1)),
        timedelta(days=1),
    )
    stored = await database.transaction(finalization.apply_steps)
    rate = COUNT / (time.perf_counter() - begun)
    if stored.chunk_count != COUNT:
        raise SystemExit(f"{stored.chunk_count} of {COUNT} chunks were new")
    return rate


async def _open_pack(database: Database) -> str:
    key = f"0/{uuid.uuid4().hex}"
    await database.fetch(OPEN_PACK, key)
    return key


def _make_digests() -> list[bytes]:
    data = os.urandom(32 * COUNT)
    return [data[at : at + 32] for at in range(0, len(data), 32)]


if __name__ == "__main__":
    main()
