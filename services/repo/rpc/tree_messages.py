"""Entries of trees in the messages of TreeService."""

from __future__ import annotations

from dits.repo.v1 import tree_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Entry

from services.repo.history.directories import Totals


def describe_entry(entry: Entry, totals: Totals) -> pb.DirectoryEntry:
    """Returns an entry as shown to people."""
    if entry.HasField("file"):
        file = entry.file
        digest = file.hash.hex()
        return pb.DirectoryEntry(
            name=entry.name,
            kind=pb.ENTRY_KIND_FILE,
            size=file.size,
            mode=file.mode,
            hash=digest,
            chunk_count=totals.chunk_counts.get(digest, len(file.chunk_sizes)),
            obliteration_reason=totals.obliterated.get(digest, ""),
        )
    if entry.HasField("directory"):
        digest = entry.directory.manifest_hash.hex()
        return pb.DirectoryEntry(
            name=entry.name,
            kind=pb.ENTRY_KIND_DIRECTORY,
            size=totals.sizes[digest],
            hash=digest,
            chunk_count=totals.chunk_counts[digest],
        )
    return pb.DirectoryEntry(
        name=entry.name, kind=pb.ENTRY_KIND_SYMLINK, target=entry.symlink.target
    )


def measure_entry(found: tuple[str, Entry]) -> int:
    """Returns at least how many bytes a path and its entry, as shown to people, take in a message."""
    path, entry = found
    return 200 + 2 * len(path.encode()) + len(entry.symlink.target.encode())
