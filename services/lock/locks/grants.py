"""Beginnings of locks, under the mutex of their repository: what they meet, and how they are granted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection, Row

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class LockTerms:
    """What locks have in common that are granted together.

    Attributes:
        reason: None = not given.
        base_commit: the commit that the holder works from; None = not given.
    """

    holder_id: UUID
    lock_type: str
    reason: str | None
    base_commit: str | None
    release_on_push: bool


async def judge_locks(
    connection: Connection,
    repository_id: UUID,
    paths: Sequence[str],
    terms: LockTerms,
    now: datetime,
    replaced: Sequence[UUID],
) -> list[Row]:
    """Returns a row for each path that is not free: a live lock with its holder's username as `owner`.

    `asked` is the path. If `already_held`, the lock is the new holder's own, of the same type; else it
    is the first by path and fence that excludes the new one. `replaced` locks exclude nothing.
    """
    return await connection.fetch(
        *Q.bind.judge_locks(
            repository_id=repository_id,
            paths=paths,
            user_id=terms.holder_id,
            lock_type=terms.lock_type,
            now=now,
            replaced=replaced,
        )
    )


async def grant_locks(
    connection: Connection,
    repository_id: UUID,
    paths: Sequence[str],
    terms: LockTerms,
    now: datetime,
    expires_at: datetime,
    actor_id: UUID,
) -> list[Row]:
    """Grants locks on paths that are free; returns `lock_id`, `path` and `fence` of each."""
    return await connection.fetch(
        *Q.bind.grant_locks(
            repository_id=repository_id,
            paths=paths,
            now=now,
            expires_at=expires_at,
            actor_id=actor_id,
            holder_id=terms.holder_id,
            lock_type=terms.lock_type,
            reason=terms.reason,
            base_commit=terms.base_commit,
            release_on_push=terms.release_on_push,
        )
    )
