"""The names, kinds and stats of what is in the folder; no file is opened."""

import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dits_client.errors import ClientError, os_error
from dits_client.workspace.ignore import IgnoreRules, read_rules
from dits_client.workspace.index import DIRECTORY_STAT, DirectoryRecord, pack_stat
from dits_client.workspace.tracked import NOTHING_TRACKED, TrackedPaths
from dits_client.workspace.unusable import UnusableError, same_name_error, to_stored_name
from shared.formats import limits

# The client's own directory. A tree never contains it, at any depth and in any case of its letters: the
# client would take it for the state of a folder.
OWN_DIRECTORY = ".dits"
# A file that a checkout is writing; a killed checkout leaves some behind.
_PARTIAL = re.compile(r"\.dits-[0-9a-f]{16}\.part")

# Seconds before each further look at a tracked file that has vanished: programs save a file by renaming it
# away and another one into its place.
LOOKS = (0.1, 0.4, 1.5)
# The most paths that one message names.
MOST_NAMED = 20


def make_partial_name() -> str:
    """Return a new name for a file that a checkout is writing."""
    return f".dits-{secrets.token_hex(8)}.part"


@dataclass(slots=True, eq=False)
class LocalDirectory:
    """A directory on the disk; its entries and their stats are sorted by name."""

    # Relative to the top directory, in NFC; empty = the top directory.
    path: str
    # The path for the operating system.
    os_path: str
    names: list[str] = field(default_factory=list)
    stats: list[bytes] = field(default_factory=list)
    directories: dict[str, "LocalDirectory"] = field(default_factory=dict)
    # The names on the disk of entries whose names there are not in NFC.
    disk_names: dict[str, str] = field(default_factory=dict)
    # Only in the top directory: paths, at any depth, of files that a checkout did not finish.
    partial_files: list[str] = field(default_factory=list)
    # Only in the top directory: a sentence for each name, at any depth, that cannot be stored.
    unusable: list[str] = field(default_factory=list)
    # An ignore pattern matches the directory: only what is tracked belongs to it.
    is_ignored: bool = False

    def join_path(self, name: str) -> str:
        """Return the path of an entry."""
        return f"{self.path}/{name}" if self.path else name

    def join_os_path(self, name: str) -> str:
        """Return the path of an entry for the operating system."""
        return f"{self.os_path}/{self.disk_names.get(name, name)}"

    def matches(self, record: DirectoryRecord | None) -> bool:
        """Return whether names and stats are those of the record; sub-directories are not compared."""
        return (
            record is not None
            and record.names == "\0".join(self.names)
            and record.stats == b"".join(self.stats)
        )


def scan_directory(
    root: Path,
    warn: Callable[[str], None] = lambda _: None,
    tracked: TrackedPaths = NOTHING_TRACKED,
) -> list[LocalDirectory]:
    """Return the top directory and all below it, parents first; directories without files are left out.

    What is ignored and not tracked is left out, and what has a name that cannot be stored. `warn` gets a
    sentence for each entry that is not a file, directory or link: these are skipped. Raises ClientError for
    a directory that cannot be read, and for a tracked file that vanishes.
    """
    scanner = _Scanner(read_rules(root), warn, tracked)
    top = LocalDirectory("", str(root))
    directories = [top]
    # The list grows while it is walked.
    for directory in directories:
        directories += scanner.read_directory(directory)
    kept = []
    for directory in reversed(directories):
        _sort_entries(directory)
        if directory.names or directory is top:
            kept.append(directory)
    top.partial_files = scanner.partial_files
    top.unusable = sorted(scanner.unusable)
    return kept[::-1]


