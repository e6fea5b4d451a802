"""Invitations as those see them who were invited: listed, accepted, declined."""

from __future__ import annotations

from uuid import UUID

from dits.auth.v1 import invitation_service_pb2 as pb
from dits.common.v1.event_pb2 import EventType, MemberPayload

from services.auth.organizations.invitations import require_state
from services.auth.organizations.membership import lock_organization
from services.auth.organizations.seats import require_seat
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invalid_field, not_found, unauthenticated
from shared.formats.credentials import token_hash
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

MAX_TOKEN = 100


async def list_received(
    connection: Connection, user_id: UUID, before: tuple[str, str] | None, count: int
) -> list[Row]:
    """Returns up to `count` open invitations of a user's verified address, older than a position."""
    time, last_id = before or (None, None)
    return await connection.fetch(Q.list_received, user_id, time, last_id, count)


async def lock_received(connection: Connection, call: Call, answer: pb.InvitationAnswer) -> Row:
    """Returns an invitation of the caller's address; its organisation is locked.

    Raises INVALID_FIELD, and NOT_FOUND also for that of another address.
    """
    found = await _find_received(connection, call, answer)
    await lock_organization(connection, found["org_id"])
    # Another transaction may have ended it before the lock was got.
    return await _find_received(connection, call, answer)


async def accept_invitation(connection: Connection, call: Call, invitation: Row) -> None:
    """Makes the caller a member; once more, if it is one by this invitation, changes nothing.

    Raises INVITATION_CLOSED, LIMIT_REACHED.
    """
    caller, organization_id = call.caller, invitation["org_id"]
    if invitation["accepted_by"] == caller.user_id and invitation["is_member"]:
        return
    require_state(invitation, "open")
    if not await connection.fetchval(Q.hold_account, caller.user_id):
        raise unauthenticated()
    await connection.execute(Q.accept, invitation["id"], caller.user_id)
    if invitation["is_member"]:
        return
    await require_seat(connection, organization_id, counts_invitations=False)
    await connection.execute(
        *Q.bind.insert_member(
            organization_id=organization_id,
            user_id=caller.user_id,
            role=invitation["role"],
            invited_by=invitation["invited_by"],
        )
    )
    await audit(
        connection, call, AuditAction.MEMBER_ADDED, "user", caller.user_id, caller.username,
        organization_id=organization_id, role=invitation["role"], inviter=invitation["inviter"],
    )  # fmt: skip
    payload = MemberPayload(
        organization=invitation["organization"],
        user_id=str(caller.user_id),
        username=caller.username,
        role=invitation["role"],
        invitation_id=str(invitation["id"]),
    )
    added = EventType.EVENT_TYPE_MEMBER_ADDED
    await emit(connection, call, added, None, payload, organization_id=organization_id)


async def decline_invitation(connection: Connection, call: Call, invitation: Row) -> None:
    """Ends an invitation. Raises INVITATION_CLOSED."""
    if invitation["state"] == "declined":
        return
    require_state(invitation, "open", "expired")
    await connection.execute(Q.decline, invitation["id"])
    await audit(
        connection, call, AuditAction.INVITATION_DECLINED, "invitation", invitation["id"],
        invitation["email"], organization_id=invitation["org_id"],
    )  # fmt: skip


async def _find_received(connection: Connection, call: Call, answer: pb.InvitationAnswer) -> Row:
    user_id, kind = call.caller.user_id, answer.WhichOneof("invitation")
    if kind == "token":
        token = validation.text("answer.token", answer.token, least=1, most=MAX_TOKEN)
        row = await connection.fetchrow(Q.find_received, user_id, token_hash(token), None)
    elif kind == "invitation_id":
        invitation_id = validation.uuid("answer.invitation_id", answer.invitation_id)
        row = await connection.fetchrow(Q.find_received, user_id, None, invitation_id)
    else:
        raise invalid_field("answer", "must have a token or an invitation_id")
    if row is None:
        # The token is not repeated: it may be somebody else's.
        raise not_found("invitation", answer.invitation_id)
    return row
