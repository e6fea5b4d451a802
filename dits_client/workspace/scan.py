"""What is in the folder: names, kinds and stats; no file is opened."""

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
from shared.formats import manifests
from shared.formats.canonical import FormatError

# The client's own directory. It is never part of a tree, whatever the case of its letters and wherever
# it is: what a tree brought there would be taken for the state of a folder.
OWN_DIRECTORY = ".dits"
# A file that a checkout has begun to write; one that was killed leaves some behind.
_PARTIAL = re.compile(r"\.dits-[0-9a-f]{16}\.part")


def make_partial_name() -> str:
    """Return a name for a file that is being written."""
    return f".dits-{secrets.token_hex(8)}.part"


@dataclass(slots=True, eq=False)
class LocalDirectory:
    """A directory as found; its entries and their stats are sorted by name."""

    # Relative to the top, in NFC; empty = the top.
    path: str
    # As the operating system knows it.
    os_path: str
    names: list[str] = field(default_factory=list)
    stats: list[bytes] = field(default_factory=list)
    directories: dict[str, "LocalDirectory"] = field(default_factory=dict)
    # Names that are spelled otherwise on the disk.
    disk_names: dict[str, str] = field(default_factory=dict)
    # Of the top directory: paths, at any depth, of files that a checkout did not finish.
    partial_files: list[str] = field(default_factory=list)

    def join_path(self, name: str) -> str:
        """Return the path of an entry."""
        return f"{self.path}/{name}" if self.path else name

    def join_os_path(self, name: str) -> str:
        """Return where an entry is on the disk."""
        return f"{self.os_path}/{self.disk_names.get(name, name)}"

    def matches(self, record: DirectoryRecord | None) -> bool:
        """Say whether names and stats are those of the record; directories are not compared."""
        return (
            record is not None
            and record.names == "\0".join(self.names)
            and record.stats == b"".join(self.stats)
        )


def scan_directory(
    root: Path, warn: Callable[[str], None] = lambda _: None
) -> list[LocalDirectory]:
    """Return the folder and all below it, each before what it contains.

    Directories without files are left out. What is no file, directory or link is skipped with a warning.
    """
    scanner = _Scanner(_read_ignore(root), warn)
    top = LocalDirectory("", str(root))
    folders = [top]
    # The list grows while it is walked.
    for folder in folders:
        folders += scanner.read_directory(folder)
    kept = []
    for folder in reversed(folders):
        _sort_entries(folder)
        if folder.names or folder is top:
            kept.append(folder)
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

    def read_directory(self, folder: LocalDirectory) -> list[LocalDirectory]:
        """Fill in the entries of one directory, unsorted; return its sub-directories."""
        # Where a name of the greatest length would not fit, every path is measured.
        near_limit = len(folder.path.encode()) + 256 > manifests.MAX_PATH_BYTES
        try:
            with os.scandir(folder.os_path) as found:
                for entry in found:
                    self._add(folder, entry, near_limit)
        except OSError as error:
            raise os_error(error, "read folder", folder.path or folder.os_path) from error
        return list(folder.directories.values())

    def _add(self, folder: LocalDirectory, entry: os.DirEntry[str], measure: bool) -> None:
        name = entry.name
        if name[: len(OWN_DIRECTORY)].lower() == OWN_DIRECTORY:
            if _PARTIAL.fullmatch(name):
                self.partial_files.append(folder.join_path(name))
                return
            if len(name) == len(OWN_DIRECTORY):
                return
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        path = folder.join_path(name)
        is_directory = stat.S_ISDIR(found.st_mode)
        if self._ignore and self._ignore.matches(path, is_directory):
            return
        if not (is_directory or stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            self._warn(f'"{path}" is neither a file, a folder nor a link: skipped')
            return
        if measure or not name.isascii() or "\\" in name:
            name = _normalize_name(folder, name)
        if is_directory:
            if name in folder.directories:
                raise _same_name_error(folder, name)
            folder.directories[name] = LocalDirectory(folder.join_path(name), entry.path)
        else:
            folder.names.append(name)
            folder.stats.append(pack_stat(found))


def _normalize_name(folder: LocalDirectory, spelled: str) -> str:
    """Return the name in the form that is stored; raise ClientError if there is none."""
    shown = ascii(folder.join_path(spelled))
    try:
        spelled.encode()
        name = unicodedata.normalize("NFC", spelled)
        manifests.check_name(name)
        too_long = len(folder.join_path(name).encode()) > manifests.MAX_PATH_BYTES
    except UnicodeEncodeError:
        raise ClientError(f"the name {shown} is not UTF-8: rename it") from None
    except FormatError as error:
        raise ClientError(f"the name {shown} {error.description}: rename it") from None
    if too_long:
        raise ClientError(f"the path {shown} is longer than {manifests.MAX_PATH_BYTES} bytes")
    if name != spelled:
        folder.disk_names[name] = spelled
    return name


def _sort_entries(folder: LocalDirectory) -> None:
    """Sort the entries, with the sub-directories that have any; those below are arranged already."""
    entries = list(zip(folder.names, folder.stats, strict=True))
    entries += [(name, DIRECTORY_STAT) for name, inner in folder.directories.items() if inner.names]
    entries.sort()
    folder.names = [name for name, _ in entries]
    folder.stats = [found for _, found in entries]
    folder.directories = {name: inner for name, inner in folder.directories.items() if inner.names}
    # Only spellings can make two names one; a folder has no name twice.
    if folder.disk_names and len(set(folder.names)) < len(folder.names):
        twice = next(a for a, b in zip(folder.names, folder.names[1:], strict=False) if a == b)
        raise _same_name_error(folder, twice)


def _same_name_error(folder: LocalDirectory, name: str) -> ClientError:
    return ClientError(
        f"two names in one folder are the same in Unicode's NFC, {folder.join_path(name)!a}: rename one"
    )
