"""What the plan of an organisation or user allows: the operator says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import invalid_field, not_found
from shared.records.audit import AuditAction, audit
from shared.rpc import validation

Q = sql.load(__file__)

MOST_BYTES = (1 << 63) - 1
MOST_SEATS = (1 << 31) - 1
_MOST = {"plan_storage_bytes": MOST_BYTES, "plan_seats": MOST_SEATS}


def _describe(amount: int | None) -> str | int:
    return "any" if amount is None else amount


async def change_plan(
    connection: Connection, name: str, changes: Mapping[str, int | None]
) -> dict[str, int | None]:
    """Changes `plan_storage_bytes`, `plan_seats` or both (None = any amount); returns the plan.

    A user has no seats. What there is already stays, if it is more. Raises INVALID_FIELD, NOT_FOUND.
    """
    for field, value in changes.items():
        if value is not None and not 0 <= value <= _MOST[field]:
            raise invalid_field(field, f"must be from 0 to {_MOST[field]}")
    key = validation.username("owner", name).lower()
    row = await connection.fetchrow(Q.get_plan, key)
    kind, query, action = "organization", Q.set_plan, AuditAction.ORGANIZATION_UPDATED
    if row is None:
        row = await connection.fetchrow(Q.get_user_plan, key)
        kind, query, action = "user", Q.set_user_plan, AuditAction.USER_UPDATED
    if row is None:
        raise not_found("owner", name)
    before = {field: row[field] for field in _MOST if field in row}
    if not changes.keys() <= before.keys():
        raise invalid_field("plan_seats", "is for organisations")
    plan = {**before, **changes}
    if plan != before:
        await connection.execute(query, row["id"], *plan.values())
        said: dict[str, Any] = {field: _describe(amount) for field, amount in plan.items()}
        await audit(
            connection, None, action, kind, row["id"], row["name"],
            organization_id=row["id"] if kind == "organization" else None, fields=sorted(changes), **said,
        )  # fmt: skip
    return plan
