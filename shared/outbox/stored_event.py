"""Events as the outbox keeps them, and as messages of the API."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from dits.common.v1.event_pb2 import Event, EventType
from google.protobuf import json_format
from google.protobuf.message import Message

from shared.db.pool import Row
from shared.records.events import TYPES, payload_field
from shared.rpc.timestamps import to_timestamp

# Up to so many bytes a payload is parsed on the event loop; a larger one in a thread.
_BYTES_ON_LOOP = 16 << 10


class EventPosition(NamedTuple):
    """A place in the order of events.

    Attributes:
        database_id: the database whose transactions these are.
        xid: the transaction, as PostgreSQL writes an xid8.
        event_id: the event within the transaction; 0 = before all of its events.
    """

    database_id: str
    xid: str
    event_id: int


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of the outbox.

    Attributes:
        position: where it stands; the position after it is the same.
        name: its kind, as patterns know it: `lock.acquired`.
        payload: the JSON of its message in `event.proto`.
    """

    position: EventPosition
    name: str
    repository_id: UUID | None
    organization_id: UUID | None
    actor_id: UUID | None
    payload: str
    created_at: datetime

    @classmethod
    def of(cls, row: Row) -> StoredEvent:
        """Returns the event of a row that the queries of this package read."""
        return cls(
            EventPosition(str(row["database_id"]), row["xid"], row["id"]),
            row["type"],
            row["repo_id"],
            row["org_id"],
            row["actor_id"],
            row["payload"],
            row["created_at"],
        )

    @property
    def id(self) -> UUID:
        """What names the event everywhere: the same in each process, and in no other database."""
        return name_event(self.position.database_id, self.position.event_id)

    @property
    def type(self) -> EventType.ValueType:
        """Its kind; EVENT_TYPE_UNSPECIFIED if a later release has written it."""
        return TYPES.get(self.name, EventType.EVENT_TYPE_UNSPECIFIED)


def name_event(database_id: str, event_id: int) -> UUID:
    """Returns what names an event of a database everywhere."""
    return uuid.uuid5(UUID(database_id), str(event_id))


async def describe_event(event: StoredEvent, actor: str = "") -> Event:
    """Returns the message of an event whose type is known; `actor` is the username of who did it."""
    payload = await parse_payload(event)
    message = Event(
        id=str(event.id),
        type=event.type,
        time=to_timestamp(event.created_at),
        repository_id=str(event.repository_id or ""),
        organization_id=str(event.organization_id or ""),
        actor_id=str(event.actor_id or ""),
        actor=actor,
    )
    field = getattr(message, payload_field(event.type))
    # An empty payload is set, too.
    field.SetInParent()
    field.CopyFrom(payload)
    return message


async def parse_payload(event: StoredEvent) -> Message:
    """Returns the payload of an event whose type is known. Many may ask for it: it is not to be changed."""
    if len(event.payload) <= _BYTES_ON_LOOP:
        return _parse(payload_field(event.type), event.payload)
    return await asyncio.to_thread(_parse_large, payload_field(event.type), event.payload)


def _parse(field: str, text: str) -> Message:
    payload: Message = getattr(Event(), field)
    json_format.Parse(text, payload, ignore_unknown_fields=True)
    return payload


# All who watch a repository read the same events at the same time.
_parse_large = lru_cache(maxsize=16)(_parse)
