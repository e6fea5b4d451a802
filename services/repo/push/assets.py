"""File contents (assets): counted per repository, and through them their chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from dits.repo.v1.manifest_pb2 import File, Manifest

from services.repo.history.batches import split_batches
from services.repo.history.change_rules import ChangeRules
from services.repo.push.chunk_counts import (
    USE_BYTES,
    ChunkGroups,
    count_chunks,
    count_steps,
    group_chunks,
    wrong_size,
)
from services.repo.push.chunk_lists import ChunkLists
from services.repo.push.mime_types import find_mime_type
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import DomainError, chunks_missing, content_mismatch, regions_missing
from shared.formats.recipes import list_hash
from shared.runtime.weighed_work import do_weighed

Q = sql.load(__file__)

Result = TypeVar("Result")
Other = TypeVar("Other")

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
            content, recipe = file.hash.hex(), list_hash(file)
            before = found.get(content)
            if before is None:
                found[content] = Asset(file, entry.name, lists.count_chunks(file), recipe)
            elif before.recipe != recipe:
                raise _two_recipes(content)
            elif content not in counted:
                before.manifests += 1
            counted.add(content)
    return found


async def record_assets(
    connection: Connection,
    repository_id: UUID,
    manifests: Iterable[Manifest],
    lists: ChunkLists,
    rules: ChangeRules,
    steps: int,
) -> list[Asset]:
    """Counts the contents of new manifests, and the chunks of new contents; returns the new ones.

    Those that are obliterated have no chunks, and are not returned. To look at all entries takes `steps`.

    Raises CHUNKS_MISSING, CONTENT_MISMATCH, REGIONS_MISSING.
    """
    assets = await do_weighed(steps, _collect, manifests, lists)
    hashes, groups = await do_weighed(len(assets), _arrange, assets)
    new: list[Asset] = []
    here: list[Asset] = []
    columns = await do_weighed(len(hashes[:BATCH]), _list_columns, hashes[:BATCH], assets)
    for at in range(0, len(hashes), BATCH):
        batch, following = hashes[at : at + BATCH], hashes[at + BATCH : at + 2 * BATCH]
        insert = Q.bind.insert_assets(repository_id=repository_id, **columns)
        adding = connection.fetchval(*insert)
        if following or here:
            # While PostgreSQL adds some, the service looks after those before them and behind them.
            work = do_weighed(BATCH, _prepare_next, groups, here, lists, following, assets)
            added, columns = await _await_both(adding, work)
        else:
            added = await adding
        known = sorted(set(batch).difference(added))
        await _count(connection, repository_id, known, assets)
        here = [assets[content] for content in added]
        here = [asset for asset in here if asset.file.hash not in rules.files.obliterated]
        new += here
    files = [asset.file for asset in here]
    await do_weighed(count_steps(files, lists), groups.add, files, lists)
    await _reference_groups(connection, repository_id, groups.take_groups(), rules.min_regions)
    return new


async def _await_both(
    statement: Awaitable[Result], work: Coroutine[Any, Any, Other]
) -> tuple[Result, Other]:
    """Returns what a statement and work return; the latter is done meanwhile, and ends in any case."""
    doing = asyncio.create_task(work)
    try:
        found = await statement
    finally:
        done = await doing
    return found, done


def _arrange(assets: Mapping[str, Asset]) -> tuple[list[str], ChunkGroups]:
    """Returns contents in the order in which they are added, and room for their chunks."""
    return sorted(assets), ChunkGroups(sum(asset.chunk_count for asset in assets.values()))


def _prepare_next(
    groups: ChunkGroups,
    added: Iterable[Asset],
    lists: ChunkLists,
    following: Sequence[str],
    assets: Mapping[str, Asset],
) -> dict[str, str]:
    """Groups the chunks of contents that were added; returns the columns of those that follow."""
    groups.add([asset.file for asset in added], lists)
    return _list_columns(following, assets)


def _list_columns(hashes: Sequence[str], assets: Mapping[str, Asset]) -> dict[str, str]:
    rows = [assets[content] for content in hashes]
    return {
        "hashes": ",".join(hashes),
        "sizes": _join(asset.file.size for asset in rows),
        "mime_types": ",".join([find_mime_type(asset.name) for asset in rows]),
        "file_names": "/".join([asset.name for asset in rows]),
        "chunk_counts": _join(asset.chunk_count for asset in rows),
        "ref_counts": _join(asset.manifests for asset in rows),
        "recipe_hashes": ",".join([asset.recipe for asset in rows]),
    }


def _join(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


async def _count(
    connection: Connection,
    repository_id: UUID,
    hashes: Sequence[str],
    assets: Mapping[str, Asset],
) -> None:
    if not hashes:
        return
    counts = _join(assets[content].manifests for content in hashes)
    names = "/".join([assets[content].name for content in hashes])
    rows = await connection.fetch(Q.count_assets, repository_id, ",".join(hashes), counts, names)
    for row in rows:
        if row["recipe_hash"] != assets[row["hash"]].recipe:
            raise _two_recipes(row["hash"])


async def reference_files(
    connection: Connection,
    repository_id: UUID,
    files: Sequence[File],
    lists: ChunkLists,
) -> None:
    """Takes one reference per content on each of its chunks, recipe chunks included.

    Raises CHUNKS_MISSING, CONTENT_MISMATCH.
    """
    groups = await do_weighed(count_steps(files, lists), group_chunks, files, lists)
    await _reference_groups(connection, repository_id, groups)


async def _reference_groups(
    connection: Connection, repository_id: UUID, groups: list[bytearray], min_regions: int = 0
) -> None:
    """Takes the references of grouped chunks.

    Raises CHUNKS_MISSING, CONTENT_MISMATCH; REGIONS_MISSING unless each lies in `min_regions` regions.
    """
    missing: list[str] = []
    near = 0
    while groups:
        group = groups.pop()
        counts, sizes = await do_weighed(len(group) // USE_BYTES, count_chunks, group)
        for batch in split_batches(sorted(counts)):
            hashes = ",".join([chunk.hex() for chunk in batch])
            [row] = await connection.fetch(
                Q.reference_chunks,
                repository_id,
                hashes,
                _join(counts[chunk] for chunk in batch),
                _join(sizes.get(chunk, 0) for chunk in batch),
            )
            missing += row["missing"]
            if row["missized"] and not missing:
                raise wrong_size(row["missized"])
            if min_regions and not missing:
                query = Q.count_below_regions
                near += await connection.fetchval(query, repository_id, hashes, min_regions)
    if missing:
        raise chunks_missing(missing)
    if near:
        raise regions_missing(near, min_regions)


def _two_recipes(content: str) -> DomainError:
    return content_mismatch(
        f"the content {content} is in this repository with another list of chunks",
        expected=content,
    )
