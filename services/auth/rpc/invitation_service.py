"""Invitations into organisations."""

from __future__ import annotations

from dits.auth.v1 import invitation_service_pb2 as pb

from services.auth.organizations import invitations, received_invitations
from services.auth.organizations.membership import find_membership, lock_membership
from services.auth.organizations.organizations import read_organization
from services.auth.organizations.profiles import describe_organization
from services.auth.organizations.roles import Right
from shared.db.pool import Connection, Database, Row
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey


class InvitationService:
    """The RPCs of dits.auth.v1.InvitationService."""

    def __init__(self, database: Database, writes: IdempotentWrites, key: ServerKey) -> None:
        self._database = database
        self._writes = writes
        self._key = key

    async def CreateInvitation(
        self, request: pb.CreateInvitationRequest, call: Call
    ) -> pb.CreateInvitationResponse:
        """Invites an address."""
        new = invitations.NewInvitation.parse(request.email, request.role)

        async def create(connection: Connection) -> pb.CreateInvitationResponse:
            made = await self._create(connection, call, request.organization, new)
            return pb.CreateInvitationResponse(invitation=made)

        return await self._writes.once(
            call, Repeatable.of(request), pb.CreateInvitationResponse, create
        )

    async def ResendInvitation(
        self, request: pb.ResendInvitationRequest, call: Call
    ) -> pb.ResendInvitationResponse:
        """Invites the address of an invitation again."""
        invitation_id = validation.uuid("invitation_id", request.invitation_id)

        async def resend(connection: Connection) -> pb.ResendInvitationResponse:
            membership = await lock_membership(
                connection, request.organization, call, Right.MANAGE_MEMBERS
            )
            old = await invitations.find_invitation(connection, membership, invitation_id)
            invitations.require_state(old, "open", "expired")
            new = invitations.NewInvitation(old["email"], old["role"])
            made = await self._create(connection, call, request.organization, new)
            return pb.ResendInvitationResponse(invitation=made)

        return await self._writes.once(
            call, Repeatable.of(request), pb.ResendInvitationResponse, resend
        )

    async def RevokeInvitation(
        self, request: pb.RevokeInvitationRequest, call: Call
    ) -> pb.RevokeInvitationResponse:
        """Ends an invitation of an organisation."""
        invitation_id = validation.uuid("invitation_id", request.invitation_id)

        async def revoke(connection: Connection) -> None:
            membership = await lock_membership(
                connection, request.organization, call, Right.MANAGE_MEMBERS
            )
            found = await invitations.find_invitation(connection, membership, invitation_id)
            await invitations.revoke_invitation(connection, call, membership, found)

        await self._database.transaction(revoke)
        return pb.RevokeInvitationResponse()

    async def ListInvitations(
        self, request: pb.ListInvitationsRequest, call: Call
    ) -> pb.ListInvitationsResponse:
        """Returns a page of the open invitations of an organisation."""
        page = Page(self._key, request, call)
        before = (page.after[0], page.after[1]) if page.after else None
        async with self._database.connection() as connection:
            membership = await find_membership(
                connection, request.organization, call, Right.MANAGE_MEMBERS
            )
            found = await invitations.list_invitations(
                connection, membership, before, page.size + 1
            )
        rows, token = page.answer(found, _position)
        shown = map(invitations.describe_invitation, rows)
        return pb.ListInvitationsResponse(invitations=shown, next_page_token=token)

    async def ListReceivedInvitations(
        self, request: pb.ListReceivedInvitationsRequest, call: Call
    ) -> pb.ListReceivedInvitationsResponse:
        """Returns a page of the open invitations of the caller's address."""
        page = Page(self._key, request, call)
        before = (page.after[0], page.after[1]) if page.after else None
        async with self._database.connection() as connection:
            found = await received_invitations.list_received(
                connection, call.caller.user_id, before, page.size + 1
            )
        rows, token = page.answer(found, _position)
        shown = map(invitations.describe_invitation, rows)
        return pb.ListReceivedInvitationsResponse(invitations=shown, next_page_token=token)

    async def AcceptInvitation(
        self, request: pb.AcceptInvitationRequest, call: Call
    ) -> pb.AcceptInvitationResponse:
        """Makes the caller a member of an organisation."""

        async def accept(connection: Connection) -> Row:
            found = await received_invitations.lock_received(connection, call, request.answer)
            await received_invitations.accept_invitation(connection, call, found)
            membership = await find_membership(connection, str(found["org_id"]), call)
            return await read_organization(connection, membership)

        row = await self._database.transaction(accept)
        return pb.AcceptInvitationResponse(organization=describe_organization(row))

    async def DeclineInvitation(
        self, request: pb.DeclineInvitationRequest, call: Call
    ) -> pb.DeclineInvitationResponse:
        """Ends an invitation of the caller's address."""

        async def decline(connection: Connection) -> None:
            found = await received_invitations.lock_received(connection, call, request.answer)
            await received_invitations.decline_invitation(connection, call, found)

        await self._database.transaction(decline)
        return pb.DeclineInvitationResponse()

    async def _create(
        self,
        connection: Connection,
        call: Call,
        organization: str,
        new: invitations.NewInvitation,
    ) -> pb.Invitation:
        membership = await lock_membership(connection, organization, call, Right.MANAGE_MEMBERS)
        created = await invitations.create_invitation(connection, call, membership, new, self._key)
        row = await invitations.find_invitation(connection, membership, created)
        return invitations.describe_invitation(row)


def _position(row: Row) -> tuple[str, str]:
    return row["created_at"].isoformat(), str(row["id"])
