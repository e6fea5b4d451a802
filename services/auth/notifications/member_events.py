"""What events about members of organisations tell those who are invited, removed or given another role."""

from __future__ import annotations

from uuid import UUID

from dits.auth.v1.notification_service_pb2 import NotificationType
from dits.common.v1.event_pb2 import EventType, MemberPayload
from google.protobuf import json_format

from services.auth.notifications import texts
from services.auth.notifications.catalog import Draft
from shared.db import sql
from shared.db.pool import Connection
from shared.outbox.stored_event import StoredEvent

Q = sql.load(__file__)

_TYPES = {
    EventType.EVENT_TYPE_MEMBER_INVITED: NotificationType.NOTIFICATION_TYPE_MEMBER_INVITED,
    EventType.EVENT_TYPE_MEMBER_REMOVED: NotificationType.NOTIFICATION_TYPE_MEMBER_REMOVED,
    EventType.EVENT_TYPE_MEMBER_ROLE_CHANGED: NotificationType.NOTIFICATION_TYPE_MEMBER_ROLE_CHANGED,
}
MEMBER_EVENTS = frozenset(_TYPES)


async def compose_member_draft(
    connection: Connection, event: StoredEvent, where: str, who: str
) -> Draft | None:
    """Returns what the user is told whom the event concerns; None if there is none, or the user did it."""
    payload = json_format.Parse(event.payload, MemberPayload(), ignore_unknown_fields=True)
    if event.type == EventType.EVENT_TYPE_MEMBER_INVITED:
        # None if nobody has the address, or it is not verified, or the invitation has ended.
        user_id = await connection.fetchval(Q.invited_user, UUID(payload.invitation_id))
    else:
        user_id = UUID(payload.user_id)
    if user_id is None or user_id == event.actor_id:
        return None
    title, message = texts.describe_membership(who, where, payload.role, payload.previous_role)
    return Draft(
        user_id=user_id,
        type=_TYPES[event.type],
        source_id=event.id,
        repository_id=None,
        title=title,
        message=message,
        link="/invitations" if payload.invitation_id else f"/{where}",
    )
