"""The model of history: those who push, create, move and delete branches, and obliterate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from tests.models.explorer import Step
from tests.models.history_world import (
    DEAD,
    IDLE,
    NO_NAMES,
    NO_ROWS,
    PARENTS,
    REPOSITORY,
    SEEN_GONE,
    TREE,
    WITH_FILE,
    Actor,
    Names,
    World,
    head_of,
    reach,
    rows_of,
    with_parents,
)

TABLES = ("directory", "commit")
Program = Callable[[World, int, str], Iterator[tuple[str, World]]]
BACKGROUND = ("time", "release commits", "release directories", "release lists")


class Callers:
    """Those who call, of whom one may be broken."""

    def __init__(self, actors: tuple[Actor, ...], broken: str = "") -> None:
        self.actors = actors
        self.broken = broken
        self.programs: dict[str, Program] = {
            "push": self._push,
            "push names": self._push,
            "delete branch": self._delete_branch,
            "move back": self._move_back,
            "create branch": self._create_branch,
            "obliterate": self._obliterate,
            "lift": self._obliterate,
        }

    def steps(self, world: World) -> Iterator[Step[World]]:
        """Yields what can happen next."""
        for me, actor in enumerate(self.actors):
            place = world.actors[me]
            if place == DEAD:
                continue
            is_background = actor.kind in BACKGROUND
            for what, after in self.programs[actor.kind](world, me, actor.target):
                yield f"{actor.kind} {actor.target}: {what}", after, is_background
            if place != IDLE:
                after = world.move(me, IDLE if is_background else DEAD)
                yield f"{actor.kind} {actor.target}: crashes", after, True

    def _push(self, world: World, me: int, commit: str) -> Iterator[tuple[str, World]]:
        is_whole = self.actors[me].kind == "push"
        commits = with_parents(frozenset({commit})) if is_whole else frozenset({commit})
        # What is below a directory that is there, no push asks for.
        names = reach(commits) if is_whole else frozenset({TREE[commit]})
        brings = names if is_whole else NO_NAMES
        match world.actors[me][0]:
            case "idle" if is_whole or PARENTS[commit] <= world.commits:
                yield from self._begin_push(world, me)
            case "directories":
                yield from self._lock(world, me, "directory", names, brings, "commits")
            case "commits":
                named = commits.union(*(PARENTS[each] for each in commits))
                yield from self._lock(world, me, "commit", named, commits, "insert directories")
            case "insert directories":
                yield from self._insert(world, me, "directory", brings, "insert commits")
            case "insert commits":
                yield from self._insert(world, me, "commit", commits, "commit")
            case "commit":
                yield "commits", self._commit_push(world, me, commit, brings)

    def _begin_push(self, world: World, me: int) -> Iterator[tuple[str, World]]:
        """Keeps the repository, and sees what is obliterated. A branch that has it passes it on."""
        if not world.is_free(me, REPOSITORY, to_change=False):
            return
        if world.gone and not world.branches:
            yield "is refused", world.move(me, DEAD)
        else:
            kept = REPOSITORY | SEEN_GONE if world.gone else REPOSITORY
            yield "begins", world.move(me, ("directories", NO_NAMES, kept, NO_ROWS))

    def _lock(
        self, world: World, me: int, table: str, names: Names, brings: Names, then: str
    ) -> Iterator[tuple[str, World]]:
        """Waits for who changes rows that it brings or names, and then sees which are there."""
        if not world.is_free(me, rows_of(table, names), to_change=False):
            return
        there = names & (world.directories if table == "directory" else world.commits)
        kept = rows_of(table, there)
        if self.broken == "push does not lock what it names" and table == "directory":
            kept &= rows_of(table, brings)
        if self.broken == "push does not lock the parent":
            kept -= {("commit", "C1")}
        if not names <= there | brings:
            yield "is refused", world.move(me, DEAD)
        else:
            _, pardoned, held, changed = world.actors[me]
            if table == "directory":
                pardoned = there & world.list_condemned()
            yield f"holds each {table}", world.move(me, (then, pardoned, held | kept, changed))

    def _insert(
        self, world: World, me: int, table: str, brings: Names, then: str
    ) -> Iterator[tuple[str, World]]:
        """What is not there yet belongs to who inserts it first; ON CONFLICT locks the rest."""
        there = world.directories if table == "directory" else world.commits
        new, old = rows_of(table, brings - there), rows_of(table, brings & there)
        if self.broken == f"push leaves out a {table} that is there by now":
            old = NO_ROWS
        is_free = world.is_free(me, new, to_change=True)
        if is_free and world.is_free(me, old, to_change=False):
            _, pardoned, held, changed = world.actors[me]
            if table == "directory" and self.broken != "push pardons only what was there at once":
                pardoned = cast(Names, pardoned) | (brings & world.list_condemned())
            yield (
                f"inserts each {table}",
                world.move(me, (then, pardoned, held | old, changed | new)),
            )

    def _commit_push(self, world: World, me: int, commit: str, brings: Names) -> World:
        _, pardoned, kept, changed = world.actors[me]
        new = {table: frozenset(n for t, n in changed if t == table) for table in TABLES}
        counted = brings if self.broken == "push counts what was there" else new["directory"]
        after = world._replace(
            directories=world.directories | new["directory"],
            commits=world.commits | new["commit"] | {commit},
            branches=world.branches | {commit},
        )
        if self.broken != "push does not pardon":
            after = after.pardon(cast(Names, pardoned))
        after = after.count_contents(len(counted & WITH_FILE)).move(me, DEAD)
        if kept >= SEEN_GONE and self.broken != "push refers to what is obliterated":
            after = after._replace(references=world.references)
        return after

    def _delete_branch(self, world: World, me: int, commit: str) -> Iterator[tuple[str, World]]:
        if commit in world.branches and world.is_free(me, head_of(commit), to_change=True):
            yield "commits", world.leave(commit).move(me, DEAD)

    def _move_back(self, world: World, me: int, commit: str) -> Iterator[tuple[str, World]]:
        """Moves a branch to the parent of its commit."""
        parent = rows_of("commit", PARENTS[commit])
        if world.actors[me][0] == "idle":
            if commit in world.branches and world.is_free(me, parent, to_change=False):
                yield "holds the parent", world.move(me, ("commit", "", parent, NO_ROWS))
        elif commit in world.branches and world.is_free(me, head_of(commit), to_change=True):
            after = world.leave(commit)
            if self.broken == "a forced move forgets the head":
                after = world._replace(branches=world.branches - {commit})
            yield (
                "commits",
                after._replace(branches=after.branches | PARENTS[commit]).move(me, DEAD),
            )

    def _create_branch(self, world: World, me: int, commit: str) -> Iterator[tuple[str, World]]:
        row = frozenset({("commit", commit)})
        if world.actors[me][0] == "idle":
            if commit not in world.commits:
                return
            if self.broken == "a branch is created without a lock":
                yield "sees the commit", world.move(me, ("commit", "", NO_ROWS, NO_ROWS))
            elif world.is_free(me, row, to_change=False):
                yield "holds the commit", world.move(me, ("commit", "", row, NO_ROWS))
        else:
            after = world._replace(branches=world.branches | {commit})
            yield "commits", after.move(me, DEAD)

    def _obliterate(self, world: World, me: int, _target: str) -> Iterator[tuple[str, World]]:
        """Removes A, or gives it back; waits for who has the repository."""
        kind, place = self.actors[me].kind, world.actors[me]
        if place[0] == "idle":
            is_due = world.contents > 0 and world.gone == (kind == "lift")
            is_free = world.is_free(me, REPOSITORY, to_change=True)
            if is_due and self.broken == f"{kind} does not wait":
                yield "sees A", world.move(me, ("commit", "", NO_ROWS, NO_ROWS))
            elif is_due and is_free:
                yield "holds the repository", world.move(me, ("commit", "", NO_ROWS, REPOSITORY))
        else:
            after = world.obliterate() if kind == "obliterate" else world.lift()
            if kind == "lift" and self.broken == "lift forgets what a job has yet to take":
                after = after._replace(lists=0)
            yield "commits", after.move(me, DEAD)
