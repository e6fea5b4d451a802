"""What a repository's settings and obliterations say about the files of a directory. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass

from dits.repo.v1.manifest_pb2 import Entry

from shared.errors import DomainError, file_refused
from shared.formats.portable_names import find_name_problem, find_twin

# The rule that no setting has: `limit` is the content; why it was obliterated is looked up.
OBLITERATED = "obliterated"


@dataclass(frozen=True, slots=True)
class FileFault:
    """An entry that may not be there: its name, the rule's name and limit, and a text for people."""

    name: str
    rule: str
    limit: str
    description: str

    def refuse(self, path: str) -> DomainError:
        """Returns the error for a file at a path."""
        return file_refused(path, self.rule, self.limit, self.description)


@dataclass(frozen=True, slots=True)
class FileRules:
    """A repository's settings for files.

    Attributes:
        max_file_bytes: 0 = any size.
        extensions: in lower case; empty = all.
        portable_names: names must be possible, and differ, on Windows and macOS too.
        obliterated: hashes of contents that may not come back.
    """

    max_file_bytes: int = 0
    extensions: frozenset[str] = frozenset()
    portable_names: bool = False
    obliterated: Set[bytes] = frozenset()

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
        if self.obliterated and entry.file.hash in self.obliterated:
            return FileFault(name, OBLITERATED, entry.file.hash.hex(), "")
        if 0 < self.max_file_bytes < entry.file.size:
            limit = str(self.max_file_bytes)
            return FileFault(name, "max_file_size_bytes", limit, f"is larger than {limit} bytes")
        if self.extensions and _get_extension(name) not in self.extensions:
            allowed = ",".join(sorted(self.extensions))
            text = "has an ending that is not allowed"
            return FileFault(name, "allowed_extensions", allowed, text)
        return None


def _get_extension(name: str) -> str:
    return name.rpartition(".")[2].lower() if "." in name else ""


def _find_twin(entries: Iterable[Entry], written: Collection[Entry]) -> FileFault | None:
    """Returns a written name that another one of the directory equals but for the case of letters."""
    twin = find_twin((entry.name for entry in entries), {entry.name for entry in written})
    if twin is None:
        return None
    name, other = twin
    text = f"differs from {other} by the case of letters alone"
    return FileFault(name, "portable_names", "", text)
