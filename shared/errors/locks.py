"""Errors about locks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from shared.errors.catalog import MAX_VIOLATIONS, DomainError, Reason, violations


class LockConflict(NamedTuple):
    """A lock that is in the way of a path.

    Attributes:
        path: the path that was asked for.
        lock_path: the path of the lock: the same, a directory above it, or a path below it.
        lock_type: "exclusive" or "shared".
        reason: the holder's words; may be empty.
    """

    path: str
    lock_id: str
    lock_path: str
    lock_type: str
    holder: str
    since: datetime
    expires: datetime
    reason: str


def lock_held(conflicts: Sequence[LockConflict]) -> DomainError:
    """Locks of other people are in the way."""
    first = conflicts[0]
    return DomainError(
        Reason.ERROR_REASON_LOCK_HELD,
        _conflict_text(first),
        metadata={
            "count": str(len(conflicts)),
            "path": first.path,
            "lock_id": first.lock_id,
            "lock_path": first.lock_path,
            "holder": first.holder,
            "since": _time_text(first.since),
            "expires": _time_text(first.expires),
            "reason": first.reason,
        },
        detail=violations(
            Reason.ERROR_REASON_LOCK_HELD,
            [(conflict.path, _conflict_text(conflict)) for conflict in conflicts[:MAX_VIOLATIONS]],
        ),
    )


def lock_required(paths: Sequence[str]) -> DomainError:
    """The caller must hold a lock on each of the existing files that change."""
    return DomainError(
        Reason.ERROR_REASON_LOCK_REQUIRED,
        f"{len(paths)} changed file(s) must be locked first, {paths[0]} for one",
        metadata={"count": str(len(paths)), "path": paths[0]},
        detail=violations(
            Reason.ERROR_REASON_LOCK_REQUIRED,
            [(path, "must be locked by the person who changes it") for path in paths],
        ),
    )


def lock_stale(lock_ids: Sequence[str]) -> DomainError:
    """The caller no longer holds the locks under the fences that the request names."""
    return DomainError(
        Reason.ERROR_REASON_LOCK_STALE,
        f"{len(lock_ids)} lock(s) are no longer held under that fence, {lock_ids[0]} for one",
        metadata={"count": str(len(lock_ids)), "lock_id": lock_ids[0]},
        detail=violations(
            Reason.ERROR_REASON_LOCK_STALE,
            [(lock_id, "is no longer held under this fence") for lock_id in lock_ids],
        ),
    )


def _conflict_text(held: LockConflict) -> str:
    where = "" if held.lock_path == held.path else f" by the lock on {held.lock_path}"
    why = f" ({held.reason})" if held.reason else ""
    since, until = _time_text(held.since), _time_text(held.expires)
    return (
        f"{held.path} is held{where}: {held.lock_type}, by {held.holder} since {since} "
        f"until {until}{why}"
    )


def _time_text(at: datetime) -> str:
    """A time as RFC 3339 in UTC, exact to the microsecond."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
