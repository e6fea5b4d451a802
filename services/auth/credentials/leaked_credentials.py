"""Reports of leaked credentials: whoever holds a secret may end what it opens."""

from __future__ import annotations

from uuid import UUID

from dits.auth.v1.notification_service_pb2 import NotificationType

from services.auth.notifications import texts
from services.auth.notifications.catalog import Draft
from services.auth.notifications.delivery import notify_owner
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.formats import credentials
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Access, Call, Caller
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


async def end_leaked(connection: Connection, call: Call, key: ServerKey, secret: str) -> None:
    """Ends the API token or session of a secret, if it is live, and tells its owner.

    A token of a session that was replaced ends the session, too.
    """
    row = await connection.fetchrow(Q.find_credential, credentials.token_hash(secret))
    if row is None:
        return
    query = Q.end_session if row["is_session"] else Q.end_token
    if await connection.fetchval(query, row["id"]) is None:
        return
    # Whoever holds the secret acts as its owner, for the last time.
    scopes: list[str] | None = None if row["is_session"] else []
    call.access = Access(Caller.of(row["user_id"], row["username"], row["id"], scopes), None)
    kind = "session" if row["is_session"] else "api_token"
    await audit(connection, call, AuditAction.TOKEN_REPORTED, kind, row["id"], row["name"])
    await notify_owner(connection, key, _compose_draft(row))


def _compose_draft(row: Row) -> Draft:
    user_id: UUID = row["user_id"]
    title, message = texts.describe_leak(row["name"], is_session=row["is_session"])
    return Draft(
        user_id=user_id,
        type=NotificationType.NOTIFICATION_TYPE_TOKEN_REPORTED,
        source_id=row["id"],
        repository_id=None,
        title=title,
        message=message,
        link=texts.SESSIONS_LINK if row["is_session"] else texts.TOKENS_LINK,
    )
