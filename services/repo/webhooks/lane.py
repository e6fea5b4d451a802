"""The lane of a webhook: whatever is due for it is sent in rounds, a few requests at once.

A job works through one lane, so a receiver that hangs holds up no other one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from uuid import UUID

from services.repo.webhooks.addresses import AllowedNetworks
from services.repo.webhooks.attempts import Attempt, Claim, begin_round, end_round
from services.repo.webhooks.pacing import LONGEST_HOLD, Pacing
from services.repo.webhooks.recording import Result
from services.repo.webhooks.sender import Answer, Connection, Sender
from services.repo.webhooks.signatures import sign, unseal_secret
from services.repo.webhooks.urls import parse_url
from shared.db.pool import Database, Work
from shared.errors import DomainError
from shared.runtime import metrics
from shared.runtime.server_key import ServerKey

# After so long, a lane makes room for others. Well within the time that a worker has to stop.
TURN_SECONDS = 5.0
# How long a round goes on sending; with the last request, it ends well within the lease of the attempts.
ROUND_SECONDS = 5.0
# How much of answers one round keeps.
ROUND_BYTES = 256 << 10
USER_AGENT = "dits-server"


class DeliveryLane:
    """Sends what is due for webhooks."""

    def __init__(self, key: ServerKey, allowed: AllowedNetworks, sender: Sender) -> None:
        self._key = key
        self._allowed = allowed
        self._sender = sender
        self._pacing = Pacing()
        # Webhooks that wait for their turn, or have as many requests under way as they may have.
        self._looked_after: set[UUID] = set()

    def is_looked_after(self, webhook_id: UUID) -> bool:
        """Returns whether a lane will see what is due now for a webhook, before any other could."""
        return webhook_id in self._looked_after

    async def send_due(
        self, database: Database, webhook_id: UUID, job_id: UUID
    ) -> timedelta | None:
        """Sends what is due for a webhook; returns when to go on; None = nothing is pending."""
        end = time.monotonic() + TURN_SECONDS
        begin = partial(begin_round, webhook_id=webhook_id, job_id=job_id)
        connection = None
        try:
            claim = await self._take_turn(database, webhook_id, begin)
            async with AsyncExitStack() as stack:
                while claim is not None and claim.attempts:
                    host = ""
                    try:
                        receiver = parse_url(claim.url, self._allowed)
                    except DomainError as error:
                        # The operator allows less than when the URL was taken.
                        results: Sequence[Result] = _fail_all(claim, f"{error.message}.")
                    else:
                        host = receiver.host
                        if connection is None or connection.receiver != receiver:
                            context = self._sender.connect(receiver)
                            connection = await stack.enter_async_context(context)
                        results = await self._send_round(webhook_id, claim, connection)
                    sent = {result.attempt_id for result in results}
                    finish = partial(
                        end_round,
                        webhook_id=webhook_id,
                        job_id=job_id,
                        host=host,
                        results=results,
                        unsent=[one.id for one in claim.attempts if one.id not in sent],
                        goes_on=time.monotonic() < end,
                    )
                    claim = await self._take_turn(database, webhook_id, finish)
        finally:
            self._looked_after.discard(webhook_id)
        return claim.wait if claim is not None else None

    async def _take_turn(
        self, database: Database, webhook_id: UUID, work: Work[Claim | None]
    ) -> Claim | None:
        """Does a transaction of a lane when it is its turn."""
        self._looked_after.add(webhook_id)
        async with self._pacing.turn(database):
            # What comes from now on may be missed.
            self._looked_after.discard(webhook_id)
            claim = await database.transaction(work)
            if claim is not None and claim.attempts:
                fresh = sum(attempt.waited < LONGEST_HOLD for attempt in claim.attempts)
                self._pacing.charge(fresh)
                if len(claim.attempts) >= claim.concurrency:
                    self._looked_after.add(webhook_id)
        return claim

    async def _send_round(
        self, webhook_id: UUID, claim: Claim, connection: Connection
    ) -> Sequence[Result]:
        """Sends attempts of a claim; returns what became of those that were sent."""
        opened = [unseal_secret(self._key, webhook_id, sealed) for sealed in claim.sealed_secrets]
        secrets = [secret for secret in opened if secret is not None]
        if len(secrets) < len(opened):
            return _fail_all(claim, "The server has another key now: rotate the secret.")
        sending = Round(connection, webhook_id, claim.attempts, secrets)
        await asyncio.gather(*(sending.send_some() for _ in range(claim.concurrency)))
        return sending.results


class Round:
    """Attempts that are sent in their order, until an answer is incomplete, or the time of a round is over.

    Attributes:
        results: what became of those that were sent.
    """

    def __init__(
        self,
        connection: Connection,
        webhook_id: UUID,
        attempts: Sequence[Attempt],
        secrets: Sequence[str],
    ) -> None:
        self.results: list[Result] = []
        self._connection = connection
        self._webhook_id = webhook_id
        self._secrets = secrets
        self._waiting = deque(attempts)
        self._end = time.monotonic() + ROUND_SECONDS
        self._left = ROUND_BYTES

    async def send_some(self) -> None:
        """Sends one after the other."""
        while self._waiting and self._left > 0 and time.monotonic() < self._end:
            attempt = self._waiting.popleft()
            result = await _send(self._connection, self._webhook_id, attempt, self._secrets)
            self.results.append(result)
            self._left -= len(result.answer.body)
            if not result.answer.is_complete:
                self._waiting.clear()


async def _send(
    connection: Connection, webhook_id: UUID, attempt: Attempt, secrets: Sequence[str]
) -> Result:
    timestamp = int(attempt.started_at.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        # A compressed answer would be kept as it is, and nobody could read it.
        "Accept-Encoding": "identity",
        "X-Dits-Event": attempt.event,
        "X-Dits-Event-Id": str(attempt.event_id),
        "X-Dits-Delivery": str(attempt.delivery_id),
        "X-Dits-Attempt": str(attempt.number),
        "X-Dits-Webhook": str(webhook_id),
        "X-Dits-Timestamp": str(timestamp),
        "X-Dits-Signature": sign(secrets, timestamp, attempt.body),
    }
    answer = await connection.send(headers, attempt.body)
    metrics.WEBHOOK_ATTEMPTS.labels(_name_outcome(answer)).inc()
    metrics.WEBHOOK_SECONDS.observe(answer.duration_ms / 1000)
    return Result(attempt.id, {name.lower(): value for name, value in headers.items()}, answer)


def _name_outcome(answer: Answer) -> str:
    if answer.error is None:
        return "succeeded"
    return "refused" if answer.status else "unanswered"


def _fail_all(claim: Claim, error: str) -> list[Result]:
    return [Result(attempt.id, {}, Answer(error, 0)) for attempt in claim.attempts]
