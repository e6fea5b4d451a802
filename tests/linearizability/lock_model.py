"""The sequential model of the locks below one directory, for the linearizability checker.

Every answer carries the time at which it was judged, and the model demands that it never runs backwards,
so it knows exactly which locks had expired. Refusals come without a time: then the earliest moment that
explains them counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

EXCLUSIVE, SHARED, ADVISORY = "exclusive", "shared", "advisory"


@dataclass(frozen=True, slots=True)
class Held:
    """A lock; times are microseconds."""

    id: str
    path: str
    mode: str
    owner: str
    fence: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class State:
    """Locks that have not been ended, at the latest time known, under the highest fence given."""

    now: int = 0
    fence: int = 0
    locks: frozenset[Held] = frozenset()

    def at(self, now: int) -> State:
        """The same, later: what has expired is gone."""
        return State(now, self.fence, frozenset(h for h in self.locks if h.end > now))

    def find(self, lock_id: str, fence: int = 0) -> Held | None:
        """A lock by id, and by fence if one is given."""
        for held in self.locks:
            if held.id == lock_id and fence in (0, held.fence):
                return held
        return None

    def without(self, *gone: Held) -> State:
        return State(self.now, self.fence, self.locks.difference(gone))

    def with_lock(self, held: Held) -> State:
        return State(self.now, max(self.fence, held.fence), self.locks | {held})


@dataclass(frozen=True, slots=True)
class Acquire:
    owner: str
    paths: tuple[str, ...]
    mode: str
    ttl: int
    is_atomic: bool = True
    steal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Renew:
    owner: str
    lock_id: str
    fence: int
    ttl: int


@dataclass(frozen=True, slots=True)
class Release:
    owner: str
    lock_id: str


@dataclass(frozen=True, slots=True)
class Force:
    lock_id: str


@dataclass(frozen=True, slots=True)
class Transfer:
    owner: str
    lock_id: str
    fence: int
    to: str


@dataclass(frozen=True, slots=True)
class Look:
    """Lists all locks of the part."""


@dataclass(frozen=True, slots=True)
class Change:
    """A push asks which locks forbid it to change a file."""

    owner: str
    path: str


@dataclass(frozen=True, slots=True)
class Show:
    """A push shows a lock with its fence."""

    owner: str
    lock_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class Result:
    """Of one path: the lock that is held now, or the one in the way."""

    path: str
    lock: Held | None = None
    conflict: str = ""
    already_held: bool = False


@dataclass(frozen=True, slots=True)
class Acquired:
    now: int
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """It took effect; `lock` as it is afterwards, if it is still there."""

    now: int
    lock: Held | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The lock had ended, or had another fence; now = 0: it was not said when."""

    now: int = 0


@dataclass(frozen=True, slots=True)
class Blocked:
    """This lock was in the way."""

    lock_id: str


@dataclass(frozen=True, slots=True)
class Seen:
    now: int
    locks: frozenset[Held]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a push was told between two moments: the ids of the locks in its way; is the fence fresh?"""

    first: int
    last: int
    verdict: frozenset[str] | bool


Asked: TypeAlias = Acquire | Renew | Release | Force | Transfer | Look | Change | Show


def overlap(path: str, other: str) -> bool:
    """The same path, or a directory and what is below it."""
    return (
        path == other
        or (path.endswith("/") and other.startswith(path))
        or (other.endswith("/") and path.startswith(other))
    )


def compatible(mode: str, other: str) -> bool:
    return ADVISORY in (mode, other) or mode == other == SHARED


def in_way(locks: Iterable[Held], owner: str, path: str, mode: str) -> list[Held]:
    """What keeps somebody from a lock."""
    return [
        held
        for held in locks
        if not compatible(held.mode, mode)
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
    mine = (result.path, asked.owner, asked.mode)
    own = [held for held in before.locks if (held.path, held.owner, held.mode) == mine]
    ways = in_way(before.locks, asked.owner, result.path, asked.mode)
    others = {held.id for held in ways} - set(asked.steal)
    lock = result.lock
    if result.already_held:
        return after if own == [lock] else None
    if lock is None:
        is_refused = not own and not asked.is_atomic and result.conflict in others
        return after if is_refused else None
    expected = Held(lock.id, result.path, asked.mode, asked.owner, lock.fence, now, now + asked.ttl)
    if own or others or lock != expected or lock.fence <= after.fence:
        return None
    return after.without(*ways).with_lock(lock)


def _blocked(state: State, asked: Acquire, lock_id: str) -> State | None:
    for path in asked.paths:
        for held in in_way(state.locks, asked.owner, path, asked.mode):
            if held.id == lock_id and lock_id not in asked.steal:
                return state
    return None


def _renewed(state: State, asked: Renew, answer: Done) -> State | None:
    now, lock = answer.now, answer.lock
    if now < state.now:
        return None
    state = state.at(now)
    old = state.find(asked.lock_id, asked.fence)
    if old is None or old.owner != asked.owner:
        return None
    end = max(old.end, now + asked.ttl)
    expected = Held(old.id, old.path, old.mode, old.owner, old.fence, old.begin, end)
    return state.without(old).with_lock(expected) if lock == expected else None


def _removed(state: State, asked: Release | Force, answer: Done) -> State | None:
    if answer.now < state.now:
        return None
    state = state.at(answer.now)
    held = state.find(asked.lock_id)
    if held is None or (isinstance(asked, Release) and held.owner != asked.owner):
        return None
    return state.without(held)


def _transferred(state: State, asked: Transfer, answer: Done) -> State | None:
    now, lock = answer.now, answer.lock
    if now < state.now:
        return None
    state = state.at(now)
    old = state.find(asked.lock_id, asked.fence)
    if old is None or lock is None or lock.fence <= state.fence:
        return None
    state = state.without(old)
    if in_way(state.locks, asked.to, old.path, old.mode):
        return None
    expected = Held(lock.id, old.path, old.mode, asked.to, lock.fence, now, old.end)
    return state.with_lock(lock) if lock == expected else None


def _transfer_blocked(state: State, asked: Transfer, lock_id: str) -> State | None:
    old = state.find(asked.lock_id, asked.fence)
    if old is None:
        return None
    rest = state.without(old).locks
    ways = in_way(rest, asked.to, old.path, old.mode)
    same = [h for h in rest if (h.path, h.owner, h.mode) == (old.path, asked.to, old.mode)]
    return state if lock_id in {held.id for held in (*ways, *same)} else None


def _ended(state: State, asked: Renew | Release | Force | Transfer, answer: Ended) -> State | None:
    fence = asked.fence if isinstance(asked, Renew | Transfer) else 0
    held = state.find(asked.lock_id, fence)
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
    held = state.find(asked.lock_id, asked.fence)
    return held is not None and held.owner == asked.owner


def _blockers(state: State, asked: Any) -> frozenset[str]:
    return frozenset(
        held.id
        for held in state.locks
        if held.mode == EXCLUSIVE
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
