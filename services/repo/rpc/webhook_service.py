"""WebhookService: managing webhooks, and showing what was delivered."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from dits.common.v1.event_pb2 import EventType
from dits.repo.v1 import webhook_service_pb2 as pb

from services.repo.rpc.webhook_owners import WebhookOwners
from services.repo.webhooks import deliveries, management, requests
from services.repo.webhooks.addresses import AllowedNetworks
from services.repo.webhooks.jobs import wake_lanes
from services.repo.webhooks.messages import (
    describe_delivery,
    describe_ping,
    describe_shown,
    describe_webhook,
)
from services.repo.webhooks.signatures import parse_secret, seal_secret
from shared.db.pool import Connection, Row
from shared.records.events import NAMES
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

READ, WRITE = "org:read", "org:write"


class WebhookService:
    """The RPCs of dits.repo.v1.WebhookService."""

    def __init__(
        self,
        owners: WebhookOwners,
        writes: IdempotentWrites,
        key: ServerKey,
        allowed: AllowedNetworks,
    ) -> None:
        self._owners = owners
        self._writes = writes
        self._key = key
        self._allowed = allowed

    async def CreateWebhook(
        self, request: pb.CreateWebhookRequest, call: Call
    ) -> pb.CreateWebhookResponse:
        """Creates a webhook."""
        new = requests.parse_new_webhook(request, self._allowed)
        owner = await self._owners.find_owner(request, call, WRITE)
        secret = parse_secret(request.secret)

        async def create(connection: Connection) -> pb.CreateWebhookResponse:
            row = await management.create_webhook(connection, call, owner, new, self._key, secret)
            return pb.CreateWebhookResponse(webhook=describe_webhook(row), secret=secret)

        repeatable = Repeatable.of(request)
        return await self._writes.once(call, repeatable, pb.CreateWebhookResponse, create)

    async def GetWebhook(self, request: pb.GetWebhookRequest, call: Call) -> pb.GetWebhookResponse:
        """Returns a webhook."""
        webhook_id = validation.uuid("webhook_id", request.webhook_id)
        owner = await self._owners.find_owner(request, call, READ)
        async with self._owners.database(owner).connection() as connection:
            row = await management.get_webhook(connection, owner, webhook_id)
        return pb.GetWebhookResponse(webhook=describe_webhook(row))

    async def ListWebhooks(
        self, request: pb.ListWebhooksRequest, call: Call
    ) -> pb.ListWebhooksResponse:
        """Lists all webhooks of a repository or organisation."""
        owner = await self._owners.find_owner(request, call, READ)
        async with self._owners.database(owner).connection() as connection:
            rows = await management.list_webhooks(connection, owner)
        return pb.ListWebhooksResponse(webhooks=map(describe_webhook, rows))

    async def UpdateWebhook(
        self, request: pb.UpdateWebhookRequest, call: Call
    ) -> pb.UpdateWebhookResponse:
        """Changes a webhook."""
        webhook_id = validation.uuid("webhook_id", request.webhook_id)
        change = requests.parse_change(request, self._allowed)
        owner = await self._owners.find_owner(request, call, WRITE)

        async def update(connection: Connection) -> Row:
            row = await management.update_webhook(connection, call, owner, webhook_id, change)
            await wake_lanes(connection, [webhook_id])
            return row

        row = await self._owners.database(owner).transaction(update)
        return pb.UpdateWebhookResponse(webhook=describe_webhook(row))

    async def DeleteWebhook(
        self, request: pb.DeleteWebhookRequest, call: Call
    ) -> pb.DeleteWebhookResponse:
        """Deletes a webhook."""
        webhook_id = validation.uuid("webhook_id", request.webhook_id)
        owner = await self._owners.find_owner(request, call, WRITE)
        await self._owners.database(owner).transaction(
            lambda connection: management.delete_webhook(connection, call, owner, webhook_id)
        )
        return pb.DeleteWebhookResponse()

    async def Ping(self, request: pb.PingRequest, call: Call) -> pb.PingResponse:
        """Sends an event that says nothing to a webhook."""
        webhook_id = validation.uuid("webhook_id", request.webhook_id)
        owner = await self._owners.find_owner(request, call, WRITE)

        async def ping(connection: Connection) -> pb.PingResponse:
            await management.hold_owner(connection, call, owner)
            webhook = await management.get_webhook(connection, owner, webhook_id)
            event_id, body = describe_ping(webhook, call.caller)
            event = NAMES[EventType.EVENT_TYPE_WEBHOOK_PING]
            row = await deliveries.add_delivery(connection, call, webhook_id, event, event_id, body)
            await wake_lanes(connection, [webhook_id])
            return pb.PingResponse(delivery=describe_delivery(row))

        return await self._writes.once(call, Repeatable.of(request), pb.PingResponse, ping)

    async def RotateSecret(
        self, request: pb.RotateSecretRequest, call: Call
    ) -> pb.RotateSecretResponse:
        """Gives a webhook a new secret."""
        webhook_id = validation.uuid("webhook_id", request.webhook_id)
        overlap = requests.parse_overlap(request)
        secret = parse_secret(request.secret)
        owner = await self._owners.find_owner(request, call, WRITE)
        sealed = seal_secret(self._key, webhook_id, secret)

        async def rotate(connection: Connection) -> pb.RotateSecretResponse:
            row = await management.rotate_secret(
                connection, call, owner, webhook_id, sealed, overlap
            )
            return pb.RotateSecretResponse(webhook=describe_webhook(row), secret=secret)

        repeatable = Repeatable.of(request)
        return await self._writes.once(call, repeatable, pb.RotateSecretResponse, rotate)

    async def ListDeliveries(
        self, request: pb.ListDeliveriesRequest, call: Call
    ) -> pb.ListDeliveriesResponse:
        """Lists deliveries of a webhook, newest first."""
        page = Page(self._key, request, call)
        webhook_id = validation.uuid("webhook_id", request.webhook_id)
        owner = await self._owners.find_owner(request, call, READ)
        async with self._owners.database(owner).connection() as connection:
            await management.get_webhook(connection, owner, webhook_id)
            found = await deliveries.list_deliveries(
                connection, webhook_id, _after(page), page.size + 1
            )
        rows, token = page.answer(found, _position)
        return pb.ListDeliveriesResponse(
            deliveries=map(describe_delivery, rows), next_page_token=token
        )

    async def GetDelivery(
        self, request: pb.GetDeliveryRequest, call: Call
    ) -> pb.GetDeliveryResponse:
        """Returns a delivery with its body and attempts."""
        delivery_id = validation.uuid("delivery_id", request.delivery_id)
        owner = await self._owners.find_owner(request, call, READ)
        async with self._owners.database(owner).connection() as connection:
            shown = await deliveries.get_delivery(connection, owner, delivery_id)
        return pb.GetDeliveryResponse(delivery=describe_shown(shown))

    async def Redeliver(self, request: pb.RedeliverRequest, call: Call) -> pb.RedeliverResponse:
        """Sends the event of a delivery again."""
        delivery_id = validation.uuid("delivery_id", request.delivery_id)
        owner = await self._owners.find_owner(request, call, WRITE)

        async def repeat(connection: Connection) -> pb.RedeliverResponse:
            await management.hold_owner(connection, call, owner)
            row = await deliveries.repeat_delivery(connection, call, owner, delivery_id)
            await wake_lanes(connection, [row["webhook_id"]])
            return pb.RedeliverResponse(delivery=describe_delivery(row))

        return await self._writes.once(call, Repeatable.of(request), pb.RedeliverResponse, repeat)


def _position(row: Row) -> tuple[str, str]:
    return row["created_at"].isoformat(), str(row["delivery_id"])


def _after(page: Page) -> tuple[datetime | None, UUID | None]:
    if page.after is None:
        return None, None
    created, delivery_id = page.after
    return datetime.fromisoformat(created), UUID(delivery_id)
