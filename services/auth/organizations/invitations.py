"""Invitations: made, mailed and ended. Whoever ends one locks the organisation, so each ends once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from dits.auth.v1 import invitation_service_pb2 as pb
from dits.auth.v1.organization_service_pb2 import OrganizationRole
from dits.common.v1.event_pb2 import EventType, MemberPayload

from services.auth.credentials.one_time_tokens import make_secret
from services.auth.logins import fold_login, parse_email
from services.auth.mail.parameters import MailParameters
from services.auth.mail.send_mail import make_mail
from services.auth.organizations.membership import Membership
from services.auth.organizations.roles import MEMBER, OWNER, ROLES, Right, parse_role
from services.auth.organizations.seats import require_seat
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invitation_closed, name_taken, not_found, rate_limited
from shared.formats.credentials import token_hash
from shared.jobs.queue import enqueue
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

LIFE = timedelta(days=7)
# How many one user sends within a day.
MOST_SENT = 200
_WAIT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """Who is invited.

    Attributes:
        email: as the inviter wrote it; mail goes there.
    """

    email: str
    role: str

    @classmethod
    def parse(cls, email: str, role: OrganizationRole.ValueType) -> NewInvitation:
        """Returns what a request asks for. Raises INVALID_FIELD."""
        return cls(parse_email("email", email), parse_role("role", role) if role else MEMBER)


async def create_invitation(
    connection: Connection, call: Call, membership: Membership, new: NewInvitation, key: ServerKey
) -> UUID:
    """Invites an address into an organisation that is locked; returns the invitation's id.

    Raises PERMISSION_MISSING, RATE_LIMITED, NAME_TAKEN, LIMIT_REACHED.
    """
    membership.require(Right.MANAGE_MEMBERS)
    if new.role == OWNER:
        membership.require(Right.MANAGE_OWNERS)
    email_key = fold_login(new.email)
    await _require_invitable(connection, call, membership, new.email)
    await connection.execute(Q.replace_open, membership.organization_id, email_key)
    await require_seat(connection, membership.organization_id, counts_invitations=True)
    token = make_secret()
    row = await connection.fetchrow(
        *Q.bind.insert_invitation(
            organization_id=membership.organization_id,
            email=new.email,
            email_folded=email_key,
            role=new.role,
            token_hash=token_hash(token),
            invited_by=call.caller.user_id,
            life=LIFE,
        )
    )
    assert row is not None  # noqa: S101  RETURNING of an INSERT
    invitation_id: UUID = row["id"]
    expires = f"{row['expires_at']:%Y-%m-%d %H:%M} UTC"
    await _enqueue_mail(connection, call, membership, new, key, token, expires)
    await _record(connection, call, AuditAction.INVITATION_CREATED, membership, invitation_id, new)
    payload = MemberPayload(
        organization=membership.name, role=new.role, invitation_id=str(invitation_id)
    )
    invited = EventType.EVENT_TYPE_MEMBER_INVITED
    organization_id = membership.organization_id
    await emit(connection, call, invited, None, payload, organization_id=organization_id)
    return invitation_id


async def revoke_invitation(
    connection: Connection, call: Call, membership: Membership, invitation: Row
) -> None:
    """Ends an invitation of an organisation that is locked. Raises INVITATION_CLOSED."""
    if invitation["state"] == "revoked":
        return
    require_state(invitation, "open", "expired")
    await connection.execute(Q.revoke, invitation["id"])
    await _record(
        connection, call, AuditAction.INVITATION_REVOKED, membership, invitation["id"],
        NewInvitation(invitation["email"], invitation["role"]),
    )  # fmt: skip


async def find_invitation(
    connection: Connection, membership: Membership, invitation_id: UUID
) -> Row:
    """Returns an invitation of an organisation. Raises NOT_FOUND."""
    row = await connection.fetchrow(Q.find_invitation, invitation_id, membership.organization_id)
    if row is None:
        raise not_found("invitation", str(invitation_id))
    return row


async def list_invitations(
    connection: Connection, membership: Membership, before: tuple[str, str] | None, count: int
) -> list[Row]:
    """Returns up to `count` open invitations of an organisation that are older than a position."""
    time, last_id = before or (None, None)
    return await connection.fetch(
        Q.list_invitations, membership.organization_id, time, last_id, count
    )


def require_state(invitation: Row, *states: str) -> None:
    """Raises INVITATION_CLOSED unless the invitation is in one of these states."""
    if invitation["state"] not in states:
        raise invitation_closed(invitation["state"])


def describe_invitation(row: Row) -> pb.Invitation:
    """Returns the message of an invitation."""
    return pb.Invitation(
        id=str(row["id"]),
        organization_id=str(row["org_id"]),
        organization=row["organization"],
        email=row["email"],
        role=ROLES[row["role"]],
        inviter=row["inviter"],
        create_time=row["created_at"],
        expire_time=row["expires_at"],
    )


async def _enqueue_mail(
    connection: Connection,
    call: Call,
    membership: Membership,
    new: NewInvitation,
    key: ServerKey,
    token: str,
    expires: str,
) -> None:
    parameters = {
        "inviter": call.caller.username,
        "organization": membership.name,
        "role": new.role,
        "link": f"/invitations/{token}",
        "token": token,
        "expires": expires,
    }
    mail = make_mail(key, "invitation", None, MailParameters(parameters), address=new.email)
    await enqueue(connection, mail)


async def _require_invitable(
    connection: Connection, call: Call, membership: Membership, email: str
) -> None:
    """Raises RATE_LIMITED if the caller sends too many, NAME_TAKEN if a member has the address."""
    if await connection.fetchval(Q.count_sent, call.caller.user_id, MOST_SENT) >= MOST_SENT:
        raise rate_limited(_WAIT_SECONDS)
    if await connection.fetchval(
        Q.is_member_address, membership.organization_id, fold_login(email)
    ):
        raise name_taken("member", email, "is in the organisation already")


async def _record(
    connection: Connection,
    call: Call,
    action: AuditAction,
    membership: Membership,
    invitation_id: UUID,
    invitation: NewInvitation,
) -> None:
    await audit(
        connection, call, action, "invitation", invitation_id, invitation.email,
        organization_id=membership.organization_id, role=invitation.role,
    )  # fmt: skip
