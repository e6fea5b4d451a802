"""The import of a repository of Git through the client library."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from dits.repo.v1.commit_service_pb2 import RefUpdate
from dits.repo.v1.manifest_pb2 import Entry, Signer
from dits.repo.v1.ref_service_pb2 import TagAnnotation

from dits_client.batches import split_into_batches
from dits_client.push.history_writer import HistoryWriter
from tests.support.varied_git import run_git

# Of one push.
MOST_REFS = 1000


@dataclass(slots=True)
class GitImport:
    """An import of all that a repository of Git has.

    Attributes:
        commits: for each commit of Git the one of dits, parents before children.
        blobs: for each content of Git its entry.
        updates: the refs that the import makes.
    """

    folder: Path
    commits: dict[str, str] = field(default_factory=dict)
    blobs: dict[tuple[str, str], Entry] = field(default_factory=dict)
    updates: list[RefUpdate] = field(default_factory=list)
    _trees: dict[str, Entry] = field(default_factory=dict)

    def run(self, writer: HistoryWriter) -> None:
        """Imports the repository, in as few pushes as its refs allow."""
        with _Objects(self.folder) as objects:
            order = run_git(self.folder, "rev-list", "--all", "--topo-order", "--reverse")
            for name in order.split():
                self._add_commit(writer, objects, name)
            for line in run_git(self.folder, "for-each-ref").splitlines():
                self._add_ref(objects, *line.replace("\t", " ").split(" "))
        for some in split_into_batches(self.updates, max_count=MOST_REFS):
            writer.push(some)

    def _add_commit(self, writer: HistoryWriter, objects: _Objects, name: str) -> None:
        head, message = _split(objects.read(name))
        parents = [self.commits[line[7:]] for line in head if line.startswith("parent ")]
        people = {line.split(" ")[0]: parse_signer(line) for line in head[-2:]}
        tree = self._add_tree(writer, objects, head[0][5:])
        self.commits[name] = writer.add_commit(
            tree, parents, author=people["author"], committer=people["committer"], message=message
        )

    def _add_tree(self, writer: HistoryWriter, objects: _Objects, name: str) -> Entry:
        if name in self._trees:
            return self._trees[name]
        entries = {}
        for mode, path, inner in _parse_tree(objects.read(name)):
            if mode == "40000":
                entries[path] = self._add_tree(writer, objects, inner)
                continue
            if (mode, inner) not in self.blobs:
                content = objects.read(inner)
                self.blobs[mode, inner] = (
                    writer.add_link(content.decode())
                    if mode == "120000"
                    else writer.add_file(content, int(mode, 8) & 0o777)
                )
            entries[path] = self.blobs[mode, inner]
        self._trees[name] = writer.add_directory(entries)
        return self._trees[name]

    def _add_ref(self, objects: _Objects, name: str, kind: str, ref: str) -> None:
        _, place, short = ref.split("/", 2)
        if place == "heads":
            self.updates.append(RefUpdate(branch=short, new_head=self.commits[name]))
            return
        update = RefUpdate(tag=short)
        if kind == "tag":
            head, message = _split(objects.read(name))
            name = head[0].removeprefix("object ")
            update.annotation.CopyFrom(TagAnnotation(tagger=parse_signer(head[3]), message=message))
        update.new_head = self.commits[name]
        self.updates.append(update)


def parse_signer(line: str) -> Signer:
    """Who signed, from a line of a commit or tag of Git."""
    _, _, rest = line.partition(" ")
    name, _, rest = rest.rpartition("<")
    email, _, rest = rest.partition("> ")
    seconds, zone = rest.split(" ")
    minutes = int(zone[1:3]) * 60 + int(zone[3:])
    return Signer(
        name=name.rstrip(),
        email=email,
        time_us=int(seconds) * 1_000_000,
        offset_minutes=-minutes if zone[0] == "-" else minutes,
    )


def _split(content: bytes) -> tuple[list[str], str]:
    """The lines of the head of an object, and its message."""
    head, _, message = content.decode().partition("\n\n")
    return head.splitlines(), message


def _parse_tree(content: bytes) -> Iterator[tuple[str, str, str]]:
    while content:
        head, _, rest = content.partition(b"\0")
        mode, _, name = head.decode().partition(" ")
        yield mode, name, rest[:20].hex()
        content = rest[20:]


class _Objects:
    """The objects of a repository, read by one process."""

    def __init__(self, folder: Path) -> None:
        command = ["git", "-C", str(folder), "cat-file", "--batch"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def read(self, name: str) -> bytes:
        """The bytes of an object."""
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answered is not None
        asked.write(f"{name}\n".encode())
        asked.flush()
        size = int(answered.readline().split()[2])
        content = answered.read(size + 1)
        return content[:-1]
