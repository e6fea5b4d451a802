"""The states of the model of history: pushes, branches, obliteration, and the release of what is unreached.

The tree R has one directory, D, which has one file: content A, with one chunk, which the repository holds.
Commit C1 is of tree R, commit C2 of tree D and a child of C1: a directory has a commit or another directory
that names it, or both, and a commit has a branch or a child. As in the model of the chunk, rows that are
locked cannot change, and what is read without a lock is read where it is read. `history_callers` has who
pushes, moves branches and obliterates, `history` who releases.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

Names = frozenset[str]
TREE = {"C1": "R", "C2": "D"}
NO_NAMES: Names = frozenset()
PARENTS = {"C1": NO_NAMES, "C2": frozenset({"C1"})}
# The directories that each names.
CHILDREN = {"R": frozenset({"D"}), "D": NO_NAMES}
WITH_FILE = frozenset({"D"})

REPOSITORY = frozenset({("repository", "")})
# Kept by a push that has read that A is obliterated.
SEEN_GONE = frozenset({("obliteration", "A")})

Row = tuple[str, str]
# Where an actor is, what it works on, and the rows that it has locked: to keep, or to change.
Place = tuple[str, Hashable, frozenset[Row], frozenset[Row]]
NO_ROWS: frozenset[Row] = frozenset()
IDLE: Place = ("idle", "", NO_ROWS, NO_ROWS)
DEAD: Place = ("dead", "", NO_ROWS, NO_ROWS)


class Actor(NamedTuple):
    """Somebody who acts.

    `push` brings a commit with its parents and all their directories, `push names` the commit alone.
    """

    kind: str
    target: str = ""


class World(NamedTuple):
    """A state: the commits that the branches are at, the rows, and where the actors are.

    Attributes:
        former: commits that a branch has left, as long as they are kept for it.
        ended: those of which that time is over.
        condemned: directories that a search did not reach, each with the number of its condemnation.
        number: the last of these numbers.
        contents: assets.ref_count of A; 0 = there is no row.
        references: chunk_refs.ref_count of its chunk.
        gone: A is obliterated.
        lists: how often a job has yet to take a reference from the chunk.
    """

    branches: Names
    former: Names
    ended: Names
    commits: Names
    directories: Names
    condemned: frozenset[tuple[str, int]]
    number: int
    contents: int
    references: int
    actors: tuple[Place, ...]
    gone: bool = False
    lists: int = 0

    def move(self, me: int, place: Place) -> World:
        """Returns the state with an actor at another place."""
        return self._replace(actors=(*self.actors[:me], place, *self.actors[me + 1 :]))

    def count_contents(self, change: int) -> World:
        """Returns the state in which more or fewer directories contain A."""
        after = self.contents + change
        change_of_rows = int(after > 0) - int(self.contents > 0)
        return self._replace(contents=after, references=self.references + change_of_rows)

    def obliterate(self) -> World:
        """Returns the state in which A, which is there, is obliterated; its reference is left to a job."""
        return self._replace(gone=True, lists=self.lists + 1)

    def lift(self) -> World:
        """Returns the state in which A, which is there, is not obliterated; its chunk is referred to."""
        return self._replace(gone=False, references=self.references + 1)

    def release_list(self) -> World:
        """Returns the state in which a job has taken a reference."""
        return self._replace(lists=self.lists - 1, references=self.references - 1)

    def leave(self, commit: str) -> World:
        """Returns the state in which no branch is at a commit, and from now on its time runs."""
        return self._replace(
            branches=self.branches - {commit},
            former=self.former | {commit},
            ended=self.ended - {commit},
        )

    def pardon(self, names: Names) -> World:
        """Returns the state in which some directories are not condemned."""
        return self._replace(condemned=frozenset(c for c in self.condemned if c[0] not in names))

    def list_condemned(self) -> Names:
        """Returns the condemned directories."""
        return frozenset(name for name, _ in self.condemned)

    def is_free(self, me: int, rows: frozenset[Row], *, to_change: bool) -> bool:
        """Whether no other actor's lock is in the way: those who keep a row do not disturb each other."""
        others = [place for other, place in enumerate(self.actors) if other != me]
        changed = NO_ROWS.union(*(place[3] for place in others))
        kept = NO_ROWS.union(*(place[2] for place in others))
        return not rows & (changed | kept if to_change else changed)


def start(actors: tuple[Actor, ...]) -> World:
    """Returns the empty repository."""
    no = NO_NAMES
    return World(no, no, no, no, no, frozenset(), 0, 0, 0, (IDLE,) * len(actors))


def check(world: World) -> str:
    """Returns what is wrong; empty = nothing is."""
    wrong = {
        "a branch at a commit that is gone": not world.branches <= world.commits,
        "a commit without its parent": with_parents(world.commits) != world.commits,
        "a commit whose tree is gone": any(TREE[c] not in world.directories for c in world.commits),
        "a directory without one that it names": any(
            not CHILDREN[name] <= world.directories for name in world.directories
        ),
        "assets.ref_count": world.contents != len(world.directories & WITH_FILE),
        "a reference that is taken twice": world.lists < 0,
        "chunk_refs.ref_count": world.references
        != int(world.contents > 0 and not world.gone) + world.lists,
    }
    return next((what for what, is_wrong in wrong.items() if is_wrong), "")


def is_clean(world: World) -> bool:
    """Whether nothing is kept that no branch reaches."""
    return (
        not world.former | world.ended
        and not world.lists
        and not world.condemned
        and world.commits == with_parents(world.branches)
        and world.directories == reach(world.commits)
    )


def rows_of(table: str, names: Names) -> frozenset[Row]:
    """Returns the rows of a table."""
    return frozenset((table, name) for name in names)


def head_of(commit: str) -> frozenset[Row]:
    """Returns the row that says that a commit was a head."""
    return frozenset({("former head", commit)})


def with_parents(commits: Names) -> Names:
    """Returns commits and their ancestors."""
    return commits.union(*(PARENTS[commit] for commit in commits))


def reach(commits: Names) -> Names:
    """Returns the directories of commits."""
    trees = {TREE[commit] for commit in commits}
    return frozenset(trees.union(*(CHILDREN[tree] for tree in trees)))
