"""Deleting an account: its row stays without a name, all else of it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from dits.auth.v1 import account_service_pb2 as pb

from services.auth.credentials.ssh_keys import announce_owner_change
from services.auth.mail.notices import Addressee, mail_notice
from services.auth.organizations.members import find_member, remove_member
from services.auth.organizations.membership import find_membership, lock_organization
from services.auth.organizations.organizations import require_no_repositories
from services.auth.organizations.roles import Right
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invalid_field, last_owner
from shared.records.audit import AuditAction, audit
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# In this order: sessions first, which others lock before what they change.
_DELETED = (
    Q.delete_sessions,
    Q.delete_api_tokens,
    Q.delete_ssh_keys,
    Q.delete_user_keys,
    Q.delete_credentials,
    Q.delete_one_time_tokens,
    Q.delete_notifications,
    Q.delete_notification_preferences,
    Q.delete_inbox,
    Q.delete_follows,
)


@dataclass(frozen=True, slots=True)
class Deletion:
    """A request to delete the caller's account.

    Attributes:
        is_trial: nothing is deleted.
    """

    is_trial: bool

    @classmethod
    def parse(cls, request: pb.DeleteAccountRequest, call: Call) -> Deletion:
        """Returns what a request asks for. Raises INVALID_FIELD unless it names the caller."""
        if request.username.lower() != call.caller.username.lower():
            raise invalid_field("username", "must be your own username")
        return cls(request.validate_only)


async def delete_account(
    connection: Connection, call: Call, key: ServerKey, deletion: Deletion
) -> None:
    """Deletes the caller's account. Raises LAST_OWNER or OWNS_REPOSITORIES, naming all."""
    user_id = call.caller.user_id
    memberships = await _lock(connection, user_id)
    orphans = [row["name"] for row in memberships if row["is_last_owner"]]
    if orphans:
        raise last_owner(orphans)
    row = await connection.fetchrow(Q.lock_account, user_id)
    assert row is not None  # noqa: S101  rows of users stay
    await require_no_repositories(connection, "user", user_id, row["username"])
    if deletion.is_trial:
        return
    for each in memberships:
        membership = await find_membership(connection, str(each["id"]), call, Right.LEAVE)
        member = await find_member(connection, membership, str(user_id))
        await remove_member(connection, call, membership, member)
    await connection.execute(Q.revoke_sent_invitations, user_id)
    await announce_owner_change(connection, [user_id], user_id)
    for query in _DELETED:
        await connection.execute(query, user_id)
    await connection.execute(Q.anonymise, user_id)
    await audit(connection, call, AuditAction.USER_DELETED, "user", user_id, row["username"])
    await mail_notice(connection, key, "account_deleted", Addressee.of(row))


async def _lock(connection: Connection, user_id: UUID) -> Sequence[Row]:
    """Locks the organisations of an account in the order of their ids, then the account.

    Returns them: nobody joins another one meanwhile.
    """
    locked: set[UUID] = set()
    for row in await connection.fetch(Q.list_memberships, user_id):
        await lock_organization(connection, row["id"])
        locked.add(row["id"])
    await connection.execute(Q.lock_account, user_id)
    memberships = await connection.fetch(Q.list_memberships, user_id)
    for row in memberships:
        if row["id"] not in locked:
            await lock_organization(connection, row["id"])
    return await connection.fetch(Q.list_memberships, user_id)
