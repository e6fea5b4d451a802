"""The names, kinds and stats of what is in the folder; no file is opened."""

import os
import re
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from dits_client.content.scope import Part
from dits_client.disk.directory import DirectoryEntry, FileStat, walk_files
from dits_client.errors import ClientError, os_error
from dits_client.terminal import quote_text
from dits_client.workspace.ignore import IgnoreRules
from dits_client.workspace.index import DirectoryRecord, pack_stat
from dits_client.workspace.local_directory import (
    OWN_DIRECTORY,
    LocalDirectory,
    forget_entry,
    is_own,
    sort_entries,
)
from dits_client.workspace.plain_directory import read_plain
from dits_client.workspace.safe_paths import BlockedError, SafePaths
from dits_client.workspace.scan_rules import ScanRules
from dits_client.workspace.tracked import NOTHING_TRACKED, TrackedPaths
from dits_client.workspace.unusable import (
    UnusableError,
    need_no_look,
    same_name_error,
    to_stored_name,
)
from shared.formats import limits

# A file that a checkout is writing; a killed checkout leaves some behind.
_PARTIAL = re.compile(r"\.dits-[0-9a-f]{16}\.part")

# Seconds before each further look at a tracked file that has vanished: programs save a file by renaming it
# away and another one into its place.
LOOKS = (0.1, 0.4, 1.5)
# The most paths that one message names.
MOST_NAMED = 20


def make_partial_name() -> str:
    """Return a new name for a file that a checkout is writing."""
    return f".dits-{os.urandom(8).hex()}.part"


def scan_directory(
    root: Path,
    warn: Callable[[str], None] = lambda _: None,
    tracked: TrackedPaths = NOTHING_TRACKED,
    ignore: IgnoreRules | None = None,
    records: Mapping[str, DirectoryRecord] | None = None,
) -> list[LocalDirectory]:
    """Return the top directory and all below it, parents first; directories without files are left out.

    What is ignored, by default as the folder's files say, and not tracked is left out, and what has a name
    that cannot be stored. `records` are those of the index: they tell what is tracked. `warn` gets a
    sentence for each entry that is not a file, directory or link: these are skipped. Raises ClientError for
    a directory that cannot be read, and for a tracked file that vanishes.
    """
    scanner = _Scanner(root, ignore, warn, tracked, records or {})
    top = LocalDirectory("", str(root), is_partial=bool(tracked.outside))
    directories = [top]
    with closing(scanner.safe_paths):
        # The list grows while it is walked.
        for directory in directories:
            directories += scanner.read_directory(directory)
    kept = []
    for directory in reversed(directories):
        sort_entries(directory)
        if directory.names or directory is top:
            kept.append(directory)
    top.empty = sorted(scanner.empty)
    top.partial_files = scanner.partial_files
    top.unusable = scanner.unusable
    top.outside = sorted(scanner.outside)
    return kept[::-1]


