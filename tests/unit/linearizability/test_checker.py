"""The checker itself: known good and known bad histories."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.linearizability.checker import Operation, check, partition


class Register:
    """A number that is read and written."""

    def initial(self) -> int:
        return 0

    def step(self, state: int, asked: int | None, answer: int | None) -> int | None:
        if asked is not None:
            return asked
        return state if answer == state else None


def write(value: int, begin: float, end: float) -> Operation:
    return Operation("w", begin, end, value, None)


def read(value: int, begin: float, end: float) -> Operation:
    return Operation("r", begin, end, None, value)


GOOD = {
    "nothing": [],
    "in a row": [write(1, 0, 1), read(1, 2, 3)],
    "a read beside a write sees either": [write(1, 0, 9), read(0, 1, 2), read(1, 3, 4)],
    "a write takes effect late": [write(1, 0, 9), read(0, 1, 8)],
    "two writes cross": [write(1, 0, 9), write(2, 0, 9), read(2, 1, 3), read(1, 4, 6)],
    "an answer that never came": [write(1, 0, float("inf")), read(0, 1, 2), read(1, 3, 4)],
    "porcupine's first": [write(100, 0, 10), read(100, 2.5, 7.5), read(0, 3, 6)],
}
BAD = {
    "a value that nobody wrote": [read(7, 0, 1)],
    "a stale read": [write(1, 0, 1), read(0, 2, 3)],
    "forth and back": [write(1, 0, 9), read(1, 1, 2), read(0, 3, 4)],
    "two readers disagree": [
        write(1, 0, 9), write(2, 0, 9),
        read(1, 1, 2), read(2, 3, 4), read(1, 5, 6),
    ],
    "porcupine's second": [write(200, 0, 10), read(200, 1, 3), read(0, 4, 7)],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_possible_histories(name: str) -> None:
    verdict = check(Register(), GOOD[name])
    assert verdict.is_linearizable
    assert sorted(verdict.order, key=repr) == sorted(GOOD[name], key=repr)


@pytest.mark.parametrize("name", BAD)
def test_impossible_histories(name: str) -> None:
    verdict = check(Register(), BAD[name])
    assert not verdict.is_linearizable
    assert verdict.stuck
    assert "none is possible" in str(verdict)


def brute_force(history: Iterable[Operation]) -> bool:
    """Tries every order."""
    model = Register()
    for order in itertools.permutations(history):
        if any(b.end < a.begin for a, b in itertools.combinations(order, 2)):
            continue
        state: int | None = model.initial()
        for op in order:
            state = model.step(state, op.asked, op.answer) if state is not None else None
        if state is not None:
            return True
    return False


moments = st.tuples(st.integers(0, 12), st.integers(0, 4))
registers = st.builds(
    lambda is_write, value, when: (write if is_write else read)(value, when[0], sum(when)),
    st.booleans(),
    st.integers(0, 2),
    moments,
)


@given(st.lists(registers, max_size=6))
def test_agrees_with_trying_every_order(history: list[Operation]) -> None:
    assert check(Register(), history).is_linearizable == brute_force(history)


def test_a_long_history_takes_no_long_time() -> None:
    history = [
        op
        for i in range(200)
        for op in (
            write(i, 3 * i, 3 * i + 4),
            read(i, 3 * i + 1, 3 * i + 3.5),
            read(i, 3 * i + 2, 3 * i + 4),
        )
    ]
    assert check(Register(), history).is_linearizable


def test_parts() -> None:
    history = [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5)]
    assert partition(history, lambda op: op.client) == {
        "w": [history[0], history[2]],
        "r": [history[1]],
    }
