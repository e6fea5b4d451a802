"""The same history in Git and as commits of dits: made by `git fast-import`, with merges of all kinds."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3
from dits.repo.v1.manifest_pb2 import CommitContent, Signer
from dits.repo.v1.repository_service_pb2 import Repository

from shared.formats.commits import commit_hash
from tests.support import trees
from tests.support.api import Account, Api

Files = dict[str, bytes]
START = 1_600_000_000
PEOPLE = [("Ada Byron", "ada@example.org"), ("Åsa", "asa@example.com"), ("bob", "bob@x.example")]
ZONES = [0, 60, -330, 765]
PUSHED_AT_ONCE = 100


@dataclass(slots=True)
class GitHistory:
    """A repository of Git and what dits is to make of it.

    Attributes:
        folder: of the bare repository.
        hashes: for each commit of Git the one of dits, parents before children.
        files: what is in its tree.
        contents: the commits of dits, in the same order.
    """

    folder: Path
    hashes: dict[str, str] = field(default_factory=dict)
    files: dict[str, Files] = field(default_factory=dict)
    contents: list[CommitContent] = field(default_factory=list)

    def run(self, *arguments: str) -> list[str]:
        """The lines that a command of Git prints; none where it finds nothing."""
        command = ["git", "-C", str(self.folder), "-c", "core.quotePath=false", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not done.stderr, done.stderr
        return done.stdout.splitlines()

    def translate(self, commits: Iterable[str]) -> list[str]:
        """The commits of dits for some of Git."""
        return [self.hashes[commit] for commit in commits]

    async def push(self, api: Api, who: Account, repository: Repository) -> None:
        """Brings all commits; each end of the history gets a branch, the last one is main."""
        built = {commit: trees.build(files) for commit, files in self.files.items()}
        chunks = {name: data for tree in built.values() for name, data in tree.chunks.items()}
        await trees.upload(api, who, repository, chunks)
        named = list(zip(built.values(), self.contents, strict=True))
        last = commit_hash(self.contents[-1])
        for at in range(0, len(named), PUSHED_AT_ONCE):
            some = {commit_hash(content): content for _, content in named[at : at + PUSHED_AT_ONCE]}
            inner = {parent.hex() for content in some.values() for parent in content.parent_hashes}
            moves = [
                trees.update("main" if end == last else f"end-{end[:12]}", "", end)
                for end in sorted(some.keys() - inner)
            ]
            brought = {tree.root: tree for tree, _ in named[at : at + PUSHED_AT_ONCE]}
            commits = list(some.values())
            await trees.push(api, who, repository, commits, moves, list(brought.values()))


def make_git_history(folder: Path, seed: int, count: int) -> GitHistory:
    """A repository of `count` commits: lines, branches, merges of up to four parents, several roots."""
    rng = random.Random(seed)
    parents: list[list[int]] = []
    files: list[Files] = []
    stream = []
    for number in range(count):
        parents.append(_choose_parents(rng, number))
        files.append(_change_files(rng, [files[parent] for parent in parents[-1]]))
        stream.append(_describe(number, parents[-1], files[-1]))
    folder.mkdir()
    history = GitHistory(folder)
    history.run("init", "--quiet", "--bare", "--initial-branch=main")
    marks = folder / "marks"
    command = ["git", "-C", str(folder), "fast-import", "--quiet", f"--export-marks={marks}"]
    subprocess.run(command, input=b"".join(stream), check=True)
    named = dict(line.split() for line in marks.read_text().splitlines())
    _translate(history, [named[f":{number + 1}"] for number in range(count)], parents, files)
    return history


def _choose_parents(rng: random.Random, number: int) -> list[int]:
    if not number or rng.random() < 0.01:
        return []
    recent = range(max(0, number - rng.choice([1, 1, 1, 3, 30])), number)
    return rng.sample(recent, min(rng.choice([1, 1, 1, 2, 2, 4]), len(recent)))


def _change_files(rng: random.Random, before: list[Files]) -> Files:
    files = dict(before[0]) if before else {}
    for other in before[1:]:
        files |= {path: data for path, data in other.items() if rng.random() < 0.5}
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        path = f"d{rng.randrange(4)}/ü {rng.randrange(3)}/{rng.randrange(5)}.txt"
        if rng.random() < 0.2 and len(files) > 1:
            files.pop(path, None)
        else:
            # Unlike the content of any other path: merge-tree looks for renames, which dits does not.
            files[path] = blake3(f"{path} {rng.randrange(6)}".encode()).hexdigest().encode()
    return files or {"first": b"1"}


def _describe(number: int, parents: list[int], files: Files) -> bytes:
    """One commit as fast-import reads it."""
    lines = [f"commit refs/heads/c{number}", f"mark :{number + 1}"]
    for role in ("author", "committer"):
        name, email = PEOPLE[number % len(PEOPLE)]
        zone = ZONES[number % len(ZONES)]
        sign, size = "-" if zone < 0 else "+", abs(zone)
        offset = f"{sign}{size // 60:02}{size % 60:02}"
        lines.append(f"{role} {name} <{email}> {START + number * 60} {offset}")
    message = f"commit {number}\n"
    lines += [f"data {len(message)}", message.rstrip()]
    lines += [f"{'merge' if at else 'from'} :{p + 1}" for at, p in enumerate(parents)]
    lines.append("deleteall")
    for path, data in files.items():
        lines += [f"M 100644 inline {path}", f"data {len(data)}", data.decode()]
    return ("\n".join(lines) + "\n").encode()


def _translate(
    history: GitHistory, names: list[str], parents: list[list[int]], files: list[Files]
) -> None:
    for number, name in enumerate(names):
        person, email = PEOPLE[number % len(PEOPLE)]
        time_us = (START + number * 60) * 1_000_000
        zone = ZONES[number % len(ZONES)]
        who = Signer(name=person, email=email, time_us=time_us, offset_minutes=zone)
        above = [bytes.fromhex(history.hashes[names[parent]]) for parent in parents[number]]
        content = CommitContent(
            tree_hash=bytes.fromhex(trees.build(files[number]).root),
            parent_hashes=above,
            author=who,
            committer=who,
            message=f"commit {number}\n",
        )
        history.files[name] = files[number]
        history.contents.append(content)
        history.hashes[name] = commit_hash(content)
