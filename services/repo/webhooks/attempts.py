"""Attempts at deliveries: begun, recorded, repeated; a webhook that only fails is switched off.

Each transaction locks its webhook first, so that one after the other claims and records. A claim is
committed before anything is sent: whatever happens then, it is known that the receiver may have had it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.repo.webhooks.recording import LOST, Result, Standing, record_results
from shared.db import sql
from shared.db.pool import Connection, Database, Row

Q = sql.load(__file__)

# How many requests to one webhook are under way at most.
CONCURRENCY = 4
# How many attempts one round begins, to be sent one after the other, and how many bytes these have.
ROUND_ATTEMPTS = 16
ROUND_BYTES = 256 << 10
# After so long, an attempt under way is lost: its process has ended, or slept.
LEASE = timedelta(seconds=30)
_END_BATCH = 1000
_SWITCHED_OFF = "The webhook is switched off."


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has begun.

    Attributes:
        number: the first is 1.
        event: name of the event.
        event_id: which one, as receivers know it.
        waited: since it was due.
        body: what is sent.
    """

    id: UUID
    delivery_id: UUID
    number: int
    event: str
    event_id: UUID
    started_at: datetime
    waited: timedelta
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be done for a webhook.

    Attributes:
        sealed_secrets: the present one first.
        attempts: those that have been begun for the caller.
        concurrency: how many of them may be under way at once.
        wait: if there are none, when to look again; None = when there is an event.
    """

    url: str
    sealed_secrets: tuple[bytes, ...]
    attempts: tuple[Attempt, ...]
    concurrency: int
    wait: timedelta | None


async def begin_round(connection: Connection, webhook_id: UUID, job_id: UUID) -> Claim | None:
    """Begins attempts of a webhook that are due; None if there is no such webhook any more."""
    webhook = await connection.fetchrow(Q.lock_webhook, webhook_id, LEASE)
    if webhook is None:
        return None
    standing = Standing(webhook["active"], webhook["pause"] or timedelta(0))
    if webhook["has_lost"]:
        lost = await connection.fetch(Q.lost_attempts, webhook_id, LEASE)
        results = [Result(row["id"], {}, LOST) for row in lost]
        standing = await record_results(connection, webhook_id, webhook, "", results)
    return await _claim(connection, webhook_id, webhook, standing, job_id)


async def end_round(
    connection: Connection,
    webhook_id: UUID,
    job_id: UUID,
    host: str,
    results: Sequence[Result],
    unsent: Sequence[UUID],
    *,
    goes_on: bool,
) -> Claim | None:
    """Records what became of attempts, which went to `host`; then, if it `goes_on`, does as `begin_round`.

    Attempts that were taken for lost meanwhile stay lost. Those that were not sent wait again.
    """
    webhook = await connection.fetchrow(Q.lock_webhook, webhook_id, LEASE)
    if unsent:
        await connection.execute(Q.give_back_attempts, unsent)
    standing = await record_results(connection, webhook_id, webhook, host, results)
    if webhook is None:
        return None
    if not goes_on:
        return Claim(webhook["url"], (), (), 0, standing.pause)
    return await _claim(connection, webhook_id, webhook, standing, job_id)


async def find_owner(database: Database, webhook_id: UUID) -> UUID | None:
    """Returns the user or organisation that a webhook belongs to; None if it is deleted."""
    row = await database.fetchrow(Q.get_owner, webhook_id)
    return row["owner_id"] if row is not None else None


async def find_idle_webhooks(connection: Connection, limit: int) -> list[UUID]:
    """Returns webhooks with attempts that should have begun or ended a minute ago."""
    rows = await connection.fetch(Q.idle_webhooks, timedelta(minutes=1), limit)
    return [row["id"] for row in rows]


async def _claim(
    connection: Connection, webhook_id: UUID, webhook: Row, standing: Standing, job_id: UUID
) -> Claim:
    rows: Sequence[Row] = ()
    wait: timedelta | None = standing.pause
    free = 0
    if not standing.pause:
        free = CONCURRENCY - await connection.fetchval(Q.count_under_way, webhook_id)
        if free > 0:
            rows = await _begin_attempts(connection, webhook_id, standing, job_id)
        wait = None if rows else await _find_wait(connection, webhook_id, standing)
    sealed = tuple(filter(None, (webhook["secret_encrypted"], webhook["previous_secret"])))
    return Claim(webhook["url"], sealed, tuple(map(_attempt, rows)), free, wait)


async def _begin_attempts(
    connection: Connection, webhook_id: UUID, standing: Standing, job_id: UUID
) -> Sequence[Row]:
    """Begins those that are due, and returns them, the earliest first."""
    rows = await connection.fetch(
        *Q.bind.claim_attempts(
            webhook_id=webhook_id,
            job_id=job_id,
            active=standing.active,
            limit=ROUND_ATTEMPTS,
            bytes=ROUND_BYTES,
        )
    )
    return sorted(rows, key=lambda row: (row["scheduled_at"], row["id"]))


async def _find_wait(
    connection: Connection, webhook_id: UUID, standing: Standing
) -> timedelta | None:
    if not standing.active:
        ended = await connection.fetch(Q.end_attempts, webhook_id, _SWITCHED_OFF, _END_BATCH)
        if len(ended) == _END_BATCH:
            return timedelta(0)
    wait: timedelta | None = await connection.fetchval(Q.next_wait, webhook_id, LEASE)
    return wait


def _attempt(row: Row) -> Attempt:
    return Attempt(
        row["id"],
        row["delivery_id"],
        row["attempt"],
        row["event"],
        row["event_id"],
        row["started_at"],
        row["started_at"] - row["scheduled_at"],
        row["body"].encode(),
    )
