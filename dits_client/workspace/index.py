"""The index: the stat of every file of the folder at the time when it was last read.

A file whose times, size, inode and mode are unchanged is not read again. The index is a cache: if it is
missing, damaged or of another version, an empty one takes its place.

Layout: magic, BLAKE3 hash and length of the head, the head, the objects' bytes. In memory and in the file,
a directory is two strings: the names of its entries and their stats, each one after the other. To load and
compare it costs a few calls for each directory, not for each file.
"""

import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import starmap
from operator import attrgetter
from pathlib import Path
from typing import Self

from blake3 import blake3

from dits_client.disk.directory import FileStat
from dits_client.disk.disks import get_disk
from dits_client.disk.reading import HeldFile
from dits_client.workspace.objects import MANIFEST, RECIPE, Extent, Objects

_MAGIC = b"ditsidx1"
_START = struct.Struct("<8s32sQ")
_COUNTS = struct.Struct("<II")
_DIRECTORY = struct.Struct("<32sIII")
# Times before 1970 are negative.
_STAT = struct.Struct("<qqQQI")
_OBJECT = struct.Struct("<32sBQI")

STAT_BYTES = _STAT.size
_get_fields = attrgetter("st_mtime_ns", "st_ctime_ns", "st_ino", "st_size", "st_mode")
# Of an entry that must be read again; no file has it.
UNKNOWN_STAT = bytes(STAT_BYTES)
# Of every directory: its entries tell whether it was changed.
DIRECTORY_STAT = _STAT.pack(0, 0, 0, 0, stat.S_IFDIR)
# Of what the commit has and the folder does not include: the commit's entry counts.
OUTSIDE_STAT = _STAT.pack(0, 0, 0, 0, 0xFFFF)


def pack_stat(found: FileStat) -> bytes:
    """Return the stat of a file as the index stores it: times, inode, size and mode."""
    return _STAT.pack(*_get_fields(found))


def pack_stats(found: Iterable[FileStat]) -> list[bytes]:
    """Return the stats of files as the index stores them; in half the time of single calls."""
    return list(starmap(_STAT.pack, map(_get_fields, found)))


def unpack_size_and_mode(found: bytes) -> tuple[int, int]:
    """Return size and mode from a stat."""
    _, _, _, size, mode = _STAT.unpack(found)
    return size, mode


@dataclass(slots=True)
class DirectoryRecord:
    """A directory: the hash of its manifest; its entries' names, joined with NUL, and their stats."""

    manifest: bytes
    names: str
    stats: bytes

    def iterate_entries(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and stat of each entry."""
        for at, name in enumerate(self.names.split("\0") if self.names else ()):
            yield name, self.stats[at * STAT_BYTES : (at + 1) * STAT_BYTES]


@dataclass(slots=True)
class Index:
    """The records of all directories by path (the top one is ""), and the objects they name."""

    records: dict[str, DirectoryRecord] = field(default_factory=dict)
    objects: Objects = field(default_factory=Objects)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the index of a file; an empty one if the file is absent, damaged or of another version."""
        try:
            file = HeldFile(path)
        except OSError:
            return cls()
        try:
            return cls(*_decode_file(file))
        except (OSError, ValueError, struct.error):
            file.close()
            return cls()

    def map_files(self) -> dict[bytes, tuple[bytes, str]]:
        """Return the manifest and the name that files have, by their stats, if these tell them apart."""
        if not get_disk().has_inodes:
            return {}
        return {
            known: (record.manifest, name)
            for record in self.records.values()
            for name, known in record.iterate_entries()
            if known not in (UNKNOWN_STAT, DIRECTORY_STAT)
        }

    def save(self, path: Path, keep: Iterable[bytes] = (), *, recipes: bool) -> None:
        """Replace the file: the records, their manifests and those in `keep`, and the recipes on demand.

        It is not synchronised to the disk: after a crash, a damaged file is recognised by its hash.
        """
        names = {record.manifest for record in self.records.values()}.union(keep)
        wanted = dict.fromkeys(names, MANIFEST)
        if recipes:
            wanted |= dict.fromkeys(self.objects.list_recipes(), RECIPE)
        objects = []
        for name, kind in sorted(wanted.items()):
            content = self.objects.get(name)
            if content is not None:
                objects.append((name, kind, content))
        temporary = path.with_name(f"{path.name}.new")
        with temporary.open("wb") as file:
            head = _encode_head(
                self.records, [(name, kind, len(body)) for name, kind, body in objects]
            )
            file.write(_START.pack(_MAGIC, blake3(head).digest(), len(head)) + head)
            file.writelines(body for _, _, body in objects)
        get_disk().replace(temporary, path)

    def close(self) -> None:
        """Close the file."""
        self.objects.close()


def _encode_head(
    records: dict[str, DirectoryRecord], objects: list[tuple[bytes, int, int]]
) -> bytes:
    directories: list[bytes] = []
    strings: list[bytes] = []
    for path, record in records.items():
        place, names = path.encode(), record.names.encode()
        count = len(record.stats) // STAT_BYTES
        directories.append(_DIRECTORY.pack(record.manifest, len(place), len(names), count))
        strings += (place, names, record.stats)
    extents, offset = [], 0
    for name, kind, length in objects:
        extents.append(_OBJECT.pack(name, kind, offset, length))
        offset += length
    counts = _COUNTS.pack(len(directories), len(extents))
    return b"".join((counts, *directories, *extents, *strings))


def _decode_file(file: HeldFile) -> tuple[dict[str, DirectoryRecord], Objects]:
    start = file.read_at(_START.size, 0)
    magic, head_hash, length = _START.unpack(start)
    if magic != _MAGIC or length > file.size:
        raise ValueError("not an index of this version")
    head = file.read_at(length, _START.size)
    if len(head) != length or blake3(head).digest() != head_hash:
        raise ValueError("the index is damaged")
    directories, objects = _COUNTS.unpack_from(head)
    view = memoryview(head)
    table = _COUNTS.size + directories * _DIRECTORY.size
    at = table + objects * _OBJECT.size
    records = {}
    for manifest, place, names, count in _DIRECTORY.iter_unpack(view[_COUNTS.size : table]):
        middle, last = at + place, at + place + names
        path, joined = head[at:middle].decode(), head[middle:last].decode()
        at = last + count * STAT_BYTES
        records[path] = DirectoryRecord(manifest, joined, head[last:at])
    base = _START.size + length
    extents = {
        name: Extent(kind, base + offset, size)
        for name, kind, offset, size in _OBJECT.iter_unpack(
            view[table : table + objects * _OBJECT.size]
        )
    }
    return records, Objects(file, extents)
