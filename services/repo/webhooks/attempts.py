"""Attempts at deliveries: begun, recorded, repeated; a webhook that only fails is switched off.

Each transaction locks its webhook first, so that one after the other claims and records. A claim is
committed before anything is sent: whatever happens then, it is known that the receiver may have had it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.repo.webhooks.sender import Answer
from shared.db import sql
from shared.db.pool import Connection, Row

Q = sql.load(__file__)

PING = "webhook.ping"
# How many requests to one webhook are under way at most.
CONCURRENCY = 4
# How long after the failure of an attempt the next one begins. After the last one there is none.
DELAYS = tuple(
    timedelta(minutes=minutes) for minutes in (1, 5, 30, 2 * 60, 6 * 60, 12 * 60, 24 * 60)
)
# After so long, an attempt under way is lost: its process has ended, or slept.
LEASE = timedelta(seconds=30)
# How long nothing is sent to a webhook that has just given no complete answer at all.
PAUSE = timedelta(seconds=30)
# A webhook is switched off if so many attempts have failed in a row, for so long.
DISABLE_AFTER_FAILURES = 20
DISABLE_AFTER = timedelta(days=3)
_END_BATCH = 1000
_LOST = Answer("The server stopped before it knew the answer; the receiver may have had this.", 0)
_SWITCHED_OFF = "The webhook is switched off."


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has begun.

    Attributes:
        number: the first is 1.
        event: name of the event.
        event_id: which one, as receivers know it.
        body: what is sent.
    """

    id: UUID
    delivery_id: UUID
    number: int
    event: str
    event_id: UUID
    started_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be done for a webhook.

    Attributes:
        sealed_secrets: the present one first.
        attempts: those that have been begun for the caller.
        wait: if there are none, when to look again; None = when there is an event.
    """

    url: str
    sealed_secrets: tuple[bytes, ...]
    attempts: tuple[Attempt, ...]
    wait: timedelta | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a webhook is switched on, and how long nothing is to be sent."""

    active: bool
    pause: timedelta


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an attempt: the request's headers, and the answer."""

    attempt_id: UUID
    request_headers: dict[str, str]
    answer: Answer


async def begin_round(connection: Connection, webhook_id: UUID, job_id: UUID) -> Claim | None:
    """Begins attempts of a webhook that are due; None if there is no such webhook any more."""
    webhook = await connection.fetchrow(Q.lock_webhook, webhook_id, LEASE)
    if webhook is None:
        return None
    standing = Standing(webhook["active"], webhook["pause"] or timedelta(0))
    if webhook["has_lost"]:
        lost = await connection.fetch(Q.lost_attempts, webhook_id, LEASE)
        results = [Result(row["id"], {}, _LOST) for row in lost]
        standing = await _record(connection, webhook_id, webhook, "", results)
    return await _claim(connection, webhook_id, webhook, standing, job_id)


async def end_round(
    connection: Connection,
    webhook_id: UUID,
    job_id: UUID,
    host: str,
    results: Sequence[Result],
    *,
    goes_on: bool,
) -> Claim | None:
    """Records what became of attempts, which went to `host`; then, if it `goes_on`, does as `begin_round`.

    Attempts that were taken for lost meanwhile stay lost.
    """
    webhook = await connection.fetchrow(Q.lock_webhook, webhook_id, LEASE)
    standing = await _record(connection, webhook_id, webhook, host, results)
    if webhook is None:
        return None
    if not goes_on:
        return Claim(webhook["url"], (), (), standing.pause)
    return await _claim(connection, webhook_id, webhook, standing, job_id)


async def find_idle_webhooks(connection: Connection, limit: int) -> list[UUID]:
    """Returns webhooks with attempts that should have begun or ended a minute ago."""
    rows = await connection.fetch(Q.idle_webhooks, timedelta(minutes=1), limit)
    return [row["id"] for row in rows]


