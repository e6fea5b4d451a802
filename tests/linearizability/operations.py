"""What players ask about locks, and what they are answered; times are microseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

EXCLUSIVE, SHARED, ADVISORY = "exclusive", "shared", "advisory"


@dataclass(frozen=True, slots=True)
class Held:
    """A lock; times are microseconds."""

    id: str
    path: str
    lock_type: str
    owner: str
    fence: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Acquire:
    owner: str
    paths: tuple[str, ...]
    lock_type: str
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
