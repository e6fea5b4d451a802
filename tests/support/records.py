"""Holds what a test has written into the shared tables against the closed lists and the protos."""

from __future__ import annotations

import asyncpg
from dits.common.v1.event_pb2 import Event, EventType
from google.protobuf import json_format

from shared.records.audit import AuditAction
from shared.records.events import TYPES, payload_field
from tests.support.secrets import check_rows

# One call does the same to a thing once (in one organisation), and writes one row in its transaction. It
# may break several rules, of several branches.
_DOUBLED = """
SELECT action, resource_id FROM audit_log WHERE request_id IS NOT NULL
GROUP BY request_id, action, resource_id, org_id,
         CASE WHEN action = 'branch.protection_bypassed' THEN resource_name || details END
HAVING count(*) > 1"""


async def check_records(dsn: str) -> None:
    """Holds a whole database against them."""
    connection = await asyncpg.connect(dsn)
    try:
        await check_rows_written(connection)
    finally:
        await connection.close()


async def check_rows_written(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Fails if an action or event is in no list, a payload is not its message, or a row holds a secret."""
    audited = await connection.fetch("SELECT DISTINCT action FROM audit_log")
    doubled = await connection.fetch(_DOUBLED)
    events = await connection.fetch("SELECT DISTINCT type, payload FROM events")
    await check_rows(connection)
    assert doubled == [], "a change has two audit rows"
    assert {row["action"] for row in audited} <= set(AuditAction)
    for row in events:
        parse_event(row["type"], row["payload"])


def parse_event(name: str, payload: str) -> Event:
    """The kind and the payload of a stored event; fails if either is unknown in any part."""
    kind = TYPES[name]
    text = f'{{"type": "{EventType.Name(kind)}", "{payload_field(kind)}": {payload}}}'
    return json_format.Parse(text, Event())
