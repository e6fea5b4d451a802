"""One directory of three trees, merged by name: what both sides agree on, and what they do not. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from dits.repo.v1.manifest_pb2 import Entry, File, Manifest, Symlink

from services.repo.history.manifests import child_manifest

Value = TypeVar("Value")


class Side(Enum):
    """One of the two that are merged."""

    OURS = "ours"
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that both sides changed, in different ways. None = nothing is there.

    Attributes:
        base: what it was; None also where the common ancestors differ.
        side: the one that the caller takes; None = not said.
    """

    path: str
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None
    side: Side | None = None

    def measure(self) -> int:
        """Returns how many bytes it has, stored."""
        entries = (self.base, self.ours, self.theirs)
        return len(self.path.encode()) + sum(e.ByteSize() for e in entries if e is not None)


@dataclass(frozen=True, slots=True)
class Triple:
    """One directory of three trees, by its manifests; None = it is not there.

    The prefix of its paths is "" or ends in `/`.
    """

    prefix: str
    base: str | None
    ours: str | None
    theirs: str | None


@dataclass(slots=True)
class Level:
    """What becomes of one directory.

    Attributes:
        edits: entries that are not ours, by name; None = it goes.
        below: directories that both sides changed, by name.
    """

    triple: Triple
    edits: dict[str, Entry | None] = field(default_factory=dict)
    below: dict[str, Triple] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)

    def measure_conflicts(self) -> int:
        """Returns how many bytes the conflicts have."""
        return sum(conflict.measure() for conflict in self.conflicts)


# Says which side a path in conflict is taken from; None = neither.
Resolve = Callable[[str], Side | None]


class Resolutions:
    """The sides that a caller takes, by path; a path that ends in `/` stands for all conflicts below.

    Attributes:
        other: the side for all other conflicts; None = neither.
    """

    def __init__(self, sides: Iterable[tuple[str, Side]] = (), other: Side | None = None) -> None:
        self._sides = dict(sides)
        self._unused = set(self._sides)
        self.other = other

    def resolve(self, path: str) -> Side | None:
        """Returns the side to take a path from: of the path itself, else of the nearest directory."""
        place = path
        while place:
            if place in self._sides:
                self._unused.discard(place)
                return self._sides[place]
            above = place.removesuffix("/").rpartition("/")[0]
            place = f"{above}/" if above else ""
        return self.other

    def list_unused(self) -> list[str]:
        """Returns the paths that decided no conflict."""
        return sorted(self._unused)


def merge_level(
    triple: Triple, base: Manifest, ours: Manifest, theirs: Manifest, resolve: Resolve
) -> Level:
    """Returns what becomes of a directory; `resolve` says which side a path in conflict is taken from.

    A conflict that it says nothing of stays as it is on our side.
    """
    level = Level(triple)
    was, mine, other = ({e.name: e for e in m.entries} for m in (base, ours, theirs))
    for name in sorted(mine.keys() | other.keys()):
        _merge_name(level, name, was.get(name), mine.get(name), other.get(name), resolve)
    return level


def _merge_name(
    level: Level,
    name: str,
    base: Entry | None,
    ours: Entry | None,
    theirs: Entry | None,
    resolve: Resolve,
) -> None:
    if theirs in (ours, base):
        return
    if base == ours:
        level.edits[name] = _copy(theirs)
        return
    path = level.triple.prefix + name
    is_unknown = base is not None and is_undecided(base)
    # Whether one side has made it or the other has deleted it is not known where the ancestors differ.
    if (
        _may_be_directory(ours)
        and _may_be_directory(theirs)
        and not (is_unknown and None in (ours, theirs))
    ):
        children = map(child_manifest, (base, ours, theirs))
        level.below[name] = Triple(f"{path}/", *children)
        return
    merged = _merge_files(base, ours, theirs)
    if merged is not None:
        level.edits[name] = merged
        return
    side = resolve(path)
    known = None if is_unknown else _copy(base)
    level.conflicts.append(Conflict(path, known, _copy(ours), _copy(theirs), side))
    if side is Side.THEIRS:
        level.edits[name] = _copy(theirs)


def _may_be_directory(entry: Entry | None) -> bool:
    return entry is None or entry.HasField("directory")


def _merge_files(base: Entry | None, ours: Entry | None, theirs: Entry | None) -> Entry | None:
    """Returns a file of which one side changed the content and the other the mode; None if it is not so."""
    if base is None or ours is None or theirs is None:
        return None
    if not all(entry.HasField("file") for entry in (base, ours, theirs)):
        return None
    found = _pick(_content(base.file), _content(ours.file), _content(theirs.file))
    mode = _pick(base.file.mode, ours.file.mode, theirs.file.mode)
    if found is None or mode is None:
        return None
    merged = Entry()
    merged.CopyFrom(ours if found == _content(ours.file) else theirs)
    merged.file.mode = mode
    return merged


def _content(file: File) -> tuple[bytes, int]:
    return file.hash, file.size


def _pick(base: Value, ours: Value, theirs: Value) -> Value | None:
    """Returns the value that one side changed; None if both did."""
    if theirs in (ours, base):
        return ours
    return theirs if base == ours else None


def _copy(entry: Entry | None) -> Entry | None:
    """Returns a copy: the entry itself would keep its manifest in memory."""
    if entry is None:
        return None
    copy = Entry()
    copy.CopyFrom(entry)
    return copy


def make_undecided(name: str) -> Entry:
    """Returns an entry that equals none of any tree, for a name on which common ancestors do not agree."""
    return Entry(name=name, symlink=Symlink())


def is_undecided(entry: Entry) -> bool:
    """Returns whether an entry was made by `make_undecided`."""
    return entry.HasField("symlink") and not entry.symlink.target


def apply_edits(ours: Manifest, edits: dict[str, Entry | None]) -> Manifest:
    """Returns a directory with some entries put in, others taken out."""
    kept = [entry for entry in ours.entries if entry.name not in edits]
    kept += [entry for entry in edits.values() if entry is not None]
    kept.sort(key=lambda entry: entry.name)
    return Manifest(entries=kept)
