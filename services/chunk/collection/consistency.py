"""The counters of chunks and packs, held against their definitions; and their repair."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from uuid import UUID

from services.chunk.catalog.extents import Extents
from services.chunk.collection.good_copies import GoodCopies
from services.chunk.packs.content import ChunkOpener
from services.chunk.packs.live_counts import recount_packs
from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.pool import Connection, Database, Databases
from shared.errors import dependency_unavailable
from shared.formats.canonical import split_hashes
from shared.formats.recipes import decode_recipe

Q = sql.load(__file__)

_PREFETCH = 5_000


@dataclass(slots=True)
class CatalogFaults:
    """What is wrong with the catalog.

    Attributes:
        chunks, packs: those whose counters are wrong, and a sentence for each.
        queued: packs whose objects wait for their deletion.
        misplaced: sentences about copies that are not where they should be. Compaction and the check of
            placement mend some of them.
        lost_count: chunks without a good copy. They are known, and no fault of the catalog.
    """

    chunks: dict[str, str] = field(default_factory=dict)
    packs: dict[str, str] = field(default_factory=dict)
    queued: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    lost_count: int = 0

    def sentences(self) -> list[str]:
        """Returns a sentence for each fault."""
        queued = [f"pack {key}: its object waits for deletion" for key in self.queued]
        return [*self.chunks.values(), *self.packs.values(), *queued]


async def check_catalog(connection: Connection) -> CatalogFaults:
    """Returns what is wrong with the counters of chunks and packs, and with the queue; in a transaction."""
    await connection.execute(Q.join_rows, "off")
    faults = CatalogFaults()
    for row in await connection.fetch(Q.miscounted_chunks):
        faults.chunks[row["hash"]] = (
            f"chunk {row['hash']}: ref_count is {row['ref_count']}, and {row['count']} repositories hold it"
        )
    for row in await connection.fetch(Q.miscounted_packs):
        faults.packs[row["key"]] = (
            f"pack {row['key']}: live is {row['live']}, and {row['count']} rows name it"
        )
    for row in await connection.fetch(Q.misplaced_copies):
        what = "a second copy" if row["is_double"] else "a pack of another region"
        faults.misplaced.append(f"chunk {row['hash']}: region {row['region']} has {what}")
    for row in await connection.fetch(Q.too_cold_chunks):
        faults.misplaced.append(
            f"chunk {row['hash']}: its class is {row['class']}, and its place, or who has it, says another"
        )
    for row in await connection.fetch(Q.unplaced_chunks):
        faults.misplaced.append(
            f"repository {row['repo_id']}: {row['count']:,} chunks are not in region {row['region']}, and "
            "not queued for it"
        )
    faults.queued = [row["key"] for row in await connection.fetch(Q.queued_packs)]
    faults.lost_count = await connection.fetchval(Q.lost_chunks)
    await connection.execute(Q.join_rows, "on")
    return faults


async def check_references(
    connection: Connection, repository_id: UUID, expected: Mapping[bytes, int]
) -> AsyncIterator[str]:
    """Yields a sentence for each chunk that a repository refers to more or less often than `expected`."""
    left = dict(expected)
    rows = connection.cursor(Q.references_of_repository, repository_id, prefetch=_PREFETCH)
    async for row in rows:
        count = left.pop(row["digest"], 0)
        if row["ref_count"] != count:
            yield (
                f"chunk {row['digest'].hex()} of repository {repository_id}: ref_count is "
                f"{row['ref_count']}, and {count} contents have it"
            )
    for digest, count in left.items():
        yield (
            f"chunk {digest.hex()} of repository {repository_id}: {count} contents have it, and there is "
            "no reference"
        )


async def repair_catalog(
    database: Database, faults: CatalogFaults, grace: timedelta, reader_grace: timedelta
) -> None:
    """Counts again what was counted wrongly, and takes packs out of the queue."""
    await database.transaction(
        partial(_repair, faults=faults, grace=grace, reader_grace=reader_grace)
    )


async def _repair(
    connection: Connection, faults: CatalogFaults, grace: timedelta, reader_grace: timedelta
) -> None:
    chunks, packs = list(faults.chunks), list(faults.packs)
    await connection.execute(Q.hold_chunks, chunks, packs)
    await connection.execute(Q.recount_chunks, chunks, grace)
    await recount_packs(connection, packs, reader_grace)
    await connection.execute(Q.unqueue_packs, faults.queued)


async def read_contents(
    database: Database,
    stores: Mapping[str, BlobStore],
    repository_id: UUID,
    digests: Iterable[bytes],
) -> dict[bytes, bytes]:
    """Returns the bytes of those chunks that a repository has, from any region where they are intact.

    Raises DEPENDENCY_UNAVAILABLE if one may be intact in a store that is away.
    """
    held = await Extents(Databases(database)).locate_chunks(repository_id, digests)
    copies, opener = GoodCopies(database, stores), ChunkOpener()
    contents: dict[bytes, bytes] = {}
    async with aclosing(copies.read_chunks(held.keys())) as groups:
        async for good in groups:
            contents |= {chunk.digest: bytes(opener.open_chunk(chunk)) for chunk in good}
    if copies.absent:
        raise dependency_unavailable("object store")
    return contents


async def count_released(
    connection: Connection,
    repository_id: UUID,
    read_recipes: Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, bytes]]],
    counts: dict[bytes, int],
) -> None:
    """Adds to `counts` the chunks of large files that are gone, and whose chunks are yet to be released."""
    for row in await connection.fetch(Q.released_lists, repository_id):
        recipes = set(split_hashes(row["recipe_hashes"]))
        chunks: set[bytes] = set()
        for content in (await read_recipes(sorted(recipes))).values():
            chunks.update(split_hashes(decode_recipe(content).chunk_hashes))
        last = max(chunks, default=b"") if row["taken_to"] is None else row["taken_to"]
        for chunk in recipes | {chunk for chunk in chunks if row["released_to"] < chunk <= last}:
            counts[chunk] = counts.get(chunk, 0) + 1
