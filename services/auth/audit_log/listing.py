"""Reads the audit log, newest first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from dits.auth.v1 import audit_service_pb2 as pb
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from services.auth.audit_log.scopes import AuditScope
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import DomainError, invalid_field
from shared.records.audit import AuditAction
from shared.rpc import validation
from shared.rpc.paging import PAGE_BYTES

Q = sql.load(__file__)

# No listing takes longer, whatever its filter.
STATEMENT_SECONDS = 10.0
# No user has this id: an unknown username has done nothing.
_NOBODY = UUID(int=0)
_FOREVER = datetime.max.replace(tzinfo=UTC)
_ACTOR_TYPES = {
    "user": pb.AUDIT_ACTOR_TYPE_USER,
    "api_token": pb.AUDIT_ACTOR_TYPE_API_TOKEN,
    "system": pb.AUDIT_ACTOR_TYPE_SYSTEM,
}


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which events, besides their scope: those that fit each field that is not None.

    Attributes:
        actor: the account that did it, by UUID or by username in lower case.
        start: not before this time.
        end: before this time.
    """

    actor: UUID | str | None
    action: str | None
    resource_type: str | None
    resource_id: str | None
    start: datetime
    end: datetime

    @classmethod
    def parse(cls, asked: pb.AuditFilter) -> AuditQuery:
        """Returns the filter of a request. Raises INVALID_FIELD."""
        # `site` may be set and false.
        if asked.actor and not (asked.repository or asked.organization or asked.site):
            raise invalid_field("filter.actor", "needs a scope: without one it is the caller")
        if asked.action and asked.action not in set(AuditAction):
            raise invalid_field("filter.action", "is not an action")
        kind = validation.text("filter.resource_type", asked.resource_type, most=64)
        if asked.resource_id and not kind:
            raise invalid_field("filter.resource_id", "needs resource_type")
        resource = asked.resource_id and str(
            validation.uuid("filter.resource_id", asked.resource_id)
        )
        start = _time("start_time", asked, datetime.min.replace(tzinfo=UTC))
        return cls(
            _actor(asked.actor),
            asked.action or None,
            kind or None,
            resource or None,
            start,
            _time("end_time", asked, _FOREVER),
        )


class AuditListing:
    """Lists the audit events of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fetch(
        self, scope: AuditScope, wanted: AuditQuery, position: Sequence[Any] | None, count: int
    ) -> list[Row]:
        """Returns up to `count` events behind a position, newest first; None = from the newest on.

        Fewer if their details fill a message.
        """
        at, last_id = position or (wanted.end.isoformat(), str(UUID(int=0)))
        actor_id = scope.actor_id
        if actor_id is None and wanted.actor is not None:
            actor_id = await self._find_actor(wanted.actor)
        query = Q.bind.list_events(
            actor_id=actor_id,
            repository_id=scope.repository_id,
            organization_id=scope.organization_id,
            refused_by=list(scope.refused_by),
            action=wanted.action,
            resource_type=wanted.resource_type,
            resource_id=wanted.resource_id,
            start=wanted.start,
            at=datetime.fromisoformat(at),
            last_id=UUID(last_id),
            count=count,
            bytes=PAGE_BYTES,
        )

        async def read(connection: Connection) -> list[Row]:
            # Which index serves depends on which filters are set.
            await connection.execute(Q.plan_for_values)
            return await connection.fetch(*query, timeout=STATEMENT_SECONDS)

        return await self._database.transaction(read)

    async def _find_actor(self, actor: UUID | str) -> UUID:
        if isinstance(actor, UUID):
            return actor
        row = await self._database.fetchrow(Q.user_by_name, actor)
        return row["id"] if row else _NOBODY


def get_position(row: Row) -> tuple[str, str]:
    """Returns the sort key of an event."""
    return row["timestamp"].isoformat(), str(row["id"])


def describe_event(row: Row, scope: AuditScope) -> pb.AuditEvent:
    """Returns the message of an event, with its origin only where the scope shows it."""
    event = pb.AuditEvent(
        event_id=str(row["id"]),
        event_time=row["timestamp"],
        actor_type=_ACTOR_TYPES.get(row["actor_type"], pb.AUDIT_ACTOR_TYPE_UNSPECIFIED),
        actor_id=str(row["actor_id"] or ""),
        actor=row["actor"] or "",
        action=row["action"],
        resource_type=row["resource_type"],
        resource_id=row["resource_id"],
        resource_name=row["resource_name"] or "",
        repository_id=str(row["repo_id"] or ""),
        organization_id=str(row["org_id"] or ""),
        request_id=row["request_id"] or "",
    )
    if row["details"]:
        event.details.CopyFrom(json_format.ParseDict(json.loads(row["details"]), Struct()))
    if scope.shows_origin:
        event.ip_address = str(row["ip_address"] or "")
        event.user_agent = row["user_agent"] or ""
    return event


def _actor(value: str) -> UUID | str | None:
    """An account as requests name it."""
    if not value:
        return None
    try:
        return validation.uuid("filter.actor", value)
    except DomainError:
        return validation.username("filter.actor", value).lower()


def _time(name: str, asked: pb.AuditFilter, default: datetime) -> datetime:
    if not asked.HasField(name):  # type: ignore[arg-type]
        return default
    return validation.time(f"filter.{name}", getattr(asked, name))
