"""What the plan of an organisation allows: the operator says."""

from __future__ import annotations

from collections.abc import Mapping

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

    What an organisation has already stays, if it is more. Raises INVALID_FIELD, NOT_FOUND.
    """
    for field, value in changes.items():
        if value is not None and not 0 <= value <= _MOST[field]:
            raise invalid_field(field, f"must be from 0 to {_MOST[field]}")
    row = await connection.fetchrow(Q.get_plan, validation.username("organization", name).lower())
    if row is None:
        raise not_found("organization", name)
    before = {field: row[field] for field in _MOST}
    plan = {**before, **changes}
    if plan != before:
        await connection.execute(Q.set_plan, row["id"], *plan.values())
        await audit(
            connection, None, AuditAction.ORGANIZATION_UPDATED, "organization", row["id"], row["name"],
            organization_id=row["id"], fields=sorted(changes),
            plan_storage_bytes=_describe(plan["plan_storage_bytes"]),
            plan_seats=_describe(plan["plan_seats"]),
        )  # fmt: skip
    return plan
