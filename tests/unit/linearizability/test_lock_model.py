"""The model of locks: what may happen to them, and what may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.linearizability.checker import Operation, check
from tests.linearizability.lock_model import LockModel
from tests.linearizability.operations import (
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
    Look,
    Release,
    Renew,
    Result,
    Seen,
    Show,
    Transfer,
)

# Locks: (what was asked, what was answered), one after the other unless said otherwise.

A = Held("a", "d/f", EXCLUSIVE, "ada", 1, 100, 200)
B = Held("b", "d/f", EXCLUSIVE, "bob", 2, 200, 300)
S = Held("s", "d/f", SHARED, "ada", 1, 100, 200)
T = Held("t", "d/f", SHARED, "bob", 2, 110, 210)
PUSH, NONE = Change("ada", "d/f"), frozenset[str]()
G = Held("g", "d/g", EXCLUSIVE, "bob", 2, 150, 250)
D = Held("d", "d/", EXCLUSIVE, "bob", 2, 150, 250)


def grant(
    *locks: Held, lock_type: str = EXCLUSIVE, steal: tuple[str, ...] = ()
) -> tuple[Asked, object]:
    first = locks[0]
    asked = Acquire(
        first.owner, tuple(h.path for h in locks), lock_type, first.end - first.begin, steal=steal
    )
    return asked, Acquired(first.begin, tuple(Result(h.path, h) for h in locks))


ASK_A = Acquire("ada", ("d/f",), EXCLUSIVE, 100)
ASK_B = Acquire("bob", ("d/f",), EXCLUSIVE, 100)
ASK_BOTH = Acquire("bob", ("d/f", "d/g"), EXCLUSIVE, 100)
RENEWED = Held("a", "d/f", EXCLUSIVE, "ada", 1, 100, 290)
TRANSFERRED = Held("h", "d/f", EXCLUSIVE, "bob", 2, 150, 200)
POSSIBLE: dict[str, list[tuple[Asked, object]]] = {
    "one after the other": [grant(A), grant(B)],
    "refused, then released": [
        grant(A),
        (ASK_B, Blocked("a")),
        (Release("ada", "a"), Done(199)),
        grant(B),
    ],
    "shared together": [grant(S, lock_type=SHARED), grant(T, lock_type=SHARED)],
    "held already": [grant(A), (ASK_A, Acquired(150, (Result("d/f", A, already_held=True),)))],
    "renewed in time": [
        grant(A),
        (Renew("ada", "a", 1, 100), Done(190, RENEWED)),
        (ASK_B, Blocked("a")),
    ],
    "renewed too late": [grant(A), (Renew("ada", "a", 1, 100), Ended(200)), grant(B)],
    "released too late": [grant(A), (Release("ada", "a"), Ended(200))],
    "stolen": [grant(A), grant(D, steal=("a",)), (Renew("ada", "a", 1, 100), Ended(160))],
    "transferred": [
        grant(A),
        (Transfer("ada", "a", 1, "bob"), Done(150, TRANSFERRED)),
        (Force("a"), Ended(151)),
    ],
    "transferred too late, it was not said when": [
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
    "shared beside exclusive": [grant(A), grant(T, lock_type=SHARED)],
    "a fence that does not rise": [grant(A), grant(Held("b", "d/f", EXCLUSIVE, "bob", 1, 200, 300))],
    "time that runs backwards": [grant(B), grant(Held("c", "d/g", EXCLUSIVE, "bob", 3, 150, 250))],
    "refused by nothing": [(ASK_B, Blocked("a"))],
    "a renewal that revives": [grant(A), (Renew("ada", "a", 1, 90), Done(200, RENEWED))],
    "a renewal under another fence": [grant(A), (Renew("ada", "a", 2, 100), Done(190, RENEWED))],
    "a renewal by another user": [grant(A), (Renew("bob", "a", 1, 100), Done(190, RENEWED))],
    "a renewal that shortens": [
        grant(A), (Renew("ada", "a", 1, 10), Done(150, Held("a", "d/f", EXCLUSIVE, "ada", 1, 100, 160)))
    ],
    "refused though live": [grant(A), (Renew("ada", "a", 1, 100), Ended(199))],
    "released twice": [grant(A), (Release("ada", "a"), Done(150)), (Release("ada", "a"), Done(151))],
    "half a batch": [
        grant(A), (ASK_BOTH, Acquired(150, (Result("d/f", conflict="a"), Result("d/g", G)))),
    ],
    "stolen, but another was in the way": [
        grant(S, lock_type=SHARED), grant(T, lock_type=SHARED), grant(D, steal=("s",)),
    ],
    "stolen and still there": [grant(A), grant(D, steal=("a",)), (Look(), Seen(160, frozenset({A, D})))],
    "a stale fence writes": [
        grant(A), (Release("ada", "a"), Done(150)), (Show("ada", "a", 1), Judged(151, 151, True)),
    ],
    "a push past another user's lock": [grant(D), (PUSH, Judged(160, 249, NONE))],
    "a push refused by a lock that has expired": [grant(D), (PUSH, Judged(250, 260, frozenset({"d"})))],
    "seen after the end": [grant(A), (Look(), Seen(200, frozenset({A})))],
    "transferred with more time": [
        grant(A), (Transfer("ada", "a", 1, "bob"), Done(150, replace(TRANSFERRED, end=250))),
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
