"""What the tests of webhooks share: an owner with webhooks, and moments that come early."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

from dits.repo.v1 import webhook_service_pb2 as pb

from services.repo.webhooks.addresses import AllowedNetworks
from services.repo.webhooks.lane import DeliveryLane
from services.repo.webhooks.resolver import SystemResolver
from services.repo.webhooks.sender import Sender
from shared.db.pool import Database
from shared.jobs.queue import CHANNEL
from shared.runtime.server_key import ServerKey
from tests.support.api import Account, Api
from tests.support.receivers import Received
from tests.support.waiting import PATIENCE_SECONDS

SECRET = "a-secret-of-the-tests"
DISTANT = "https://ci.example/hook"
OWN = AllowedNetworks(["127.0.0.1"])


def is_genuine(headers: dict[str, str], body: bytes, secret: str = SECRET) -> bool:
    """The check that docs/webhooks.md tells receivers to make, without the clock."""
    signed = headers["x-dits-timestamp"].encode() + b"." + body
    right = "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    given = headers["x-dits-signature"].split(",")
    return any(hmac.compare_digest(right, one) for one in given)


@dataclass(slots=True)
class Hooks:
    """A repository or organisation whose webhooks a user manages."""

    api: Api
    who: Account
    names: dict[str, str]

    @classmethod
    async def of_repository(cls, api: Api, who: Account | None = None) -> Self:
        """Those of a new repository."""
        who = who or await api.account()
        repository = await api.repository(who)
        return cls(api, who, {"repository": repository.id})

    @classmethod
    async def of_organization(cls, api: Api, role: str = "owner") -> tuple[Self, str]:
        """Those of a new organisation, and the id of a repository of it."""
        who = await api.account()
        name = f"{who.username}-org"
        organization: UUID = await api.value(
            "INSERT INTO organizations (name, display_name) VALUES ($1, $1) RETURNING id", name
        )
        await api.fetch(
            "INSERT INTO organization_members (org_id, user_id, role) VALUES ($1, $2, $3)",
            organization,
            who.id,
            role,
        )
        repository = await api.repository(await api.account())
        await api.fetch(
            "UPDATE repositories SET owner_type = 'organization', owner_id = $1 WHERE id = $2::uuid",
            organization,
            repository.id,
        )
        return cls(api, who, {"organization": name}), repository.id

    async def call(self, method: str, **fields: Any) -> Any:
        """The response of a call of WebhookService."""
        return await self.call_as(self.who, method, **fields)

    async def call_as(self, who: Account, method: str, **fields: Any) -> Any:
        """The response of a call by another user, or with another credential."""
        request = getattr(pb, f"{method}Request")(**{**self.names, **fields})
        return await getattr(self.api.webhooks, method)(request, metadata=who.auth)

    async def create(self, url: str = DISTANT, *events: str, **fields: Any) -> pb.Webhook:
        """A new webhook, by default for all events."""
        fields = {"secret": SECRET, **fields}
        made = await self.call("CreateWebhook", url=url, events=events or ["*"], **fields)
        webhook: pb.Webhook = made.webhook
        return webhook

    async def list_deliveries(self, webhook_id: str) -> list[pb.Delivery]:
        """All deliveries of a webhook, the newest first."""
        found = await self.call("ListDeliveries", webhook_id=webhook_id, page_size=1000)
        return list(found.deliveries)

    async def get_delivery(self, delivery_id: str) -> pb.Delivery:
        """One delivery with its attempts."""
        found: pb.Delivery = (await self.call("GetDelivery", delivery_id=delivery_id)).delivery
        return found

    async def wait_for_delivery(
        self, delivery_id: str, attempts: int = 1, state: int = 0
    ) -> pb.Delivery:
        """The delivery, as soon as so many attempts have ended, and it has the state, if one is given."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = await self.get_delivery(delivery_id)
                ended = [a for a in found.attempts if a.state != pb.DELIVERY_STATE_PENDING]
                if len(ended) >= attempts and state in (0, found.state):
                    return found
                await asyncio.sleep(0.05)

    async def wait_for_state(self, state: int, count: int, webhook_id: str) -> list[pb.Delivery]:
        """The deliveries of a webhook, as soon as so many have a state."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = await self.list_deliveries(webhook_id)
                if sum(delivery.state == state for delivery in found) >= count:
                    return found
                await asyncio.sleep(0.05)

    async def wait_for_count(self, count: int, webhook_id: str) -> None:
        """Returns as soon as a webhook has so many deliveries."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                if len(await self.list_deliveries(webhook_id)) == count:
                    return
                await asyncio.sleep(0.05)

    async def wait_until_recorded(self, count: int) -> None:
        """Returns as soon as so many attempts have ended, of whichever webhook."""
        query = "SELECT count(*) FROM webhook_deliveries WHERE state <> 'pending'"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                if await self.api.value(query) >= count:
                    return
                await asyncio.sleep(0.05)

    async def happen(self, count: int = 1) -> None:
        """Makes things happen in the repository: pairs of branch.created and branch.deleted."""
        await self.api.fetch(
            """SELECT emit_event(t, $1::uuid, NULL, $2, '{"branch": "side"}')
               FROM generate_series(1, $3), unnest('{branch.created,branch.deleted}'::text[]) t""",
            self.names["repository"],
            self.who.id,
            count,
        )

    async def skip(self, delay: timedelta) -> None:
        """Has the clock of waiting attempts, failures and jobs go on."""
        for statement in (
            """UPDATE webhook_deliveries SET scheduled_at = scheduled_at - $1::interval
               WHERE state = 'pending' AND started_at IS NULL""",
            """UPDATE webhooks SET failing_since = failing_since - $1::interval,
                                   paused_until = paused_until - $1::interval""",
            "UPDATE jobs SET scheduled_at = scheduled_at - $1::interval WHERE status = 'pending'",
        ):
            await self.api.fetch(statement, delay)
        await self.api.fetch("SELECT pg_notify($1, 'webhooks')", CHANNEL)


@dataclass(frozen=True, slots=True)
class Lanes:
    """Lanes of the test's own, beside a suite that has none."""

    hooks: Hooks
    database: Database
    key: ServerKey

    def make(self, seconds: float = 0.5, allowed: AllowedNetworks = OWN) -> DeliveryLane:
        sender = Sender(allowed, SystemResolver().resolve_host, seconds=seconds)
        return DeliveryLane(self.key, allowed, sender)

    async def send(self, webhook: pb.Webhook, lane: DeliveryLane | None = None) -> timedelta | None:
        lane = lane or self.make()
        return await lane.send_due(self.database, UUID(webhook.id), uuid.uuid4())

    async def ping(self, webhook: pb.Webhook, count: int = 1) -> list[str]:
        pings = [await self.hooks.call("Ping", webhook_id=webhook.id) for _ in range(count)]
        return [ping.delivery.id for ping in pings]


def names_of(requests: list[Received]) -> list[str]:
    """The names of the events of requests."""
    return [request.headers["x-dits-event"] for request in requests]
