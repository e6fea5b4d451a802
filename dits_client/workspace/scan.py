"""The names, kinds and stats of what is in the folder; no file is opened."""

import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dits_client.errors import ClientError, os_error
from dits_client.workspace.ignore import IGNORE_FILE, IgnoreRules
from dits_client.workspace.index import DIRECTORY_STAT, DirectoryRecord, pack_stat
from shared.formats import limits, manifests
from shared.formats.canonical import FormatError

# The client's own directory. A tree never contains it, at any depth and in any case of its letters: the
# client would take it for the state of a folder.
OWN_DIRECTORY = ".dits"
# A file that a checkout is writing; a killed checkout leaves some behind.
_PARTIAL = re.compile(r"\.dits-[0-9a-f]{16}\.part")


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
    root: Path, warn: Callable[[str], None] = lambda _: None
) -> list[LocalDirectory]:
    """Return the top directory and all below it, parents first; directories without files are left out.

    `warn` gets a sentence for each entry that is not a file, directory or link: these are skipped.
    Raises ClientError for a directory that cannot be read and a name that cannot be stored.
    """
    scanner = _Scanner(_read_ignore(root), warn)
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
    return kept[::-1]


def _read_ignore(root: Path) -> IgnoreRules:
    try:
        return IgnoreRules((root / IGNORE_FILE).read_text(errors="replace"))
    except (FileNotFoundError, IsADirectoryError):
        return IgnoreRules("")
    except OSError as error:
        raise os_error(error, "read", IGNORE_FILE) from error


class _Scanner:
    def __init__(self, ignore: IgnoreRules, warn: Callable[[str], None]) -> None:
        self.partial_files: list[str] = []
        self._ignore = ignore
        self._warn = warn

    def read_directory(self, directory: LocalDirectory) -> list[LocalDirectory]:
        """Add the entries of one directory, unsorted; return its sub-directories."""
        # If a name of the greatest length would be too long for a path, every path is measured.
        near_limit = len(directory.path.encode()) + 256 > limits.MAX_PATH_BYTES
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
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        path = directory.join_path(name)
        is_directory = stat.S_ISDIR(found.st_mode)
        if self._ignore and self._ignore.matches(path, is_directory):
            return
        if not (is_directory or stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            self._warn(f'"{path}" is neither a file, a folder nor a link: skipped')
            return
        if measure or "\\" in name or not (name.isascii() and name.isprintable()):
            name = _normalize_name(directory, name)
        if is_directory:
            if name in directory.directories:
                raise _same_name_error(directory, name)
            directory.directories[name] = LocalDirectory(directory.join_path(name), entry.path)
        else:
            directory.names.append(name)
            directory.stats.append(pack_stat(found))


def _normalize_name(directory: LocalDirectory, disk_name: str) -> str:
    """Return the name in NFC, as trees store it. Raises ClientError if trees cannot store it."""
    shown = ascii(directory.join_path(disk_name))
    try:
        disk_name.encode()
        name = unicodedata.normalize("NFC", disk_name)
        manifests.check_name(name)
        too_long = len(directory.join_path(name).encode()) > limits.MAX_PATH_BYTES
    except UnicodeEncodeError:
        raise ClientError(f"the name {shown} is not UTF-8: rename it") from None
    except FormatError as error:
        raise ClientError(f"the name {shown} {error.description}: rename it") from None
    if too_long:
        raise ClientError(f"the path {shown} is longer than {limits.MAX_PATH_BYTES} bytes")
    if name != disk_name:
        directory.disk_names[name] = disk_name
    return name


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
    # Only normalisation can make two names of a directory equal.
    if directory.disk_names and len(set(directory.names)) < len(directory.names):
        twice = next(
            a for a, b in zip(directory.names, directory.names[1:], strict=False) if a == b
        )
        raise _same_name_error(directory, twice)


def _same_name_error(directory: LocalDirectory, name: str) -> ClientError:
    return ClientError(
        f"two names in one folder are the same in Unicode's NFC, {directory.join_path(name)!a}: rename one"
    )
