"""The model of history: those who release what no branch reaches any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

from tests.models.history_callers import Callers
from tests.models.history_world import (
    CHILDREN,
    IDLE,
    NO_NAMES,
    NO_ROWS,
    PARENTS,
    REPOSITORY,
    TREE,
    WITH_FILE,
    Actor,
    Names,
    World,
    head_of,
    reach,
)


class Search(NamedTuple):
    """A search of directories: the last condemnation before it, and the commits that it has read.

    Attributes:
        may_delete: all deeper directories that it did not reach are gone.
    """

    number: int
    commits: Names
    may_delete: bool = True


class History(Callers):
    """The model with some actors, of which one may be broken."""

    def __init__(self, actors: tuple[Actor, ...], broken: str = "") -> None:
        super().__init__(actors, broken)
        self.programs |= {
            "time": self._pass,
            "release commits": self._release_commits,
            "release directories": self._release_directories,
            "release lists": self._release_lists,
        }

    def _pass(self, world: World, _me: int, _target: str) -> Iterator[tuple[str, World]]:
        """Times end whenever they like."""
        for commit in sorted(world.former):
            yield (
                f"{commit} has been left for long",
                world._replace(former=world.former - {commit}, ended=world.ended | {commit}),
            )

    def _release_commits(self, world: World, me: int, _target: str) -> Iterator[tuple[str, World]]:
        place, what, _, locked = world.actors[me]
        commit = str(what)
        if place == "idle":
            for each in sorted(world.ended):
                row, head = frozenset({("commit", each)}), head_of(each)
                if self.broken == "release does not lock a head":
                    head = NO_ROWS
                if self.broken == "release does not lock a commit":
                    row = NO_ROWS
                if world.is_free(me, row | head, to_change=True):
                    yield f"holds {each}", world.move(me, ("look", each, NO_ROWS, row | head))
        elif place == "look":
            then = "needed" if self._is_needed(world, commit) else "needless"
            yield f"finds {commit} {then}", world.move(me, (then, commit, NO_ROWS, locked))
        else:
            yield (
                "commits",
                self._drop_commit(world, commit, is_needed=place == "needed").move(me, IDLE),
            )

    def _is_needed(self, world: World, commit: str) -> bool:
        has_child = any(commit in PARENTS[each] for each in world.commits)
        if self.broken == "release takes a commit before its children":
            has_child = False
        return commit in world.branches or has_child

    def _drop_commit(self, world: World, commit: str, *, is_needed: bool) -> World:
        """Forgets that a commit was a head; deletes it, and its parents are looked at next."""
        after = world._replace(ended=world.ended - {commit})
        if is_needed or commit not in world.commits:
            return after
        parents = NO_NAMES if self.broken == "release forgets the parents" else PARENTS[commit]
        return after._replace(
            commits=after.commits - {commit}, ended=after.ended | (parents - after.former)
        )

    def _release_directories(
        self, world: World, me: int, _target: str
    ) -> Iterator[tuple[str, World]]:
        place, what, _, _ = world.actors[me]
        if place == "idle":
            if world.directories - reach(world.commits) or world.condemned:
                search = Search(world.number, NO_NAMES)
                yield "begins", world.move(me, ("C1", search, NO_ROWS, NO_ROWS))
            return
        search = cast(Search, what)
        if place in TREE:
            # One page of the commits after the other, each as it is then.
            then = {"C1": "C2", "C2": "R"}[place]
            search = search._replace(commits=search.commits | (world.commits & {place}))
            yield f"reads {place}", world.move(me, (then, search, NO_ROWS, NO_ROWS))
        elif place in CHILDREN:
            yield from self._look(world, me, place, search)
        else:
            action, name = place.split()
            after = (
                self._condemn(world, name)
                if action == "condemn"
                else self._drop(world, name, search)
            )
            yield place, self._go_on(after, me, name, search)

    def _go_on(self, world: World, me: int, name: str, search: Search) -> World:
        """Goes on with the directories that are less deep; below one that stayed, none is deleted."""
        stayed = name in world.directories and name not in self._find_reached(search)
        if stayed and self.broken != "release goes on below what has stayed":
            search = search._replace(may_delete=False)
        return world.move(me, IDLE if name == "D" else ("D", search, NO_ROWS, NO_ROWS))

    def _find_reached(self, search: Search) -> Names:
        if self.broken == "release looks at commits alone":
            return frozenset(TREE[commit] for commit in search.commits)
        return reach(search.commits)

    def _look(
        self, world: World, me: int, name: str, search: Search
    ) -> Iterator[tuple[str, World]]:
        """Locks a directory that the search did not reach; passes by one that is locked."""
        if name not in world.directories or name in self._find_reached(search):
            after = self._go_on(world, me, name, search)
            is_reached = name in self._find_reached(search)
            yield f"passes {name} by", after.pardon(frozenset({name})) if is_reached else after
            return
        if not world.is_free(me, REPOSITORY, to_change=False):
            return
        row = frozenset({("directory", name)})
        is_condemned = name in world.list_condemned()
        if not is_condemned and self.broken == "release condemns without a lock":
            yield f"sees {name}", world.move(me, (f"condemn {name}", search, NO_ROWS, NO_ROWS))
        elif is_condemned and self.broken == "release deletes without a lock":
            yield f"sees {name}", world.move(me, (f"delete {name}", search, NO_ROWS, NO_ROWS))
        elif not world.is_free(me, row, to_change=True):
            yield f"leaves {name}", self._go_on(world, me, name, search)
        elif not is_condemned or search.may_delete:
            then = "delete" if is_condemned else "condemn"
            yield f"holds {name}", world.move(me, (f"{then} {name}", search, REPOSITORY, row))
        else:
            yield f"leaves {name}", self._go_on(world, me, name, search)

    def _condemn(self, world: World, name: str) -> World:
        if name not in world.directories or name in world.list_condemned():
            return world
        number = world.number + 1
        return world._replace(condemned=world.condemned | {(name, number)}, number=number)

    def _drop(self, world: World, name: str, search: Search) -> World:
        """Deletes a directory that was condemned before the search."""
        numbers = [number for each, number in world.condemned if each == name]
        if self.broken == "release deletes without a lock":
            numbers = [0]
        is_late = numbers and numbers[0] > search.number
        if is_late and self.broken != "release deletes what was condemned during the search":
            return world
        if name not in world.directories or not numbers:
            return world
        after = world._replace(directories=world.directories - {name}).pardon(frozenset({name}))
        after = after.count_contents(-len({name} & WITH_FILE))
        if world.gone and self.broken != "release does not look at obliterations":
            after = after._replace(references=world.references)
        return after

    def _release_lists(self, world: World, me: int, _target: str) -> Iterator[tuple[str, World]]:
        """Reads a list, keeps the repository, and takes a reference unless another job has."""
        place, what, _, _ = world.actors[me]
        if place == "idle":
            if world.lists:
                yield "reads a list", world.move(me, ("list", world.lists, NO_ROWS, NO_ROWS))
        elif world.is_free(me, REPOSITORY, to_change=False):
            is_there = world.lists >= cast(int, what)
            if self.broken == "a job does not look whether another was there":
                is_there = True
            yield "commits", (world.release_list() if is_there else world).move(me, IDLE)
