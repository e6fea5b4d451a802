"""The sessions of an account: listed, and ended before their time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from dits.auth.v1.session_service_pb2 import Session

from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import not_found
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Call

Q = sql.load(__file__)


async def list_sessions(
    database: Database,
    user_id: UUID,
    after: tuple[datetime, UUID] | None,
    count: int,
    *,
    include_ended: bool,
) -> Sequence[Row]:
    """Returns up to `count` sessions of a user after a position, newest first."""
    created, session_id = after or (None, None)
    query = Q.bind.list_sessions(
        user_id=user_id,
        include_ended=include_ended,
        created_at=created,
        id=session_id,
        count=count,
    )
    return await database.fetch(*query)


def describe_session(row: Row, current: UUID) -> Session:
    """Returns the message of a session; `current` is the credential that asks."""
    return Session(
        id=str(row["id"]),
        device_name=row["device_id"] or "",
        user_agent=row["user_agent"] or "",
        login_network=row["login_network"] or "",
        last_network=row["last_network"] or "",
        create_time=row["created_at"],
        last_active_time=row["last_active_at"],
        expire_time=row["expires_at"],
        is_current=row["id"] == current,
        is_live=row["is_live"],
        revoke_time=row["revoked_at"],
    )


async def end_session(
    connection: Connection, call: Call | None, user_id: UUID, session_id: UUID
) -> None:
    """Ends a session of a user; one that has ended stays as it is. Raises NOT_FOUND."""
    row = await connection.fetchrow(Q.end_session, session_id, user_id)
    if row is None:
        raise not_found("session", str(session_id))
    if row["ended_now"]:
        await _record_end(connection, call, row, user_id)


async def end_all_sessions(
    connection: Connection, call: Call | None, user_id: UUID, kept: UUID | None = None
) -> int:
    """Ends the sessions of a user, but for `kept`; returns how many. Locks the account."""
    await connection.execute(Q.lock_account, user_id)
    ended = await connection.fetch(Q.end_all_sessions, user_id, kept)
    for row in ended:
        await _record_end(connection, call, row, user_id)
    return len(ended)


async def _record_end(connection: Connection, call: Call | None, row: Row, user_id: UUID) -> None:
    """Writes the audit row of a session that has just ended; nobody's call = the operator's."""
    details = {} if call is not None else {"owner": str(user_id)}
    await audit(
        connection, call, AuditAction.SESSION_ENDED, "session", row["id"], row["device_id"] or "",
        **details,  # type: ignore[arg-type]
    )  # fmt: skip
