"""The ignore rules that count in each directory of a folder while it is scanned."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from pathlib import Path

from dits_client.content.scope import IGNORE_FILE
from dits_client.disk.directory import Directory, DirectoryEntry
from dits_client.workspace.ignore import DirectoryRules, IgnoreRules
from dits_client.workspace.ignore_files import IgnoreFiles, read_rules
from dits_client.workspace.index import DIRECTORY_STAT, DirectoryRecord
from dits_client.workspace.local_directory import LocalDirectory
from dits_client.workspace.plain_directory import Entries
from dits_client.workspace.tracked import TrackedPaths

_get_name = attrgetter("name")


class ScanRules:
    """The rules of the directory that is read; parents are read before what is in them."""

    def __init__(
        self,
        root: Path,
        given: IgnoreRules | None,
        tracked: TrackedPaths,
        records: Mapping[str, DirectoryRecord],
        warn: Callable[[str], None],
    ) -> None:
        """Take rules that count instead of those of the folder's files; None = the files' count."""
        self._root = root
        self._given = given
        self._tracked = tracked
        self._records = records
        self._files = IgnoreFiles(warn)
        self._rules = given or IgnoreRules()
        # By path, those of directories that are still to be read, if they have any.
        self._inherited: dict[str, IgnoreRules] = {}

    def enter(
        self, directory: LocalDirectory, place: Directory | None, entries: Sequence[DirectoryEntry]
    ) -> None:
        """Take the rules of an open directory, whose entries are sorted; None = it is absent.

        Raises ClientError.
        """
        if self._given is not None:
            return
        self._rules = self._inherited.pop(directory.path, IgnoreRules())
        at = bisect_left(entries, IGNORE_FILE, key=_get_name)
        is_here = at < len(entries) and entries[at].name == IGNORE_FILE
        # In one that is ignored, only what is tracked counts.
        if place is not None and is_here and not directory.is_ignored:
            text = self._files.read(place, directory.path)
            self._rules = self._rules.enter(directory.path, text)

    def hand_down(self, directory: LocalDirectory) -> None:
        """Keep the rules of the directory for those in it."""
        if self._given is None and self._rules:
            paths = (inner.path for inner in directory.directories.values())
            self._inherited |= dict.fromkeys(paths, self._rules)

    def matches(self, path: str, is_directory: bool) -> bool:
        """Return whether a pattern matches an entry of the directory."""
        return bool(self._rules) and self._rules.matches(path, is_directory)

    def match_any(self, directory: LocalDirectory, entries: Entries) -> bool:
        """Return whether a pattern matches one of some entries, except files of which all are tracked."""
        if not self._rules:
            return False
        record = self._records.get(directory.path)
        known: Mapping[str, bytes] = {}
        if record is not None and self._tracked.has_manifest(directory.path, record.manifest):
            known = dict(record.iterate_entries())
        return any(
            self._rules.matches(directory.join_path(name), is_directory)
            for name, is_directory in entries
            if is_directory or known.get(name, DIRECTORY_STAT) == DIRECTORY_STAT
        )

    @cached_property
    def everywhere(self) -> DirectoryRules:
        """The rules of the whole folder, also of what it does not include."""
        return read_rules(self._root)
