"""What events about storage tell those who administer the repository."""

from __future__ import annotations

from dits.auth.v1.notification_service_pb2 import NotificationType
from dits.common.v1.event_pb2 import RepoPayload
from google.protobuf import json_format

from services.auth.notifications import audience, texts
from services.auth.notifications.catalog import Draft
from shared.db.pool import Connection
from shared.outbox.stored_event import StoredEvent


async def compose_storage_drafts(
    connection: Connection, event: StoredEvent, where: str
) -> list[Draft]:
    """Returns what the administrators of a repository are told of its storage, or of its owner's."""
    payload = json_format.Parse(event.payload, RepoPayload(), ignore_unknown_fields=True)
    owner, _, _ = where.partition("/")
    title, message = texts.describe_storage(
        where if payload.storage_scope == "repository" else owner,
        payload.storage_percent,
        payload.storage_held_bytes,
        payload.storage_limit_bytes,
    )
    return [
        Draft(
            user_id=user_id,
            type=NotificationType.NOTIFICATION_TYPE_REPO_STORAGE_NEARLY_FULL,
            source_id=event.id,
            repository_id=event.repository_id,
            title=title,
            message=message,
            link=f"/{where}",
        )
        for user_id in await audience.find_administrators(connection, event.repository_id, None)
    ]
