"""Stored manifests: zstd in the database, canonical bytes outside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection
from typing import cast
from uuid import UUID

import zstandard
from dits.repo.v1.manifest_pb2 import Manifest

from shared.db import sql
from shared.db.pool import Connection
from shared.formats.manifests import MAX_MANIFEST_BYTES

Q = sql.load(__file__)

_LEVEL = 3
_local = threading.local()


def compress(content: bytes) -> bytes:
    """The form in which a manifest is stored. Safe in any thread."""
    if not hasattr(_local, "compressor"):
        _local.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return cast(bytes, _local.compressor.compress(content))


def decompress(stored: bytes) -> bytes:
    """The canonical bytes of a stored manifest. Safe in any thread."""
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    return cast(bytes, _local.decompressor.decompress(stored, max_output_size=MAX_MANIFEST_BYTES))


def parse(stored: bytes) -> Manifest:
    """The manifest; it was checked when it was pushed."""
    return Manifest.FromString(decompress(stored))


async def load(
    connection: Connection, repo_id: UUID, names: Collection[str]
) -> dict[str, tuple[bytes, Manifest]]:
    """Canonical bytes and contents of some manifests, by name; those that exist."""
    rows = await connection.fetch(Q.manifests, repo_id, list(names))

    def opened() -> dict[str, tuple[bytes, Manifest]]:
        found = {}
        for row in rows:
            content = decompress(row["content"])
            found[row["hash"]] = content, Manifest.FromString(content)
        return found

    return await asyncio.to_thread(opened)


def children(manifest: Manifest) -> list[str]:
    """Names of the manifests of the sub-directories."""
    return [
        entry.directory.manifest_hash.hex()
        for entry in manifest.entries
        if entry.HasField("directory")
    ]