async def _claim(
    connection: Connection, webhook_id: UUID, webhook: Row, standing: Standing, job_id: UUID
) -> Claim:
    rows: Sequence[Row] = ()
    wait: timedelta | None = standing.pause
    if not standing.pause:
        rows = await connection.fetch(
            *Q.bind.claim_attempts(
                webhook_id=webhook_id, job_id=job_id, active=standing.active, limit=CONCURRENCY
            )
        )
        wait = None if rows else await _find_wait(connection, webhook_id, standing)
    sealed = (webhook["secret_encrypted"], webhook["previous_secret"])
    return Claim(webhook["url"], tuple(filter(None, sealed)), tuple(map(_attempt, rows)), wait)


async def _find_wait(
    connection: Connection, webhook_id: UUID, standing: Standing
) -> timedelta | None:
    if not standing.active:
        ended = await connection.fetch(Q.end_attempts, webhook_id, _SWITCHED_OFF, _END_BATCH)
        if len(ended) == _END_BATCH:
            return timedelta(0)
    wait: timedelta | None = await connection.fetchval(Q.next_wait, webhook_id, LEASE)
    return wait


async def _record(
    connection: Connection,
    webhook_id: UUID,
    webhook: Row | None,
    host: str,
    results: Sequence[Result],
) -> Standing:
    """Records results; returns how the webhook stands then."""
    answers = [result.answer for result in results]
    recorded = await connection.fetch(
        *Q.bind.record_attempts(
            ids=[result.attempt_id for result in results],
            errors=[answer.error for answer in answers],
            request_headers=[json.dumps(result.request_headers) for result in results],
            statuses=[answer.status for answer in answers],
            response_headers=[json.dumps(answer.headers) for answer in answers],
            response_bodies=[_text(answer.body) for answer in answers],
            durations=[answer.duration_ms for answer in answers],
        )
    )
    failed = [row for row in recorded if not row["success"]]
    again = [row for row in failed if _has_next(row, webhook)]
    if again:
        delays = [DELAYS[row["attempt"] - 1] for row in again]
        await connection.execute(Q.schedule_attempts, [row["id"] for row in again], delays)
    if webhook is None:
        return Standing(active=False, pause=timedelta(0))
    if len(failed) == len(recorded):
        is_silent = bool(failed) and not any(answer.is_complete for answer in answers)
        # That a server stopped says nothing of the receiver, unless it comes again before a success.
        is_excused = not webhook["failure_count"] and all(answer is _LOST for answer in answers)
        pause = PAUSE if is_silent and not is_excused else timedelta(0)
        return await _count_failures(connection, webhook_id, webhook, failed, pause, host)
    if webhook["failure_count"]:
        await connection.execute(Q.count_success, webhook_id)
    return Standing(webhook["active"], timedelta(0))


async def _count_failures(
    connection: Connection,
    webhook_id: UUID,
    webhook: Row,
    failed: Sequence[Row],
    pause: timedelta,
    host: str,
) -> Standing:
    """Counts failures without a success among them, and switches the webhook off after too many."""
    active = webhook["active"]
    if failed:
        await connection.execute(
            *Q.bind.count_failures(
                webhook_id=webhook_id,
                since=min(row["started_at"] for row in failed),
                count=len(failed),
                pause=pause,
            )
        )
    if active and webhook["failure_count"] + len(failed) >= DISABLE_AFTER_FAILURES:
        disabled = await connection.fetchrow(
            Q.disable_failing, webhook_id, DISABLE_AFTER_FAILURES, DISABLE_AFTER, host
        )
        active = disabled is None
    return Standing(active, pause)


def _has_next(row: Row, webhook: Row | None) -> bool:
    """Returns whether a failed attempt is followed by another."""
    if webhook is None or row["event"] == PING or row["attempt"] > len(DELAYS):
        return False
    return bool(webhook["active"]) or row["requested_by"] is not None


def _attempt(row: Row) -> Attempt:
    return Attempt(
        row["id"],
        row["delivery_id"],
        row["attempt"],
        row["event"],
        row["event_id"],
        row["started_at"],
        row["body"].encode(),
    )


def _text(body: bytes) -> str:
    """The text of an answer's body, without NUL, which the database cannot keep."""
    return body.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
