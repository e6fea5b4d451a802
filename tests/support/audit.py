"""Audit events: rows to list, and whole listings."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from dits.auth.v1 import audit_service_pb2 as pb

from tests.support.api import Account, Api

# Two rows each have the same time.
_ROWS = """
INSERT INTO audit_log ("timestamp", actor_id, actor_type, action, resource_type, resource_id, ip_address)
SELECT $2::timestamptz - n / 2 * interval '1 second', $1, 'user', 'token.created', 'api_token',
       gen_random_uuid()::text, '192.0.2.7'
FROM generate_series(1, $3::int) n"""


async def add_rows(api: Api, user_id: uuid.UUID, latest: datetime, count: int) -> None:
    """Writes audit rows of a user, none later than a time."""
    await api.fetch(_ROWS, user_id, latest, count)


async def list_events(api: Api, who: Account, size: int = 0, **fields: Any) -> list[pb.AuditEvent]:
    """All events that pass a filter, by pages."""
    found: list[pb.AuditEvent] = []
    request = pb.ListAuditEventsRequest(filter=pb.AuditFilter(**fields), page_size=size)
    while True:
        page = await api.audit.ListAuditEvents(request, metadata=who.auth)
        found += page.events
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def add_organization(api: Api, name: str, **members: str) -> uuid.UUID:
    """An organisation whose members, by their ids, have these roles."""
    org_id: uuid.UUID = await api.value(
        "INSERT INTO organizations (name, display_name) VALUES ($1, $1) RETURNING id", name
    )
    for user_id, role in members.items():
        await api.fetch(
            "INSERT INTO organization_members (org_id, user_id, role) VALUES ($1, $2, $3)",
            org_id, uuid.UUID(user_id), role,
        )  # fmt: skip
    return org_id


async def export_events(
    api: Api, who: Account, request: pb.ExportAuditEventsRequest
) -> list[pb.ExportAuditEventsResponse]:
    return [response async for response in api.audit.ExportAuditEvents(request, metadata=who.auth)]
