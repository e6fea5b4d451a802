"""What events about locks tell their holders."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

from dits.auth.v1.notification_service_pb2 import NotificationType
from dits.common.v1.event_pb2 import EventType, LockPayload
from google.protobuf import json_format

from services.auth.notifications import texts
from services.auth.notifications.catalog import Draft
from shared.outbox.stored_event import StoredEvent

_VERBS = {
    EventType.EVENT_TYPE_LOCK_FORCE_RELEASED: "released",
    EventType.EVENT_TYPE_LOCK_STOLEN: "took over",
}
# A lock that another user acquired for its holder is one that was transferred.
_TYPES = {
    EventType.EVENT_TYPE_LOCK_ACQUIRED: NotificationType.NOTIFICATION_TYPE_LOCK_TRANSFERRED,
    EventType.EVENT_TYPE_LOCK_EXPIRING: NotificationType.NOTIFICATION_TYPE_LOCK_EXPIRING,
    EventType.EVENT_TYPE_LOCK_FORCE_RELEASED: NotificationType.NOTIFICATION_TYPE_LOCK_FORCE_RELEASED,
    EventType.EVENT_TYPE_LOCK_STOLEN: NotificationType.NOTIFICATION_TYPE_LOCK_STOLEN,
    EventType.EVENT_TYPE_LOCK_TRANSFERRED: NotificationType.NOTIFICATION_TYPE_LOCK_TRANSFERRED,
}
LOCK_EVENTS = frozenset(_TYPES)


def compose_lock_draft(event: StoredEvent, where: str, who: str) -> Draft | None:
    """Returns what the holder of the event's locks is told; None if the holder did it."""
    payload = json_format.Parse(event.payload, LockPayload(), ignore_unknown_fields=True)
    holder_id = UUID(payload.holder_id)
    if holder_id == event.actor_id:
        return None
    title, message = _describe(event, payload, where, who)
    return Draft(
        user_id=holder_id,
        type=_TYPES[event.type],
        source_id=event.id,
        repository_id=event.repository_id,
        title=title,
        message=message,
        link=texts.link_locks(where),
    )


def _describe(event: StoredEvent, payload: LockPayload, where: str, who: str) -> tuple[str, str]:
    paths = [lock.path for lock in payload.locks]
    if event.type == EventType.EVENT_TYPE_LOCK_EXPIRING:
        return texts.describe_expiry(paths, where, payload.expire_time.ToDatetime(UTC))
    if event.type in _VERBS:
        return texts.describe_removal(who, _VERBS[event.type], paths, where, payload.cause)
    is_new_holder = event.type == EventType.EVENT_TYPE_LOCK_ACQUIRED
    return texts.describe_transfer(who, paths, where, is_new_holder=is_new_holder)
