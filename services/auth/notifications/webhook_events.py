"""What events about webhooks tell those who administer them."""

from __future__ import annotations

from datetime import UTC

from dits.auth.v1.notification_service_pb2 import NotificationType
from dits.common.v1.event_pb2 import WebhookPayload
from google.protobuf import json_format

from services.auth.notifications import audience, texts
from services.auth.notifications.catalog import Draft
from shared.db.pool import Connection
from shared.outbox.stored_event import StoredEvent


async def compose_webhook_drafts(
    connection: Connection, event: StoredEvent, where: str
) -> list[Draft]:
    """Returns what the administrators of a repository or organisation are told of a webhook that is off."""
    payload = json_format.Parse(event.payload, WebhookPayload(), ignore_unknown_fields=True)
    since = payload.failing_since.ToDatetime(UTC)
    title, message = texts.describe_webhook(where, payload.webhook_id, payload.host, since)
    return [
        Draft(
            user_id=user_id,
            type=NotificationType.NOTIFICATION_TYPE_WEBHOOK_DISABLED,
            source_id=event.id,
            repository_id=event.repository_id,
            title=title,
            message=message,
            link=texts.link_webhooks(where),
        )
        for user_id in await audience.find_administrators(
            connection, event.repository_id, event.organization_id
        )
    ]
