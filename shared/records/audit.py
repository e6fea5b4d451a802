"""The audit log: one row per security change, written in the transaction of the change."""

from __future__ import annotations

import json
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.rpc.call import Call

Q = sql.load(__file__)


async def audit(
    connection: Connection,
    call: Call,
    action: str,
    resource_type: str,
    resource_id: UUID,
    resource_name: str,
    **details: str | int | bool | list[str],
) -> None:
    """Records that the caller did `action` (`noun.past_participle`) to a resource."""
    caller = call.access.caller
    actor_type = "user" if caller is None or caller.is_session else "api_token"
    await connection.execute(
        *Q.bind.audit(
            actor_id=caller.user_id if caller else None,
            actor_type=actor_type,
            action=action,
            resource_type=resource_type,
            resource_id=str(resource_id),
            resource_name=resource_name,
            details=json.dumps(details) if details else None,
            peer_ip=call.peer_ip,
            user_agent=call.user_agent,
            request_id=call.request_id,
        )
    )
