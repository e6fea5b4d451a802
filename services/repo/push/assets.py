"""File contents (assets): counted per repository, and through them their chunks."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from posixpath import splitext
from uuid import UUID

from dits.repo.v1.manifest_pb2 import File, Manifest

from services.repo.history.batches import split_batches
from services.repo.push.chunk_counts import count_chunks, group_chunks, wrong_size
from services.repo.push.chunk_lists import ChunkLists
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import DomainError, chunks_missing, content_mismatch
from shared.formats.recipes import list_hash

Q = sql.load(__file__)

# Contents that one statement adds or counts.
BATCH = 2_000


@dataclass(slots=True)
class Asset:
    """A file content that the new manifests of a push name.

    Attributes:
        file: the content as one of the manifests names it.
        name: a name of the file.
        chunk_count: chunks, counted as often as they occur.
        recipe: hash of the list of chunks.
        manifests: how many of the new manifests contain it.
    """

    file: File
    name: str
    chunk_count: int
    recipe: str
    manifests: int = 1


def _collect(manifests: Iterable[Manifest], lists: ChunkLists) -> dict[str, Asset]:
    """Returns the contents of new manifests by hash, each with the number of manifests that have it."""
    found: dict[str, Asset] = {}
    for manifest in manifests:
        counted: set[str] = set()
        for entry in manifest.entries:
            if not entry.HasField("file"):
                continue
            file = entry.file
            asset = Asset(file, entry.name, lists.count_chunks(file), list_hash(file))
            content = file.hash.hex()
            before = found.setdefault(content, asset)
            if before.recipe != asset.recipe:
                raise _two_recipes(content)
            if before is not asset and content not in counted:
                before.manifests += 1
            counted.add(content)
    return found


async def record_assets(
    connection: Connection, repository_id: UUID, manifests: Iterable[Manifest], lists: ChunkLists
) -> list[Asset]:
    """Counts the contents of new manifests, and the chunks of new contents; returns the new ones.

    Raises CHUNKS_MISSING, CONTENT_MISMATCH.
    """
    assets = await asyncio.to_thread(_collect, manifests, lists)
    new: list[Asset] = []
    for batch in split_batches(await asyncio.to_thread(sorted, assets), BATCH):
        added = {row["hash"] for row in await _insert(connection, repository_id, batch, assets)}
        known = [content for content in batch if content not in added]
        await _count(connection, repository_id, known, assets)
        new += [assets[content] for content in batch if content in added]
    await _reference(connection, repository_id, new, lists)
    return new


async def _insert(
    connection: Connection,
    repository_id: UUID,
    hashes: Sequence[str],
    assets: Mapping[str, Asset],
) -> list[Row]:
    rows = [assets[content] for content in hashes]
    return await connection.fetch(
        *Q.bind.insert_assets(
            repository_id=repository_id,
            hashes=hashes,
            sizes=[asset.file.size for asset in rows],
            mime_types=[_mime_type(asset.name) for asset in rows],
            file_names=[asset.name for asset in rows],
            chunk_counts=[asset.chunk_count for asset in rows],
            ref_counts=[asset.manifests for asset in rows],
            recipe_hashes=[asset.recipe for asset in rows],
        )
    )


def _mime_type(name: str) -> str | None:
    """Returns the type by the ending, or by two if the last only says how it is packed: `.tar.gz`."""
    ending = splitext(name)[1]
    if ending in mimetypes.encodings_map:
        return mimetypes.guess_type(name)[0]
    return _type_of_ending(ending)


@lru_cache(maxsize=1000)
def _type_of_ending(ending: str) -> str | None:
    return mimetypes.guess_type(f"a{ending}")[0]


async def _count(
    connection: Connection,
    repository_id: UUID,
    hashes: Sequence[str],
    assets: Mapping[str, Asset],
) -> None:
    if not hashes:
        return
    counts = [assets[content].manifests for content in hashes]
    names = [assets[content].name for content in hashes]
    rows = await connection.fetch(Q.count_assets, repository_id, hashes, counts, names)
    for row in rows:
        if row["recipe_hash"] != assets[row["hash"]].recipe:
            raise _two_recipes(row["hash"])


async def _reference(
    connection: Connection, repository_id: UUID, new: Sequence[Asset], lists: ChunkLists
) -> None:
    """Takes one reference per new content on each of its chunks, recipe chunks included."""
    groups = await asyncio.to_thread(group_chunks, [asset.file for asset in new], lists)
    missing: list[str] = []
    while groups:
        counts, sizes = await asyncio.to_thread(count_chunks, groups.pop())
        for batch in split_batches(sorted(counts)):
            taken = [counts[chunk] for chunk in batch]
            hashes = [chunk.hex() for chunk in batch]
            missing += await connection.fetchval(Q.reference_chunks, repository_id, hashes, taken)
        if missing:
            continue
        for batch in split_batches(sorted(sizes)):
            claimed = [sizes[chunk] for chunk in batch]
            hashes = [chunk.hex() for chunk in batch]
            wrong = await connection.fetchval(
                Q.chunks_of_other_size, repository_id, hashes, claimed
            )
            if wrong:
                raise wrong_size(wrong)
    if missing:
        raise chunks_missing(missing)


def _two_recipes(content: str) -> DomainError:
    return content_mismatch(
        f"the content {content} is in this repository with another list of chunks",
        expected=content,
    )