class _Scanner:
    def __init__(
        self,
        root: Path,
        ignore: IgnoreRules | None,
        warn: Callable[[str], None],
        tracked: TrackedPaths,
        records: Mapping[str, DirectoryRecord],
    ) -> None:
        self.partial_files: list[str] = []
        self.unusable: dict[str, str] = {}
        self.empty: list[str] = []
        self.outside: list[str] = []
        # By path, the names on the disk that are not in ASCII.
        self._disk_names: dict[str, str] = {}
        self.safe_paths = SafePaths(root, self._disk_names)
        # The names of one directory that are not in ASCII.
        self._normalized: set[str] = set()
        self._tracked = tracked
        self._refused = tracked.refused
        self._above_refused = {path.rpartition("/")[0] for path in tracked.refused}
        self._rules = ScanRules(root, ignore, tracked, records, warn)
        self._warn = warn

    def read_directory(self, directory: LocalDirectory) -> list[LocalDirectory]:
        """Add the entries of one directory, unsorted; return its sub-directories."""
        # If a name of the greatest length would be too long for a path, every path is measured.
        near_limit = len(directory.path.encode()) + 256 > limits.MAX_PATH_BYTES
        self._normalized.clear()
        try:
            if directory.is_absent:
                self._rules.enter(directory, None, ())
            else:
                place = self.safe_paths.open_directory(directory.path)
                entries = place.scan()
                self._rules.enter(directory, place, entries)
                if not entries and directory.path:
                    self.empty.append(directory.path)
                is_special = near_limit or directory.path in self._above_refused
                if is_special or not read_plain(directory, entries, self._rules.match_any):
                    for entry in entries:
                        self._add(directory, entry, near_limit)
        except (FileNotFoundError, NotADirectoryError, BlockedError):
            # A new one that vanishes, or that a link replaces, is left out, as new files are.
            if self._tracked.has_directory(directory.path):
                raise vanished_error([directory.path]) from None
        except OSError as error:
            raise os_error(error, "read folder", directory.path or directory.os_path) from error
        if directory.is_partial:
            # It counts as unchanged, so that a push does not delete it.
            self.unusable |= self._tracked.outside.add_to(directory)
        self._rules.hand_down(directory)
        return list(directory.directories.values())

    def _add(self, directory: LocalDirectory, entry: DirectoryEntry, measure: bool) -> None:
        name = entry.name
        if name[: len(OWN_DIRECTORY)].lower() == OWN_DIRECTORY:
            if _PARTIAL.fullmatch(name):
                self.partial_files.append(directory.join_path(name))
                return
            if len(name) == len(OWN_DIRECTORY) and is_own(directory, name):
                return
        path = directory.join_path(name)
        found = self._get_stat(entry, path)
        if found is not None:
            self._add_found(directory, entry, found, measure)

    def _add_found(
        self,
        directory: LocalDirectory,
        entry: DirectoryEntry,
        found: FileStat,
        measure: bool,
    ) -> None:
        name, path = entry.name, directory.join_path(entry.name)
        is_directory = stat.S_ISDIR(found.st_mode)
        is_ignored = directory.is_ignored or self._rules.matches(path, is_directory)
        if is_ignored and not self._is_tracked(path, is_directory):
            return
        if not (is_directory or stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            self._warn(f"{quote_text(path)} is neither a file, a folder nor a link: skipped")
            return
        if measure or not need_no_look(name) or name.lower() == OWN_DIRECTORY:
            try:
                name = self._normalize_name(directory, name)
            except UnusableError as error:
                self.unusable[path] = str(error) + ("; with all in it" if is_directory else "")
                return
        if self._refused and (inner := directory.join_path(name)) in self._refused:
            self.unusable[inner] = self._refused[inner]
            return
        part, os_path = Part.ALL, f"{directory.os_path}/{entry.name}"
        if directory.is_partial:
            inner = directory.join_path(name)
            part = self._tracked.outside.measure(inner, is_directory=is_directory)
        if part == Part.NOTHING:
            self._note_outside(directory, name, entry.name, is_directory)
        elif is_directory:
            directory.directories[name] = LocalDirectory(
                directory.join_path(name),
                os_path,
                is_ignored=is_ignored,
                is_partial=part == Part.SOME,
            )
        else:
            directory.names.append(name)
            directory.stats.append(pack_stat(found))

    def _note_outside(
        self, directory: LocalDirectory, name: str, disk_name: str, is_directory: bool
    ) -> None:
        """Note what is on the disk and not included, except what is ignored and empty folders."""
        path = directory.join_path(name)
        if not is_directory:
            self.outside.append(path)
        elif any(
            not self._rules.everywhere.cover(path + file[len(disk_name) :])
            for file in walk_files(self.safe_paths.open_directory(directory.path), disk_name)
        ):
            self.outside.append(f"{path}/")

    def _get_stat(self, entry: DirectoryEntry, path: str) -> FileStat | None:
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
            other = directory.join_path(other)
            self.unusable[other] = str(same_name_error(other))
            forget_entry(directory, name)
        self._normalized.add(name)
        self._disk_names[directory.join_path(name)] = disk_name
        if name != disk_name:
            directory.disk_names[name] = disk_name
        return name


def vanished_error(paths: Sequence[str]) -> ClientError:
    """Return the error for tracked files that vanished while the folder was read."""
    return ClientError(f"{list_paths(paths)} vanished while the folder was being read: try again")


def list_paths(paths: Sequence[str]) -> str:
    """Return paths for a sentence, at most 20."""
    listed = ", ".join(map(quote_text, paths[:MOST_NAMED]))
    return f"{listed} and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else listed
