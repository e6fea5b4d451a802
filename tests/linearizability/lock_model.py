"""The sequential model of the locks below one directory, for the linearizability checker.

Every answer carries the time at which it was judged, and the model demands that it never runs backwards,
so it knows exactly which locks had expired. A refusal comes without a time: then the earliest moment that
explains it counts. The model knows nothing of the service's SQL, and shares no rule with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.linearizability.operations import (
    ADVISORY,
    EXCLUSIVE,
    SHARED,
    Acquire,
    Acquired,
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


@dataclass(frozen=True, slots=True)
class State:
    """The locks that have not ended, the latest time known, and the highest fence granted."""

    now: int = 0
    fence: int = 0
    locks: frozenset[Held] = frozenset()

    def at(self, now: int) -> State:
        """The same, later: what has expired is gone."""
        return State(now, self.fence, frozenset(h for h in self.locks if h.end > now))

    def find_lock(self, lock_id: str, fence: int = 0) -> Held | None:
        """A lock by id, and by fence if one is given."""
        for held in self.locks:
            if held.id == lock_id and fence in (0, held.fence):
                return held
        return None

    def without(self, *gone: Held) -> State:
        return State(self.now, self.fence, self.locks.difference(gone))

    def with_lock(self, held: Held) -> State:
        return State(self.now, max(self.fence, held.fence), self.locks | {held})


def overlap(path: str, other: str) -> bool:
    """Whether two paths are the same, or one is a directory with the other below it."""
    return (
        path == other
        or (path.endswith("/") and other.startswith(path))
        or (other.endswith("/") and path.startswith(other))
    )


def compatible(lock_type: str, other: str) -> bool:
    return ADVISORY in (lock_type, other) or lock_type == other == SHARED


def in_way(locks: Iterable[Held], owner: str, path: str, lock_type: str) -> list[Held]:
    """The locks that keep a user from a lock."""
    return [
        held
        for held in locks
        if not compatible(held.lock_type, lock_type)
        and overlap(held.path, path)
        and (held.owner != owner or held.path == path)
    ]


class LockModel:
    """The locks below one directory, one call after the other."""

    def initial(self) -> State:
        return State()

    def step(self, state: State, asked: Any, answer: Any) -> State | None:
        """See Model."""
        if isinstance(answer, Ended):
            return _ended(state, asked, answer)
        if isinstance(answer, Blocked):
            judge = _blocked if isinstance(asked, Acquire) else _transfer_blocked
            return judge(state, asked, answer.lock_id)
        return _STEPS[type(asked)](state, asked, answer)


def _acquired(state: State, asked: Acquire, answer: Acquired) -> State | None:
    if answer.now < state.now:
        return None
    before = state.at(answer.now)
    after: State | None = before
    for result in sorted(answer.results, key=lambda r: r.path.encode()):
        if after is not None:
            after = _result(before, after, asked, answer.now, result)
    return after


def _result(before: State, after: State, asked: Acquire, now: int, result: Result) -> State | None:
    """The state with one more result of a batch; all are judged by what was before it."""
    mine = (result.path, asked.owner, asked.lock_type)
    own = [held for held in before.locks if (held.path, held.owner, held.lock_type) == mine]
    ways = in_way(before.locks, asked.owner, result.path, asked.lock_type)
    others = {held.id for held in ways} - set(asked.steal)
    lock = result.lock
    if result.already_held:
        return after if own == [lock] else None
    if lock is None:
        is_refused = not own and not asked.is_atomic and result.conflict in others
        return after if is_refused else None
    expected = Held(
        lock.id, result.path, asked.lock_type, asked.owner, lock.fence, now, now + asked.ttl
    )
    if own or others or lock != expected or lock.fence <= after.fence:
        return None
    return after.without(*ways).with_lock(lock)


def _blocked(state: State, asked: Acquire, lock_id: str) -> State | None:
    for path in asked.paths:
        for held in in_way(state.locks, asked.owner, path, asked.lock_type):
            if held.id == lock_id and lock_id not in asked.steal:
                return state
    return None


def _renewed(state: State, asked: Renew, answer: Done) -> State | None:
    now, lock = answer.now, answer.lock
    if now < state.now:
        return None
    state = state.at(now)
    old = state.find_lock(asked.lock_id, asked.fence)
    if old is None or old.owner != asked.owner:
        return None
    end = max(old.end, now + asked.ttl)
    expected = Held(old.id, old.path, old.lock_type, old.owner, old.fence, old.begin, end)
    return state.without(old).with_lock(expected) if lock == expected else None


def _removed(state: State, asked: Release | Force, answer: Done) -> State | None:
    if answer.now < state.now:
        return None
    state = state.at(answer.now)
    held = state.find_lock(asked.lock_id)
    if held is None or (isinstance(asked, Release) and held.owner != asked.owner):
        return None
    return state.without(held)


def _transferred(state: State, asked: Transfer, answer: Done) -> State | None:
    now, lock = answer.now, answer.lock
    if now < state.now:
        return None
    state = state.at(now)
    old = state.find_lock(asked.lock_id, asked.fence)
    if old is None or lock is None or lock.fence <= state.fence:
        return None
    state = state.without(old)
    if in_way(state.locks, asked.to, old.path, old.lock_type):
        return None
    expected = Held(lock.id, old.path, old.lock_type, asked.to, lock.fence, now, old.end)
    return state.with_lock(lock) if lock == expected else None


def _transfer_blocked(state: State, asked: Transfer, lock_id: str) -> State | None:
    old = state.find_lock(asked.lock_id, asked.fence)
    if old is None:
        return None
    rest = state.without(old).locks
    ways = in_way(rest, asked.to, old.path, old.lock_type)
    same = [
        h for h in rest if (h.path, h.owner, h.lock_type) == (old.path, asked.to, old.lock_type)
    ]
    return state if lock_id in {held.id for held in (*ways, *same)} else None


def _ended(state: State, asked: Renew | Release | Force | Transfer, answer: Ended) -> State | None:
    fence = asked.fence if isinstance(asked, Renew | Transfer) else 0
    held = state.find_lock(asked.lock_id, fence)
    if answer.now:
        if answer.now < state.now:
            return None
        state = state.at(answer.now)
        return None if held is not None and held.end > answer.now else state
    return state if held is None else state.at(max(state.now, held.end))


def _judged(state: State, asked: Change | Show, answer: Judged) -> State | None:
    """Judged at some moment between two that are known: at the first that explains it."""
    begin = max(state.now, answer.first)
    ends = {held.end for held in state.locks if begin < held.end <= answer.last}
    judge = _blockers if isinstance(asked, Change) else _is_fresh
    for now in sorted({begin, *ends}):
        later = state.at(now)
        if now <= answer.last and judge(later, asked) == answer.verdict:
            return later
    return None


def _is_fresh(state: State, asked: Any) -> bool:
    held = state.find_lock(asked.lock_id, asked.fence)
    return held is not None and held.owner == asked.owner


def _blockers(state: State, asked: Any) -> frozenset[str]:
    return frozenset(
        held.id
        for held in state.locks
        if held.lock_type == EXCLUSIVE
        and held.owner != asked.owner
        and (
            held.path == asked.path
            or (held.path.endswith("/") and asked.path.startswith(held.path))
        )
    )


def _looked(state: State, asked: Look, answer: Seen) -> State | None:
    later = state.at(answer.now)
    return later if answer.now >= state.now and later.locks == answer.locks else None


_STEPS: dict[type, Callable[..., State | None]] = {
    Acquire: _acquired,
    Renew: _renewed,
    Release: _removed,
    Force: _removed,
    Transfer: _transferred,
    Look: _looked,
    Change: _judged,
    Show: _judged,
}
