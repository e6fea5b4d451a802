"""What becomes of attempts at deliveries: recorded, repeated; a webhook that only fails is switched off.

All of it stands in a transaction that has locked the webhook (`attempts.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.repo.webhooks.sender import Answer
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.records.audit import AuditAction, audit

Q = sql.load(__file__)

PING = "webhook.ping"
# How long after the failure of an attempt the next one begins. After the last one there is none.
DELAYS = tuple(
    timedelta(minutes=minutes) for minutes in (1, 5, 30, 2 * 60, 6 * 60, 12 * 60, 24 * 60)
)
# How long nothing is sent to a webhook that has just given no complete answer at all.
PAUSE = timedelta(seconds=30)
# A webhook is switched off if so many attempts have failed in a row, for so long.
DISABLE_AFTER_FAILURES = 20
DISABLE_AFTER = timedelta(days=3)
LOST = Answer("The server stopped before it knew the answer; the receiver may have had this.", 0)


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


async def record_results(
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
        is_excused = not webhook["failure_count"] and all(answer is LOST for answer in answers)
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
        if disabled is not None:
            await audit(
                connection,
                None,
                AuditAction.WEBHOOK_DISABLED,
                "webhook",
                webhook_id,
                host,
                repository_id=disabled["repo_id"],
                organization_id=disabled["org_id"],
                failures=disabled["failure_count"],
            )
    return Standing(active, pause)


def _has_next(row: Row, webhook: Row | None) -> bool:
    """Returns whether a failed attempt is followed by another."""
    if webhook is None or row["event"] == PING or row["attempt"] > len(DELAYS):
        return False
    return bool(webhook["active"]) or row["requested_by"] is not None


def _text(body: bytes) -> str:
    """The text of an answer's body, without NUL, which the database cannot keep."""
    return body.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
