"""Stored manifests: zstd in the database, canonical bytes outside it."""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import cast
from uuid import UUID

import zstandard
from dits.repo.v1.manifest_pb2 import Entry, Manifest

from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.formats.manifests import MAX_MANIFEST_BYTES

Q = sql.load(__file__)

# Manifests, and bytes as they are stored, that one statement reads for a look at some of their entries.
FIND_BATCH = 500
FIND_BYTES = 8 << 20
FIND_SECONDS = 5.0

_LEVEL = 3
_local = threading.local()


def compress_manifest(content: bytes) -> bytes:
    """Returns the form in which a manifest is stored. Safe in any thread."""
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return cast(bytes, _local.compressor.compress(content))


def decompress_manifest(stored: bytes) -> bytes:
    """Returns the canonical bytes of a stored manifest. Safe in any thread."""
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    return cast(bytes, _local.decompressor.decompress(stored, max_output_size=MAX_MANIFEST_BYTES))


async def load_manifests(
    connection: Connection, repository_id: UUID, hashes: Collection[str]
) -> dict[str, tuple[bytes, Manifest]]:
    """Returns canonical bytes and contents of some manifests, by hash; those that exist."""
    rows = await connection.fetch(Q.manifests, repository_id, list(hashes))
    return await asyncio.to_thread(_open_all, rows)


def _open_all(rows: Sequence[Row]) -> dict[str, tuple[bytes, Manifest]]:
    found = {}
    for row in rows:
        content = decompress_manifest(row["content"])
        # It was checked when it was pushed.
        found[row["hash"]] = content, Manifest.FromString(content)
    return found


async def find_entries(
    database: Database, repository_id: UUID, wanted: Mapping[str, Collection[str]]
) -> dict[str, dict[str, Entry]]:
    """Returns entries by name, of some manifests by hash; those that exist.

    Of the manifests, one at a time is in memory, and none is kept.
    """
    found: dict[str, dict[str, Entry]] = {}
    left = sorted(wanted)
    while left:
        batch, left = left[:FIND_BATCH], left[FIND_BATCH:]
        arguments = (repository_id, batch, FIND_BYTES)
        rows = await database.fetch(Q.some_manifests, *arguments, seconds=FIND_SECONDS)
        found |= await asyncio.to_thread(_pick_entries, rows, wanted)
        left = [row["hash"] for row in rows if row["content"] is None] + left
    return found


def _pick_entries(
    rows: Sequence[Row], wanted: Mapping[str, Collection[str]]
) -> dict[str, dict[str, Entry]]:
    found: dict[str, dict[str, Entry]] = {}
    for row in rows:
        if row["content"] is None:
            continue
        entries = Manifest.FromString(decompress_manifest(row["content"])).entries
        picked = found[row["hash"]] = {}
        for name in wanted[row["hash"]]:
            at = bisect_left(entries, name, key=attrgetter("name"))
            if at < len(entries) and entries[at].name == name:
                # A copy: the entry itself would keep the manifest in memory.
                picked[name] = Entry()
                picked[name].CopyFrom(entries[at])
    return found


def child_manifest(entry: Entry | None) -> str | None:
    """Returns the hash of the manifest of a directory; None for anything else."""
    if entry is None or not entry.HasField("directory"):
        return None
    return entry.directory.manifest_hash.hex()


def child_hashes(manifest: Manifest) -> list[str]:
    """Returns the hashes of the manifests of the sub-directories."""
    return [
        entry.directory.manifest_hash.hex()
        for entry in manifest.entries
        if entry.HasField("directory")
    ]
