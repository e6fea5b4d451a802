"""Decides whether a concurrent history could have happened one operation at a time.

The algorithm is that of Wing and Gong with Lowe's memory of configurations, as in Porcupine: try to let
an operation take effect that began before any other ended, go on from there, and step back where that
leads nowhere; what has been tried (a set of operations and the state they lead to) is not tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

State = TypeVar("State", bound=Hashable)
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Operation:
    """A call, from when it was sent to when its answer came."""

    client: str
    begin: float
    end: float
    asked: Any
    answer: Any


class Model(Protocol[State]):
    """How the thing behaves when calls come one after the other."""

    def initial(self) -> State:
        """Before the first operation."""

    def step(self, state: State, asked: Any, answer: Any) -> State | None:
        """The state after an operation with this answer; None if it cannot have this answer here."""


@dataclass(slots=True)
class Verdict:
    """What the checker found.

    Attributes:
        order: an order in which all took effect; of an impossible history the longest beginning found.
        stuck: the operations of which one would have to come next, and none can.
    """

    is_linearizable: bool
    order: list[Operation] = field(default_factory=list)
    stuck: list[Operation] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"  {op.client}: {op.asked} -> {op.answer}" for op in self.order[-12:]]
        lines.append("then one of these, but none is possible:")
        lines += [f"  {op.client}: {op.asked} -> {op.answer}" for op in self.stuck]
        return "\n".join(lines)


class _Search(Generic[State]):
    """One search through the orders of a history."""

    def __init__(self, model: Model[State], history: Sequence[Operation]) -> None:
        self.model = model
        self.operations = sorted(history, key=lambda op: (op.begin, op.end))
        self.done = 0  # a bit per operation
        self.state = model.initial()
        self.tried: set[tuple[int, State]] = set()
        self.path: list[tuple[int, State, list[int]]] = []
        self.longest: list[int] = []

    def candidates(self) -> list[int]:
        """Operations that can be next: those that began before any other open one ended."""
        first_end = float("inf")
        found = []
        for i, op in enumerate(self.operations):
            if self.done >> i & 1:
                continue
            if op.begin > first_end:
                break
            first_end = min(first_end, op.end)
            found.append(i)
        return [i for i in found if self.operations[i].begin <= first_end]

    def search(self) -> Verdict:
        """Looks for an order that the model allows."""
        everything = (1 << len(self.operations)) - 1
        choices = self.candidates()
        while self.done != everything:
            if self.advance(choices):
                choices = self.candidates()
                continue
            if len(self.path) >= len(self.longest):
                self.longest = [i for i, _, _ in self.path]
            if not self.path:
                return self.failure()
            last, self.state, choices = self.path.pop()
            self.done &= ~(1 << last)
        return Verdict(True, [self.operations[i] for i, _, _ in self.path])

    def advance(self, choices: list[int]) -> bool:
        """Lets the first possible choice take effect; takes it and those before it off the list."""
        while choices:
            i = choices.pop(0)
            op = self.operations[i]
            following = self.model.step(self.state, op.asked, op.answer)
            if following is None:
                continue
            configuration = (self.done | 1 << i, following)
            if configuration in self.tried:
                continue
            self.tried.add(configuration)
            self.path.append((i, self.state, choices))
            self.done, self.state = configuration
            return True
        return False

    def failure(self) -> Verdict:
        self.done = sum(1 << i for i in self.longest)
        stuck = [self.operations[i] for i in self.candidates()]
        return Verdict(False, [self.operations[i] for i in self.longest], stuck)


def check(model: Model[State], history: Iterable[Operation]) -> Verdict:
    """Whether the operations can be put into an order that the model allows and real time too."""
    return _Search(model, list(history)).search()


def partition(
    history: Iterable[Operation], key: Callable[[Operation], Key]
) -> dict[Key, list[Operation]]:
    """The history in parts that have nothing to do with each other."""
    parts: dict[Key, list[Operation]] = {}
    for op in history:
        parts.setdefault(key(op), []).append(op)
    return parts
