"""What refs, commits and trees are after some calls, and which calls are refused: a model. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

Tree = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Rules:
    """What protects a branch."""

    no_force: bool = False
    no_deletion: bool = False
    admins_only: bool = False
    linear: bool = False

    def __bool__(self) -> bool:
        """Whether there is any rule."""
        return self != Rules()


@dataclass(slots=True)
class RefModel:
    """A repository.

    Attributes:
        trees, parents: of each commit.
        branches, tags: the commits that they are at.
        rules: of the branches that are protected.
        gone: contents that are obliterated.
        forgotten: commits that were released.
    """

    trees: dict[str, Tree] = field(default_factory=dict)
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    rules: dict[str, Rules] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)
    forgotten: list[str] = field(default_factory=list)
    default: str = "main"

    def add(self, commit: str, tree: Tree, parents: Iterable[str]) -> None:
        """Adds a commit."""
        self.trees[commit], self.parents[commit] = tree, tuple(parents)

    def reach(self, *commits: str) -> set[str]:
        """Commits and their ancestors."""
        reached: set[str] = set()
        left = list(commits)
        while left:
            if (commit := left.pop()) not in reached:
                reached.add(commit)
                left += self.parents[commit]
        return reached

    def count_divergence(self, base: str, head: str) -> tuple[int, int]:
        """How many commits each of the two has that the other has not: ahead, behind."""
        ours, theirs = self.reach(base), self.reach(head)
        return len(theirs - ours), len(ours - theirs)

    def find_merge_bases(self, one: str, other: str) -> set[str]:
        """The common ancestors that are ancestors of no other one."""
        common = self.reach(one) & self.reach(other)
        return common - {below for commit in common for below in self.reach(*self.parents[commit])}

    def release(self) -> None:
        """Forgets what no ref reaches."""
        kept = self.reach(*self.branches.values(), *self.tags.values())
        for commit in [each for each in self.trees if each not in kept]:
            del self.trees[commit], self.parents[commit]
            self.forgotten.append(commit)

    def brings_gone(self, new: str, olds: Collection[str]) -> bool:
        """Whether a commit has an obliterated content where none of some others has it."""
        tree = self.trees[new]
        return any(
            data in self.gone and all(self.trees[old].get(path) != data for old in olds)
            for path, data in tree.items()
        )

    def brings_gone_by_commits(self, head: str) -> bool:
        """Whether a new branch brings an obliterated content by commits that no branch reaches."""
        reached = self.reach(*self.branches.values())
        nearest: set[str] = set()
        left = [head]
        while left:
            commit = left.pop()
            if commit in reached:
                nearest.add(commit)
            else:
                left += self.parents[commit]
        return head not in reached and self.brings_gone(head, nearest)

    def judge_move(self, name: str, new: str, *, force: bool, admin: bool) -> set[str]:
        """Why a branch may not move from where it is to a commit."""
        old, rules = self.branches[name], self.rules.get(name, Rules())
        is_forward = old in self.reach(new)
        found = set()
        if not is_forward and not force:
            found.add("NOT_FAST_FORWARD")
        added = self.reach(new) - self.reach(old)
        if (
            (rules.no_force and not is_forward)
            or (rules.admins_only and not admin)
            or (rules.linear and any(len(self.parents[each]) > 1 for each in added))
        ):
            found.add("BRANCH_PROTECTED")
        if self.brings_gone(new, [old]):
            found.add("CONTENT_OBLITERATED")
        return found

    def judge_removal(self, name: str, *, admin: bool) -> set[str]:
        """Why a branch may not be deleted or renamed."""
        rules = self.rules.get(name)
        is_refused = rules and (rules.no_deletion or not admin)
        return {"BRANCH_PROTECTED"} if is_refused else set()

    def merge(self, base: str, ours: str, theirs: str) -> Tree | None:
        """The files of both; None if there are conflicts."""
        one, other, old = self.trees[ours], self.trees[theirs], self.trees[base]
        merged: Tree = {}
        for path in sorted(one.keys() | other.keys() | old.keys()):
            was, mine, yours = old.get(path), one.get(path), other.get(path)
            if mine != yours and was not in (mine, yours):
                return None
            data = yours if mine == was else mine
            if data is not None:
                merged[path] = data
        return merged
