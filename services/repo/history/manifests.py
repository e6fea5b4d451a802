"""Stored manifests: zstd in the database, canonical bytes outside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Sequence
from typing import cast
from uuid import UUID

import zstandard
from dits.repo.v1.manifest_pb2 import Manifest

from shared.db import sql
from shared.db.pool import Connection, Row
from shared.formats.manifests import MAX_MANIFEST_BYTES

Q = sql.load(__file__)

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


def child_hashes(manifest: Manifest) -> list[str]:
    """Returns the hashes of the manifests of the sub-directories."""
    return [
        entry.directory.manifest_hash.hex()
        for entry in manifest.entries
        if entry.HasField("directory")
    ]
