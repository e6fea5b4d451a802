"""Explores all states of a model: is there one that must not be, or that garbage never leaves?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

State = TypeVar("State", bound=Hashable)

# What happens, and the state afterwards; `is_background`: it happens without any user.
Step = tuple[str, State, bool]


class Broken(Exception):  # noqa: N818  what a search is for
    """A state that must not be; the text says how one gets there."""


@dataclass(slots=True)
class Explored(Generic[State]):
    """All states that can be reached.

    Attributes:
        parents: how each state was reached first: the step's name, and the state before.
        back: for each state, those from which a background step leads to it.
    """

    parents: dict[State, tuple[str, State] | None] = field(default_factory=dict)
    back: dict[State, list[State]] = field(default_factory=dict)

    def trace(self, state: State) -> str:
        """Returns the steps that lead to a state, one a line."""
        names = []
        parent = self.parents[state]
        while parent is not None:
            names.append(parent[0])
            parent = self.parents[parent[1]]
        return "\n".join([*reversed(names), repr(state)])


def explore(
    start: State,
    steps: Callable[[State], Iterable[Step[State]]],
    check: Callable[[State], str],
    is_clean: Callable[[State], bool],
    *,
    most: int = 2_000_000,
) -> int:
    """Returns the number of states that can be reached from `start`.

    Raises Broken if `check` finds something wrong with one, or if from one of them the background steps
    alone cannot reach a clean state. Raises RuntimeError if there are more states than `most`.
    """
    explored = Explored[State]({start: None})
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        if wrong := check(state):
            raise Broken(f"{wrong}\n{explored.trace(state)}")
        for name, after, is_background in steps(state):
            if after not in explored.parents:
                explored.parents[after] = name, state
                waiting.append(after)
            if is_background:
                explored.back.setdefault(after, []).append(state)
        if len(explored.parents) > most:
            raise RuntimeError(f"more than {most} states")
    for state in _find_stuck(explored, is_clean):
        raise Broken(f"garbage stays\n{explored.trace(state)}")
    return len(explored.parents)


def _find_stuck(explored: Explored[State], is_clean: Callable[[State], bool]) -> Iterator[State]:
    """Yields the states from which no background steps lead to a clean one."""
    saved = {state for state in explored.parents if is_clean(state)}
    waiting = list(saved)
    while waiting:
        for before in explored.back.get(waiting.pop(), ()):
            if before not in saved:
                saved.add(before)
                waiting.append(before)
    yield from (state for state in explored.parents if state not in saved)
