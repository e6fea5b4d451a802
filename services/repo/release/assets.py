"""The release of file contents whose directories go, and of their chunks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from dits.repo.v1.manifest_pb2 import File, Manifest

from services.repo.history.batches import split_batches
from shared.db import sql
from shared.db.pool import Connection
from shared.formats.canonical import split_hashes

Q = sql.load(__file__)

# Contents that one statement releases.
BATCH = 2_000


@dataclass(slots=True)
class Contents:
    """The file contents of some directories.

    Attributes:
        names: hashes of the contents of each directory.
        files: each content as one of the directories has it.
    """

    names: dict[str, set[str]] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)

    def count(self, directories: Iterable[str]) -> Counter[str]:
        """Returns how many of some directories have each content."""
        counts: Counter[str] = Counter()
        for directory in directories:
            counts.update(self.names[directory])
        return counts


def list_contents(manifests: Mapping[str, Manifest]) -> Contents:
    """Returns the file contents of some directories. Takes a while if they are large."""
    contents = Contents()
    for directory, manifest in manifests.items():
        files = {e.file.hash.hex(): e.file for e in manifest.entries if e.HasField("file")}
        contents.names[directory] = set(files)
        contents.files |= files
    return contents


async def release_contents(
    connection: Connection, repository_id: UUID, counts: Mapping[str, int], contents: Contents
) -> None:
    """Counts that fewer directories have some contents; those that none has go, with their chunks.

    Those that are obliterated have no chunks, and are no part of the repository's bytes. The repository is
    locked.
    """
    gone: list[str] = []
    count = size = 0
    for batch in split_batches(sorted(counts), BATCH):
        fewer = [counts[content] for content in batch]
        rows = await connection.fetch(Q.release_assets, repository_id, batch, fewer)
        count += len(rows)
        rows = [row for row in rows if not row["is_obliterated"]]
        gone += [row["hash"] for row in rows]
        size += sum(row["size"] for row in rows)
    chunks = await asyncio.to_thread(_count_chunks, [contents.files[content] for content in gone])
    for some in split_batches(sorted(chunks)):
        numbers = [chunks[chunk] for chunk in some]
        hashes = [chunk.hex() for chunk in some]
        await connection.execute(Q.release_chunks, repository_id, hashes, numbers)
    lists = [contents.files[content].recipe_hashes for content in gone]
    await connection.execute(Q.release_lists, repository_id, list(filter(None, lists)))
    if count:
        await connection.execute(Q.count_released, repository_id, count, size)


def _count_chunks(files: Sequence[File]) -> Counter[bytes]:
    """Returns how many contents have each chunk, those of large files, which stand in recipes, left out."""
    counts: Counter[bytes] = Counter()
    for file in files:
        counts.update(set(split_hashes(file.chunk_hashes)))
    return counts
