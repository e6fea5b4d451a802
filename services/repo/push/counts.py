"""What lies below the directories of a push: counted bottom-up, before anything walks them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dits.repo.v1.manifest_pb2 import File, Manifest

from shared.errors import batch_too_large, invalid_field
from shared.formats.canonical import HASH_BYTES
from shared.formats.limits import (
    MAX_DEPTH,
    MAX_FILE_CHUNKS,
    MAX_PATH_BYTES,
    MAX_TREE_BYTES,
    MAX_TREE_ENTRIES,
)
from shared.formats.recipes import RECIPE_CHUNKS


@dataclass(frozen=True, slots=True)
class Counts:
    """What lies below a directory, at any depth.

    Attributes:
        entries: files, links and directories.
        size: bytes of the files.
        chunks: of the files.
        depth: directories in one another, this one included.
        path_bytes: length of the longest path, from this directory on.
    """

    entries: int = 0
    size: int = 0
    chunks: int = 0
    depth: int = 1
    path_bytes: int = 0


def count_below(
    manifest: Manifest, known: Mapping[str, Counts], count_chunks: Callable[[File], int]
) -> Counts:
    """Returns the counts of a directory; a sub-directory that is not known counts as empty."""
    entries = len(manifest.entries)
    size = chunks = depth = longest = 0
    for entry in manifest.entries:
        path_bytes = len(entry.name.encode())
        if entry.HasField("file"):
            size += entry.file.size
            chunks += count_chunks(entry.file)
        elif entry.HasField("directory"):
            below = known.get(entry.directory.manifest_hash.hex(), _EMPTY)
            entries += below.entries
            size += below.size
            chunks += below.chunks
            depth = max(depth, below.depth)
            path_bytes += 1 + below.path_bytes
        longest = max(longest, path_bytes)
    return Counts(entries, size, chunks, depth + 1, longest)


_EMPTY = Counts()


def require_bounded(digest: str, counts: Counts) -> None:
    """Raises INVALID_FIELD or BATCH_TOO_LARGE if there is too much below a directory."""
    if counts.path_bytes > MAX_PATH_BYTES:
        text = f"{digest}: a path below it has {counts.path_bytes} bytes, of {MAX_PATH_BYTES}"
        raise invalid_field("manifests", text)
    if counts.depth > MAX_DEPTH:
        text = f"{digest}: {counts.depth} directories in one another, of {MAX_DEPTH}"
        raise invalid_field("manifests", text)
    for field, count, most in (
        ("entries below a manifest", counts.entries, MAX_TREE_ENTRIES),
        ("bytes below a manifest", counts.size, MAX_TREE_BYTES),
        ("chunks below a manifest", counts.chunks, MAX_TREE_BYTES),
    ):
        if count > most:
            raise batch_too_large(field, most, count)


def count_least_chunks(file: File) -> int:
    """Returns how many chunks a file has at least, from its entry alone. Raises BATCH_TOO_LARGE."""
    recipes = len(file.recipe_hashes) // HASH_BYTES
    if not recipes:
        return len(file.chunk_sizes)
    least = (recipes - 1) * RECIPE_CHUNKS + 1
    if least > MAX_FILE_CHUNKS:
        raise batch_too_large("chunks of a file", MAX_FILE_CHUNKS, least)
    return least
