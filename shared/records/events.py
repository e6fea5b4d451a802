"""The outbox: events are written in the transaction in which they happen.

The payload is the JSON of its message in `event.proto`. Functions in SQL build the same JSON themselves.
"""

from __future__ import annotations

from uuid import UUID

from dits.common.v1.event_pb2 import Event, EventType
from google.protobuf import json_format
from google.protobuf.message import Message

from shared.db import sql
from shared.db.hints import hint_after_commit
from shared.db.pool import Connection
from shared.rpc.call import Call

Q = sql.load(__file__)

# Its notifications name repositories in which something has happened.
CHANNEL = "dits_events"
_PREFIX = "EVENT_TYPE_"
# The names under which the database and webhooks know events: `push`, `lock.force_released`.
NAMES: dict[EventType.ValueType, str] = {
    value: name.removeprefix(_PREFIX).lower().replace("_", ".", 1)
    for name, value in EventType.items()
    if value != EventType.EVENT_TYPE_UNSPECIFIED
}
TYPES = {name: event for event, name in NAMES.items()}


async def emit(
    connection: Connection,
    call: Call,
    event: EventType.ValueType,
    repository_id: UUID | None,
    payload: Message,
    *,
    organization_id: UUID | None = None,
) -> None:
    """Writes that the caller did something, and wakes those who wait for it after the commit.

    An event about a repository need not say the organisation that owns it.

    Raises TypeError if the event has another payload.
    """
    field = Event.DESCRIPTOR.fields_by_name[payload_field(event)]
    if field.message_type is not payload.DESCRIPTOR:
        raise TypeError(f"{NAMES[event]} has no {payload.DESCRIPTOR.name}")
    text = json_format.MessageToJson(payload, preserving_proto_field_name=True, indent=None)
    await connection.execute(
        *Q.bind.emit_event(
            type=NAMES[event],
            repository_id=repository_id,
            organization_id=organization_id,
            actor_id=call.caller_id,
            payload=text,
        )
    )
    if repository_id is not None:
        hint_after_commit(CHANNEL, str(repository_id))


def payload_field(event: EventType.ValueType) -> str:
    """Returns the field of Event.payload that an event sets."""
    return NAMES[event].partition(".")[0]
