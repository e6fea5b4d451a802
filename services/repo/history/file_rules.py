"""The rules that a repository's settings have for the files of a directory. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dits.repo.v1.manifest_pb2 import Entry

_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileFault:
    """An entry that may not be there: its name, the rule's name and limit, and a text for people."""

    name: str
    rule: str
    limit: str
    description: str


@dataclass(frozen=True, slots=True)
class FileRules:
    """A repository's settings for files.

    Attributes:
        max_file_bytes: 0 = any size.
        extensions: in lower case; empty = all.
        portable_names: names must be possible, and differ, on Windows and macOS too.
    """

    max_file_bytes: int = 0
    extensions: frozenset[str] = frozenset()
    portable_names: bool = False

    def find_fault(self, entries: Iterable[Entry], written: Collection[Entry]) -> FileFault | None:
        """Returns the first fault of a directory's entries; only those of `written` are judged."""
        for entry in written:
            if fault := self._judge_entry(entry):
                return fault
        if self.portable_names and written:
            return _find_twin(entries, written)
        return None

    def _judge_entry(self, entry: Entry) -> FileFault | None:
        name = entry.name
        if self.portable_names and (problem := find_name_problem(name)):
            return FileFault(name, "portable_names", "", problem)
        if not entry.HasField("file"):
            return None
        if 0 < self.max_file_bytes < entry.file.size:
            limit = str(self.max_file_bytes)
            return FileFault(name, "max_file_size_bytes", limit, f"is larger than {limit} bytes")
        extension = name.rpartition(".")[2].lower() if "." in name else ""
        if self.extensions and extension not in self.extensions:
            allowed = ",".join(sorted(self.extensions))
            text = "has an ending that is not allowed"
            return FileFault(name, "allowed_extensions", allowed, text)
        return None


def find_name_problem(name: str) -> str:
    """Returns why Windows cannot store a name; empty if it can."""
    if found := _FORBIDDEN.search(name):
        return f"has the character {found[0]!a}, which Windows cannot store"
    if name[-1] in ". ":
        return "ends in a dot or a space, which Windows cannot store"
    if _DEVICE.fullmatch(name.partition(".")[0].rstrip(" ")):
        return "is the name of a device on Windows"
    return ""


def _find_twin(entries: Iterable[Entry], written: Collection[Entry]) -> FileFault | None:
    """Returns a written name that another one of the directory equals but for the case of letters."""
    first: dict[str, str] = {}
    names = {entry.name for entry in written}
    for entry in entries:
        name = entry.name
        other = first.setdefault(_fold(name), name)
        if other != name and (other in names or name in names):
            text = f"differs from {other} by the case of letters alone"
            return FileFault(name, "portable_names", "", text)
    return None


def _fold(name: str) -> str:
    """Returns what Windows and macOS tell names apart by."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
