"""The checker itself: known good and known bad histories."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.linearizability.checker import Operation, check, partition
from tests.linearizability.lock_model import (
    EXCLUSIVE,
    SHARED,
    Acquire,
    Acquired,
    Asked,
    Blocked,
    Change,
    Done,
    Ended,
    Force,
    Held,
    Judged,
    LockModel,
    Look,
    Release,
    Renew,
    Result,
    Seen,
    Show,
    Transfer,
)


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


# Locks: (what was asked, what was answered), one after the other unless said otherwise.

A = Held("a", "d/f", EXCLUSIVE, "ada", 1, 100, 200)
B = Held("b", "d/f", EXCLUSIVE, "bob", 2, 200, 300)
S = Held("s", "d/f", SHARED, "ada", 1, 100, 200)
T = Held("t", "d/f", SHARED, "bob", 2, 110, 210)
PUSH, NONE = Change("ada", "d/f"), frozenset[str]()
G = Held("g", "d/g", EXCLUSIVE, "bob", 2, 150, 250)
D = Held("d", "d/", EXCLUSIVE, "bob", 2, 150, 250)


def grant(*locks: Held, mode: str = EXCLUSIVE, steal: tuple[str, ...] = ()) -> tuple[Asked, object]:
    first = locks[0]
    asked = Acquire(
        first.owner, tuple(h.path for h in locks), mode, first.end - first.begin, steal=steal
    )
    return asked, Acquired(first.begin, tuple(Result(h.path, h) for h in locks))


ASK_A = Acquire("ada", ("d/f",), EXCLUSIVE, 100)
ASK_B = Acquire("bob", ("d/f",), EXCLUSIVE, 100)
ASK_BOTH = Acquire("bob", ("d/f", "d/g"), EXCLUSIVE, 100)
RENEWED = Held("a", "d/f", EXCLUSIVE, "ada", 1, 100, 290)
HANDED = Held("h", "d/f", EXCLUSIVE, "bob", 2, 150, 200)
POSSIBLE: dict[str, list[tuple[Asked, object]]] = {
    "one after the other": [grant(A), grant(B)],
    "refused, then released": [
        grant(A),
        (ASK_B, Blocked("a")),
        (Release("ada", "a"), Done(199)),
        grant(B),
    ],
    "shared together": [grant(S, mode=SHARED), grant(T, mode=SHARED)],
    "held already": [grant(A), (ASK_A, Acquired(150, (Result("d/f", A, already_held=True),)))],
    "renewed in time": [
        grant(A),
        (Renew("ada", "a", 1, 100), Done(190, RENEWED)),
        (ASK_B, Blocked("a")),
    ],
    "renewed too late": [grant(A), (Renew("ada", "a", 1, 100), Ended(200)), grant(B)],
    "released too late": [grant(A), (Release("ada", "a"), Ended(200))],
    "stolen": [grant(A), grant(D, steal=("a",)), (Renew("ada", "a", 1, 100), Ended(160))],
    "handed on": [
        grant(A),
        (Transfer("ada", "a", 1, "bob"), Done(150, HANDED)),
        (Force("a"), Ended(151)),
    ],
    "handed on too late, it was not said when": [
        grant(A),
        (Transfer("ada", "a", 1, "bob"), Ended()),
        grant(B),
    ],
    "seen": [grant(A), (Look(), Seen(150, frozenset({A}))), (Look(), Seen(200, frozenset()))],
    "pushed": [
        grant(A),
        (Show("ada", "a", 1), Judged(150, 150, True)),
        (PUSH, Judged(150, 160, NONE)),
    ],
    "shown while it expires": [grant(A), (Show("ada", "a", 1), Judged(199, 201, False))],
    "shown later than it was asked": [
        grant(A),
        (Look(), Seen(200, frozenset())),
        (Show("ada", "a", 1), Judged(199, 201, False)),
    ],
    "a push refused": [grant(D), (PUSH, Judged(160, 160, frozenset({"d"})))],
    "a push let through when the lock expired": [grant(D), (PUSH, Judged(160, 250, NONE))],
}
IMPOSSIBLE: dict[str, list[tuple[Asked, object]]] = {
    "two holders": [grant(A), grant(Held("b", "d/f", EXCLUSIVE, "bob", 2, 199, 299))],
    "a directory over a held file": [grant(A), grant(D)],
    "shared beside exclusive": [grant(A), grant(T, mode=SHARED)],
    "a fence that does not rise": [grant(A), grant(Held("b", "d/f", EXCLUSIVE, "bob", 1, 200, 300))],
    "time that runs backwards": [grant(B), grant(Held("c", "d/g", EXCLUSIVE, "bob", 3, 150, 250))],
    "refused by nothing": [(ASK_B, Blocked("a"))],
    "a renewal that revives": [grant(A), (Renew("ada", "a", 1, 90), Done(200, RENEWED))],
    "a renewal under another fence": [grant(A), (Renew("ada", "a", 2, 100), Done(190, RENEWED))],
    "a renewal by somebody else": [grant(A), (Renew("bob", "a", 1, 100), Done(190, RENEWED))],
    "a renewal that shortens": [
        grant(A), (Renew("ada", "a", 1, 10), Done(150, Held("a", "d/f", EXCLUSIVE, "ada", 1, 100, 160)))
    ],
    "refused though live": [grant(A), (Renew("ada", "a", 1, 100), Ended(199))],
    "released twice": [grant(A), (Release("ada", "a"), Done(150)), (Release("ada", "a"), Done(151))],
    "half a batch": [
        grant(A), (ASK_BOTH, Acquired(150, (Result("d/f", conflict="a"), Result("d/g", G)))),
    ],
    "stolen, but another was in the way": [
        grant(S, mode=SHARED), grant(T, mode=SHARED), grant(D, steal=("s",)),
    ],
    "stolen and still there": [grant(A), grant(D, steal=("a",)), (Look(), Seen(160, frozenset({A, D})))],
    "a stale fence writes": [
        grant(A), (Release("ada", "a"), Done(150)), (Show("ada", "a", 1), Judged(151, 151, True)),
    ],
    "a push past somebody's lock": [grant(D), (PUSH, Judged(160, 249, NONE))],
    "a push refused by a lock that has expired": [grant(D), (PUSH, Judged(250, 260, frozenset({"d"})))],
    "seen after the end": [grant(A), (Look(), Seen(200, frozenset({A})))],
    "handed on with more time": [
        grant(A), (Transfer("ada", "a", 1, "bob"), Done(150, replace(HANDED, end=250))),
    ],
}  # fmt: skip


def in_a_row(pairs: list[tuple[Asked, object]]) -> list[Operation]:
    return [Operation("c", 2 * i, 2 * i + 1, *pair) for i, pair in enumerate(pairs)]


@pytest.mark.parametrize("name", POSSIBLE)
def test_what_locks_may_do(name: str) -> None:
    verdict = check(LockModel(), in_a_row(POSSIBLE[name]))
    assert verdict.is_linearizable, str(verdict)


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_locks_may_not_do(name: str) -> None:
    assert not check(LockModel(), in_a_row(IMPOSSIBLE[name])).is_linearizable


def test_calls_at_once_are_put_into_an_order() -> None:
    asked, granted = grant(A)
    at_once = [
        Operation("bob", 0, 10, ASK_B, Blocked("a")),
        Operation("ada", 0, 10, asked, granted),
        Operation("eve", 0, 10, Look(), Seen(50, frozenset())),
    ]
    verdict = check(LockModel(), at_once)
    assert [op.client for op in verdict.order] == ["eve", "ada", "bob"]