class _Scanner:
    def __init__(
        self, ignore: IgnoreRules, warn: Callable[[str], None], tracked: TrackedPaths
    ) -> None:
        self.partial_files: list[str] = []
        self.unusable: list[str] = []
        # The names of one directory that are not in ASCII.
        self._normalized: set[str] = set()
        self._tracked = tracked
        self._ignore = ignore
        self._warn = warn

    def read_directory(self, directory: LocalDirectory) -> list[LocalDirectory]:
        """Add the entries of one directory, unsorted; return its sub-directories."""
        # If a name of the greatest length would be too long for a path, every path is measured.
        near_limit = len(directory.path.encode()) + 256 > limits.MAX_PATH_BYTES
        self._normalized.clear()
        try:
            with os.scandir(directory.os_path) as found:
                for entry in found:
                    self._add(directory, entry, near_limit)
        except OSError as error:
            raise os_error(error, "read folder", directory.path or directory.os_path) from error
        return list(directory.directories.values())

    def _add(self, directory: LocalDirectory, entry: os.DirEntry[str], measure: bool) -> None:
        name = entry.name
        if name[: len(OWN_DIRECTORY)].lower() == OWN_DIRECTORY:
            if _PARTIAL.fullmatch(name):
                self.partial_files.append(directory.join_path(name))
                return
            if len(name) == len(OWN_DIRECTORY):
                return
        path = directory.join_path(name)
        found = self._get_stat(entry, path)
        if found is None:
            return
        is_directory = stat.S_ISDIR(found.st_mode)
        is_ignored = directory.is_ignored or (
            bool(self._ignore) and self._ignore.matches(path, is_directory)
        )
        if is_ignored and not self._is_tracked(path, is_directory):
            return
        if not (is_directory or stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            self._warn(f'"{path}" is neither a file, a folder nor a link: skipped')
            return
        if measure or not name.isascii() or "\\" in name:
            try:
                name = self._normalize_name(directory, name)
            except UnusableError as error:
                self.unusable.append(str(error))
                return
        if is_directory:
            inner = LocalDirectory(directory.join_path(name), entry.path, is_ignored=is_ignored)
            directory.directories[name] = inner
        else:
            directory.names.append(name)
            directory.stats.append(pack_stat(found))

    def _get_stat(self, entry: os.DirEntry[str], path: str) -> os.stat_result | None:
        """Return the stat of an entry; None = it is gone, and it was not tracked."""
        try:
            return entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            if not (self._tracked.has_file(path) or self._tracked.has_directory(path)):
                return None
        for pause in LOOKS:
            time.sleep(pause)
            with suppress(FileNotFoundError):
                return entry.stat(follow_symlinks=False)
        raise vanished_error([path])

    def _is_tracked(self, path: str, is_directory: bool) -> bool:
        return self._tracked.has_directory(path) if is_directory else self._tracked.has_file(path)

    def _normalize_name(self, directory: LocalDirectory, disk_name: str) -> str:
        """Return the name in NFC. Raises UnusableError; of two names that are one in NFC, one counts."""
        name = to_stored_name(directory.path, disk_name)
        if name in self._normalized:
            other = directory.disk_names.pop(name, None)
            # The order of the entries is the disk's. The name that is in NFC counts.
            if other is None or name != disk_name:
                directory.disk_names |= {name: other} if other else {}
                raise same_name_error(directory.join_path(disk_name))
            self.unusable.append(str(same_name_error(directory.join_path(other))))
            _forget_entry(directory, name)
        self._normalized.add(name)
        if name != disk_name:
            directory.disk_names[name] = disk_name
        return name


def vanished_error(paths: Sequence[str]) -> ClientError:
    """Return the error for tracked files that vanished while the folder was read."""
    return ClientError(f"{list_paths(paths)} vanished while the folder was being read: try again")


def list_paths(paths: Sequence[str]) -> str:
    """Return paths for a sentence, at most 20."""
    listed = ", ".join(f'"{path}"' for path in paths[:MOST_NAMED])
    return f"{listed} and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else listed


def _forget_entry(directory: LocalDirectory, name: str) -> None:
    """Remove an entry that is not sorted yet."""
    if directory.directories.pop(name, None) is None:
        at = directory.names.index(name)
        del directory.names[at], directory.stats[at]


def _sort_entries(directory: LocalDirectory) -> None:
    """Sort the entries, with the sub-directories that have entries; those must be sorted already."""
    entries = list(zip(directory.names, directory.stats, strict=True))
    entries += [
        (name, DIRECTORY_STAT) for name, inner in directory.directories.items() if inner.names
    ]
    entries.sort()
    directory.names = [name for name, _ in entries]
    directory.stats = [found for _, found in entries]
    directory.directories = {
        name: inner for name, inner in directory.directories.items() if inner.names
    }
