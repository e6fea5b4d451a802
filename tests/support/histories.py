"""Histories of all shapes for tests, and what must be found in them, computed without shortcuts."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dits.repo.v1.manifest_pb2 import CommitContent
from dits.repo.v1.repository_service_pb2 import Repository

from shared.formats.commits import commit_hash
from tests.support import trees
from tests.support.api import Account, Api

Files = dict[str, str]
PUSHED_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Made:
    """A commit of a history: its parents, and what is in its tree."""

    hash: str
    parents: tuple[str, ...]
    generation: int
    files: Files

    def at(self, path: str) -> object:
        """What is at a path: the link's target, what is below the directory, or None."""
        if path in self.files:
            return self.files[path]
        return {p: t for p, t in self.files.items() if p.startswith(f"{path}/")} or None


@dataclass(slots=True)
class History:
    """Commits of symbolic links, parents before children."""

    commits: dict[str, Made] = field(default_factory=dict)
    contents: list[CommitContent] = field(default_factory=list)
    trees: dict[str, trees.Tree] = field(default_factory=dict)

    def add(self, files: Files, *parents: str) -> str:
        """Adds a commit; returns its hash."""
        tree = trees.build(files)
        content = trees.commit(tree, *parents)
        name = commit_hash(content)
        generation = max((self.commits[p].generation + 1 for p in parents), default=0)
        self.commits[name] = Made(name, parents, generation, files)
        self.contents.append(content)
        self.trees[tree.root] = tree
        return name

    async def push(self, api: Api, who: Account, repository: Repository, head: str) -> None:
        """Pushes all of it, some commits at a time; main is at `head`, other branches at the other ends."""
        for at in range(0, len(self.contents), PUSHED_AT_ONCE):
            some = {commit_hash(c): c for c in self.contents[at : at + PUSHED_AT_ONCE]}
            inner = {parent for commit in some for parent in self.commits[commit].parents}
            ends = (some.keys() - inner) | (some.keys() & {head})
            moves = [
                trees.update("main" if end == head else f"end-{end[:12]}", "", end)
                for end in sorted(ends)
            ]
            brought = {c.tree_hash: self.trees[c.tree_hash.hex()] for c in some.values()}
            await trees.push(
                api, who, repository, list(some.values()), moves, list(brought.values())
            )

    async def push_more(
        self, api: Api, who: Account, repository: Repository, head: str, stored: set[str]
    ) -> None:
        """Pushes the commits that are not stored yet, the last of them onto main, which is at `head`."""
        fresh = [content for content in self.contents if commit_hash(content) not in stored]
        brought = [self.trees[content.tree_hash.hex()] for content in fresh]
        moves = [trees.update("main", head, commit_hash(fresh[-1]))]
        await trees.push(api, who, repository, fresh, moves, brought)

    def reach(self, *heads: str) -> set[str]:
        """Some commits and all their ancestors."""
        left, reached = list(heads), set(heads)
        while left:
            fresh = set(self.commits[left.pop()].parents) - reached
            reached |= fresh
            left += fresh
        return reached

    def merge_bases(self, one: str, two: str) -> set[str]:
        """The common ancestors of two commits that no other common one reaches."""
        common = self.reach(one) & self.reach(two)
        return common - {
            commit for other in common for commit in self.reach(other) if commit != other
        }

    def order(self, commits: Iterable[str]) -> list[str]:
        """Commits in the order of a listing."""
        return sorted(commits, key=lambda commit: (-self.commits[commit].generation, commit))

    def is_same(self, commit: str, parent: str, path: str) -> bool:
        """Whether a path is the same in a commit and its parent."""
        return self.commits[commit].at(path) == self.commits[parent].at(path)

    def changes(self, commit: str, path: str) -> bool:
        """Whether a path differs from what it is in every parent; without parents, whether it is there."""
        made = self.commits[commit]
        if not made.parents:
            return made.at(path) is not None
        return not any(self.is_same(commit, parent, path) for parent in made.parents)

    def log(self, head: str, path: str) -> list[str]:
        """The commits of `git log -- path`: of parents with the same, only the first is followed."""
        followed, left = {head}, [head]
        while left:
            commit = left.pop()
            parents = self.commits[commit].parents
            same = [parent for parent in parents if self.is_same(commit, parent, path)]
            fresh = set(same[:1] or parents) - followed
            followed |= fresh
            left += fresh
        return self.order(commit for commit in followed if self.changes(commit, path))

    def changes_since(self, head: str, base: str, paths: Sequence[str]) -> dict[str, str]:
        """The answer of FindChangesSince."""
        unknown = self.order(self.reach(head) - self.reach(base))
        found: dict[str, str] = {}
        for path in paths:
            if self.commits[head].at(path) != self.commits[base].at(path):
                by = (commit for commit in unknown if self.changes(commit, path))
                if (first := next(by, None)) is not None:
                    found[path] = first
        return found


def make_random(seed: int, count: int) -> History:
    """A history of up to `count` commits: lines, branches, merges of up to five parents, several roots."""
    rng = random.Random(seed)
    history, names = History(), list[str]()
    while len(names) < count:
        recent = names[-rng.choice([1, 1, 3, 20, 200]) :]
        most = rng.choice([1, 1, 1, 2, 2, 5])
        parents = rng.sample(recent, min(most, len(recent))) if rng.random() > 0.03 else []
        files = dict(history.commits[rng.choice(parents)].files) if parents else {}
        for parent in parents:
            files |= {p: t for p, t in history.commits[parent].files.items() if rng.random() < 0.3}
        for _ in range(rng.choice([0, 0, 1, 1, 2, 5])):
            path = f"d{rng.randrange(3)}/e{rng.randrange(2)}/{rng.randrange(4)}"
            if rng.random() < 0.2:
                files.pop(path, None)
            else:
                files[path] = str(rng.randrange(3))
        names.append(history.add(files, *parents))
    return history
