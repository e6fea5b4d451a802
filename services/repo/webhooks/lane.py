"""The lane of a webhook: whatever is due for it is sent in rounds of a few requests.

A job works through one lane, so a receiver that hangs holds up no other one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from uuid import UUID

from services.repo.webhooks.addresses import AllowedNetworks
from services.repo.webhooks.attempts import Attempt, Claim, Result, begin_round, end_round
from services.repo.webhooks.sender import Answer, Connection, Sender
from services.repo.webhooks.signatures import sign, unseal_secret
from services.repo.webhooks.urls import parse_url
from shared.db.pool import Database
from shared.errors import DomainError
from shared.runtime import metrics
from shared.runtime.server_key import ServerKey

# After so long, a lane makes room for others.
TURN_SECONDS = 10.0
USER_AGENT = "dits-server"


class DeliveryLane:
    """Sends what is due for webhooks."""

    def __init__(self, key: ServerKey, allowed: AllowedNetworks, sender: Sender) -> None:
        self._key = key
        self._allowed = allowed
        self._sender = sender

    async def send_due(
        self, database: Database, webhook_id: UUID, job_id: UUID
    ) -> timedelta | None:
        """Sends what is due for a webhook; returns when to go on; None = nothing is pending."""
        end = time.monotonic() + TURN_SECONDS
        claim = await database.transaction(
            lambda transaction: begin_round(transaction, webhook_id, job_id)
        )
        connection = None
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
                        connection = await stack.enter_async_context(self._sender.connect(receiver))
                    results = await self._send_round(webhook_id, claim, connection)
                claim = await database.transaction(
                    partial(
                        end_round,
                        webhook_id=webhook_id,
                        job_id=job_id,
                        host=host,
                        results=results,
                        goes_on=time.monotonic() < end,
                    )
                )
        return claim.wait if claim is not None else None

    async def _send_round(
        self, webhook_id: UUID, claim: Claim, connection: Connection
    ) -> Sequence[Result]:
        """Sends the attempts of a claim at once; returns what became of all of them."""
        opened = [unseal_secret(self._key, webhook_id, sealed) for sealed in claim.sealed_secrets]
        secrets = [secret for secret in opened if secret is not None]
        if len(secrets) < len(opened):
            return _fail_all(claim, "The server has another key now: rotate the secret.")
        return await asyncio.gather(
            *(_send(connection, webhook_id, attempt, secrets) for attempt in claim.attempts)
        )


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
