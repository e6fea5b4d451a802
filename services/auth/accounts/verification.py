"""Verifying that an address is its account's owner's."""

from __future__ import annotations

from services.auth.accounts.address_changes import confirm_address_change
from services.auth.accounts.spent_links import spend_link
from services.auth.credentials.one_time_tokens import Purpose, withdraw_tokens
from services.auth.credentials.ssh_keys import announce_owner_change
from shared.db import sql
from shared.db.pool import Connection
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


async def verify_email(connection: Connection, call: Call, key: ServerKey, token: str) -> bool:
    """Makes the address that a link went to a verified one, or the account's new one.

    Returns whether a change of address waits for another link. Raises UNAUTHENTICATED or NAME_TAKEN.
    """
    link = await spend_link(connection, token, Purpose.VERIFY_EMAIL, Purpose.CHANGE_EMAIL)
    if link.purpose is Purpose.CHANGE_EMAIL:
        return await confirm_address_change(connection, call, key, link)
    username = await connection.fetchval(Q.verify_address, link.user_id)
    await withdraw_tokens(connection, Purpose.VERIFY_EMAIL, link.user_id)
    await audit(connection, call, AuditAction.EMAIL_VERIFIED, "user", link.user_id, username)
    await announce_owner_change(connection, [link.user_id], call.caller_id)
    return False
