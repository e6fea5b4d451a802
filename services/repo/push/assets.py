"""File contents: counted per repository, and through them their chunks."""

from __future__ import annotations

import asyncio
import mimetypes
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from posixpath import splitext
from typing import TypeVar
from uuid import UUID

from dits.repo.v1.manifest_pb2 import File, Manifest

from services.repo.push.chunk_lists import ChunkLists
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import DomainError, chunks_missing, content_mismatch, contention
from shared.formats.canonical import split_hashes
from shared.formats.recipes import list_hash

Q = sql.load(__file__)

# At most so many rows change in one statement.
BATCH = 10_000

Item = TypeVar("Item")


@dataclass(slots=True)
class Asset:
    """A file content that the new manifests of a push name."""

    file: File
    name: str
    chunk_count: int
    recipe: str
    manifests: int = 1


def collect(manifests: Iterable[Manifest], lists: ChunkLists) -> dict[str, Asset]:
    """The contents of new manifests, each with the number of those that contain it. For a thread."""
    found: dict[str, Asset] = {}
    for manifest in manifests:
        counted: set[str] = set()
        for entry in manifest.entries:
            if not entry.HasField("file"):
                continue
            file = entry.file
            asset = Asset(file, entry.name, lists.count(file), list_hash(file))
            name = file.hash.hex()
            before = found.setdefault(name, asset)
            if before.recipe != asset.recipe:
                raise _two_recipes(name)
            if before is not asset and name not in counted:
                before.manifests += 1
            counted.add(name)
    return found


async def record(
    connection: Connection, repo_id: UUID, assets: Mapping[str, Asset], lists: ChunkLists
) -> list[str]:
    """Counts the contents, and the chunks of those that are new; returns the names of the new."""
    new: set[str] = set()
    for batch in _batches(sorted(assets)):
        added = {row["hash"] for row in await _insert(connection, repo_id, batch, assets)}
        await _count(connection, repo_id, [name for name in batch if name not in added], assets)
        new |= added
    await _reference(connection, repo_id, [assets[name].file for name in sorted(new)], lists)
    return sorted(new)


async def _insert(
    connection: Connection, repo_id: UUID, names: Sequence[str], assets: Mapping[str, Asset]
) -> list[Row]:
    rows = [assets[name] for name in names]
    return await connection.fetch(
        *Q.bind.insert_assets(
            repository_id=repo_id,
            hashes=names,
            sizes=[asset.file.size for asset in rows],
            mime_types=[_mime_type(asset.name) for asset in rows],
            file_names=[asset.name for asset in rows],
            chunk_counts=[asset.chunk_count for asset in rows],
            ref_counts=[asset.manifests for asset in rows],
            recipe_hashes=[asset.recipe for asset in rows],
        )
    )


def _mime_type(name: str) -> str | None:
    """By the ending, or by two if the last only says how it is packed: `.tar.gz`."""
    ending = splitext(name)[1]
    if ending in mimetypes.encodings_map:
        return mimetypes.guess_type(name)[0]
    return _type_of_ending(ending)


@lru_cache(maxsize=1000)
def _type_of_ending(ending: str) -> str | None:
    return mimetypes.guess_type(f"a{ending}")[0]


async def _count(
    connection: Connection, repo_id: UUID, names: Sequence[str], assets: Mapping[str, Asset]
) -> None:
    if not names:
        return
    counts = [assets[name].manifests for name in names]
    labels = [assets[name].name for name in names]
    rows = await connection.fetch(Q.count_assets, repo_id, names, counts, labels)
    for row in rows:
        if row["recipe_hash"] != assets[row["hash"]].recipe:
            raise _two_recipes(row["hash"])


async def _reference(
    connection: Connection, repo_id: UUID, files: Sequence[File], lists: ChunkLists
) -> None:
    """Takes one reference per new content on each of its chunks, recipe chunks included."""
    counts, sizes = await asyncio.to_thread(_chunks, files, lists)
    missing: list[str] = []
    for batch in _batches(sorted(counts)):
        taken = [counts[chunk] for chunk in batch]
        hashes = [chunk.hex() for chunk in batch]
        missing += await connection.fetchval(Q.reference_chunks, repo_id, hashes, taken)
    if missing:
        raise chunks_missing(missing)
    for batch in _batches(sorted(sizes)):
        claimed = [sizes[chunk] for chunk in batch]
        hashes = [chunk.hex() for chunk in batch]
        wrong = await connection.fetchval(Q.chunks_of_other_size, repo_id, hashes, claimed)
        if wrong:
            raise _wrong_size(wrong)


def _chunks(files: Sequence[File], lists: ChunkLists) -> tuple[Counter[bytes], dict[bytes, int]]:
    """How many of the contents name each chunk, and the sizes that they claim."""
    counts: Counter[bytes] = Counter()
    sizes: dict[bytes, int] = {}
    for file in files:
        found = lists.get(file)
        if found is None:
            raise contention("a content of the push was deleted meanwhile")
        chunks = split_hashes(found.hashes)
        counts.update({*chunks, *split_hashes(file.recipe_hashes)})
        for chunk, size in zip(chunks, found.sizes, strict=True):
            if sizes.setdefault(chunk, size) != size:
                raise _wrong_size([chunk.hex()])
    return counts, sizes


def _two_recipes(name: str) -> DomainError:
    return content_mismatch(
        f"the content {name} is in this repository with another list of chunks", expected=name
    )


def _wrong_size(chunks: Sequence[str]) -> DomainError:
    return content_mismatch(
        f"{len(chunks)} chunk(s) do not have the size that a file claims, {chunks[0]} for one",
        expected=chunks[0],
    )


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[at : at + BATCH] for at in range(0, len(items), BATCH))
