"""A history of thousands of commits with merges, the same at every run, for dits and for git."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dits.repo.v1.manifest_pb2 import (
    CommitContent,
    Directory,
    Entry,
    Manifest,
    Signer,
    Symlink,
)

from shared.formats import manifests
from shared.formats.canonical import content_hash
from shared.formats.commits import commit_hash

START = 1_700_000_000
LEAVES = [f"area{a}/part{b}/set{c}" for a in range(6) for b in range(8) for c in range(6)]
FILES_EACH = 8


@dataclass(frozen=True, slots=True)
class Change:
    """A commit before it has a hash.

    Attributes:
        parents: numbers of the parents.
        written: what differs from the first parent: content by path.
    """

    parents: tuple[int, ...]
    written: dict[str, str]


def make_changes(count: int, seed: int = 1) -> list[Change]:
    """Returns some 288 directories of files and `count` commits: work on branches that are merged."""
    rng = random.Random(seed)  # noqa: S311  the same history every time
    first = {f"{leaf}/file{n}": "0" for leaf in LEAVES for n in range(FILES_EACH)}
    changes = [Change((), first), Change((0,), {f"{LEAVES[0]}/file0": "far"})]
    main = 1
    while len(changes) < count:
        merged: dict[str, str] = {}
        side = main
        for _ in range(rng.choice([0, 0, 0, 1, 2, 4, 9])):
            written = _edit(rng, len(changes))
            merged |= written
            changes.append(Change((side,), written))
            side = len(changes) - 1
        for _ in range(rng.choice([1, 1, 2, 3])):
            changes.append(Change((main,), _edit(rng, len(changes))))
            main = len(changes) - 1
        if merged:
            changes.append(Change((main, side), merged))
            main = len(changes) - 1
    return changes


def make_dense_changes(count: int) -> list[Change]:
    """Returns commits that have the 8 before them as parents, each."""
    return [
        Change(tuple(range(max(0, number - 8), number))[::-1], {f"file{number % 8}": f"{number}"})
        for number in range(count)
    ]


def _edit(rng: random.Random, number: int) -> dict[str, str]:
    """Returns changes of one to five files that are near each other; never in the first directory."""
    leaf = rng.choice(LEAVES[1:])
    names = rng.sample(range(FILES_EACH), rng.choice([1, 1, 1, 2, 5]))
    return {f"{leaf}/file{name}": f"{number}" for name in names}


def write_fast_import(changes: Sequence[Change]) -> Iterator[bytes]:
    """Yields the history as git fast-import reads it; the message of a commit is its number."""
    for number, change in enumerate(changes):
        lines = [
            "commit refs/heads/main",
            f"mark :{number + 1}",
            f"committer Bench <bench@example.com> {START + number} +0000",
            f"data {len(str(number))}",
            str(number),
        ]
        lines += [
            f"{word} :{parent + 1}"
            for word, parent in zip(["from", *["merge"] * 63], change.parents, strict=False)
        ]
        for path, target in change.written.items():
            lines += [f"M 120000 inline {path}", f"data {len(target)}", target]
        yield "\n".join([*lines, "", ""]).encode()


@dataclass(slots=True)
class Directories:
    """The directories of one commit: what is in each, and the hash of its manifest."""

    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)

    def write(self, written: dict[str, str]) -> tuple[Directories, dict[str, bytes]]:
        """Returns the directories after a change, and the manifests that it brings, children first."""
        after = Directories(dict(self.entries))
        changed: set[str] = set()
        for path, target in written.items():
            directory, _, name = path.rpartition("/")
            if directory not in changed:
                changed.add(directory)
                after.entries[directory] = dict(after.entries.get(directory, {}))
            after.entries[directory][name] = Entry(name=name, symlink=Symlink(target=target))
        brought: dict[str, bytes] = {}
        while changed:
            deepest = max(changed, key=lambda directory: directory.count("/") + bool(directory))
            changed.discard(deepest)
            digest, content = _encode(after.entries[deepest])
            brought[digest] = content
            if deepest:
                above, _, name = deepest.rpartition("/")
                listed = dict(after.entries.get(above, {}))
                child = Directory(manifest_hash=bytes.fromhex(digest))
                listed[name] = Entry(name=name, directory=child)
                after.entries[above] = listed
                changed.add(above)
        return after, brought


def _encode(entries: dict[str, Entry]) -> tuple[str, bytes]:
    ordered = [entries[name] for name in sorted(entries)]
    content = manifests.encode_manifest(Manifest(entries=ordered))
    return content_hash(content), content


@dataclass(frozen=True, slots=True)
class BuiltCommit:
    """A commit with its hash, and the manifests that it brings."""

    hash: str
    content: CommitContent
    manifests: dict[str, bytes]


def build_commits(changes: Sequence[Change]) -> list[BuiltCommit]:
    """Returns the history as it is pushed to dits."""
    built: list[BuiltCommit] = []
    states: list[Directories] = []
    for number, change in enumerate(changes):
        before = states[change.parents[0]] if change.parents else Directories()
        state, brought = before.write(change.written)
        who = Signer(name="Bench", email="bench@example.com", time_us=(START + number) * 1_000_000)
        content = CommitContent(
            tree_hash=bytes.fromhex(list(brought)[-1]),
            parent_hashes=[bytes.fromhex(built[parent].hash) for parent in change.parents],
            author=who,
            committer=who,
            message=str(number),
        )
        states.append(state)
        built.append(BuiltCommit(commit_hash(content), content, brought))
    return built


def cut_pushes(built: Sequence[BuiltCommit], at_least: int) -> Iterator[list[BuiltCommit]]:
    """Yields the history in parts that are pushed one by one: the last of each reaches all before it."""
    part: list[BuiltCommit] = []
    ends: set[str] = set()
    for commit in built:
        part.append(commit)
        ends.difference_update(parent.hex() for parent in commit.content.parent_hashes)
        ends.add(commit.hash)
        if len(part) >= at_least and len(ends) == 1:
            yield part
            part = []
    if part:
        yield part
