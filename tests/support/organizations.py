"""Organisations that tests work with."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dits.auth.v1 import invitation_service_pb2 as ipb
from dits.auth.v1 import organization_service_pb2 as pb
from dits.auth.v1 import organization_token_service_pb2 as tpb

from services.auth.mail.parameters import unseal_parameters
from shared.formats.credentials import token_hash
from shared.runtime.server_key import ServerKey
from tests.support.api import Account, Api

_numbers = itertools.count(1)
ROLES = ("owner", "admin", "member", "billing")


def role(name: str) -> pb.OrganizationRole.ValueType:
    """Returns the role of a name."""
    return pb.OrganizationRole.Value(f"ORGANIZATION_ROLE_{name.upper()}")


@dataclass(frozen=True, slots=True)
class Studio:
    """An organisation with an account for each role, and calls to it.

    Attributes:
        people: by role; `owner` has created it.
    """

    api: Api
    organization: pb.Organization
    people: Mapping[str, Account]

    @classmethod
    async def open(cls, api: Api, *roles: str, name: str = "") -> Studio:
        """Creates an organisation with an owner and a member of each of these roles."""
        people = {"owner": await api.account()}
        request = pb.CreateOrganizationRequest(name=name or f"studio{next(_numbers)}")
        made = await api.organizations.CreateOrganization(request, metadata=people["owner"].auth)
        studio = cls(api, made.organization, people)
        for each in roles:
            people[each] = await studio.join(each)
        return studio

    @property
    def id(self) -> str:
        """UUID of the organisation."""
        return self.organization.id

    @property
    def name(self) -> str:
        """Name that it was created under."""
        return self.organization.name

    async def join(self, name: str, who: Account | None = None) -> Account:
        """Makes an account a member of this role, without an invitation."""
        who = who or await self.api.account()
        await self.api.fetch(
            """INSERT INTO organization_members (org_id, user_id, role) VALUES ($1::uuid, $2, $3)
               ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role""",
            self.id, who.id, name,
        )  # fmt: skip
        return who

    async def roles(self) -> dict[str, str]:
        """Returns the role of each member by username, straight from the database."""
        rows = await self.api.fetch(
            """SELECT u.username, m.role FROM organization_members m JOIN users u ON u.id = m.user_id
               WHERE m.org_id = $1::uuid""",
            self.id,
        )
        return {row["username"]: row["role"] for row in rows}

    async def get(self, who: Account) -> pb.Organization:
        """Returns the organisation as somebody sees it."""
        request = pb.GetOrganizationRequest(organization=self.id)
        response = await self.api.organizations.GetOrganization(request, metadata=who.auth)
        found: pb.Organization = response.organization
        return found

    async def update(self, who: Account, *paths: str, **values: Any) -> pb.Organization:
        """Changes fields, those of `values` or the paths that are named."""
        request = pb.UpdateOrganizationRequest(
            organization=self.id, values=pb.Organization(**values)
        )
        request.update_mask.paths.extend(paths or values)
        response = await self.api.organizations.UpdateOrganization(request, metadata=who.auth)
        changed: pb.Organization = response.organization
        return changed

    async def delete(self, who: Account, *, validate_only: bool = False) -> None:
        """Deletes the organisation."""
        request = pb.DeleteOrganizationRequest(organization=self.id, validate_only=validate_only)
        await self.api.organizations.DeleteOrganization(request, metadata=who.auth)

    async def change_role(self, who: Account, user: Account, name: str) -> pb.Member:
        """Gives a member another role."""
        request = pb.UpdateMemberRoleRequest(
            organization=self.id, user=user.username, role=role(name)
        )
        response = await self.api.organizations.UpdateMemberRole(request, metadata=who.auth)
        member: pb.Member = response.member
        return member

    async def remove(self, who: Account, user: Account) -> None:
        """Removes a member."""
        request = pb.RemoveMemberRequest(organization=self.id, user=user.username)
        await self.api.organizations.RemoveMember(request, metadata=who.auth)

    async def leave(self, who: Account) -> None:
        """Ends one's own membership."""
        request = pb.LeaveOrganizationRequest(organization=self.id)
        await self.api.organizations.LeaveOrganization(request, metadata=who.auth)

    async def list_members(self, who: Account, **fields: Any) -> pb.ListMembersResponse:
        """Returns a page of the members."""
        request = pb.ListMembersRequest(organization=self.id, **fields)
        page: pb.ListMembersResponse = await self.api.organizations.ListMembers(
            request, metadata=who.auth
        )
        return page

    async def invite(
        self, who: Account, email: str, name: str = "", **fields: Any
    ) -> ipb.Invitation:
        """Invites an address."""
        request = ipb.CreateInvitationRequest(organization=self.id, email=email, **fields)
        if name:
            request.role = role(name)
        response = await self.api.invitations.CreateInvitation(request, metadata=who.auth)
        made: ipb.Invitation = response.invitation
        return made

    async def resend(self, who: Account, invitation: ipb.Invitation) -> ipb.Invitation:
        """Sends an invitation again."""
        request = ipb.ResendInvitationRequest(organization=self.id, invitation_id=invitation.id)
        response = await self.api.invitations.ResendInvitation(request, metadata=who.auth)
        made: ipb.Invitation = response.invitation
        return made

    async def revoke(self, who: Account, invitation: ipb.Invitation) -> None:
        """Revokes an invitation."""
        request = ipb.RevokeInvitationRequest(organization=self.id, invitation_id=invitation.id)
        await self.api.invitations.RevokeInvitation(request, metadata=who.auth)

    async def list_invitations(self, who: Account, **fields: Any) -> ipb.ListInvitationsResponse:
        """Returns a page of the open invitations."""
        request = ipb.ListInvitationsRequest(organization=self.id, **fields)
        page: ipb.ListInvitationsResponse = await self.api.invitations.ListInvitations(
            request, metadata=who.auth
        )
        return page

    async def make_token(self, *scopes: str, name: str = "member") -> Account:
        """Returns the member of a role with a new API token of scopes, by default repo:read."""
        owner = self.people.get(name) or await self.join(name)
        return await self.api.api_token(owner, *(scopes or ("repo:read",)))

    async def list_tokens(self, who: Account, **fields: Any) -> list[tpb.OrganizationToken]:
        """ListOrganizationTokens."""
        request = tpb.ListOrganizationTokensRequest(organization=self.id, **fields)
        response = await self.api.organization_tokens.ListOrganizationTokens(
            request, metadata=who.auth
        )
        return list(response.tokens)

    async def approve(self, who: Account, token: Account) -> tpb.OrganizationToken:
        """ApproveToken."""
        request = tpb.ApproveTokenRequest(organization=self.id, token_id=await self._id_of(token))
        response = await self.api.organization_tokens.ApproveToken(request, metadata=who.auth)
        decided: tpb.OrganizationToken = response.token
        return decided

    async def reject(self, who: Account, token: Account) -> tpb.OrganizationToken:
        """RejectToken."""
        request = tpb.RejectTokenRequest(organization=self.id, token_id=await self._id_of(token))
        response = await self.api.organization_tokens.RejectToken(request, metadata=who.auth)
        decided: tpb.OrganizationToken = response.token
        return decided

    async def _id_of(self, token: Account) -> str:
        hashed = token_hash(token.token)
        return str(await self.api.value("SELECT id FROM api_tokens WHERE token_hash = $1", hashed))


async def accept(api: Api, who: Account, **answer: str) -> pb.Organization:
    """Accepts an invitation, by `token` or `invitation_id`."""
    request = ipb.AcceptInvitationRequest(answer=ipb.InvitationAnswer(**answer))
    response = await api.invitations.AcceptInvitation(request, metadata=who.auth)
    joined: pb.Organization = response.organization
    return joined


async def decline(api: Api, who: Account, **answer: str) -> None:
    """Declines an invitation, by `token` or `invitation_id`."""
    request = ipb.DeclineInvitationRequest(answer=ipb.InvitationAnswer(**answer))
    await api.invitations.DeclineInvitation(request, metadata=who.auth)


async def verify_address(api: Api, who: Account) -> str:
    """Makes the address of an account a verified one, and returns it."""
    query = "UPDATE users SET email_verified = true WHERE id = $1 RETURNING email"
    return str(await api.value(query, who.id))


async def read_mailed_tokens(api: Api, key: ServerKey) -> list[str]:
    """Returns the tokens of the invitations that were mailed, in their order, from the queue of jobs."""
    rows = await api.fetch(
        """SELECT payload ->> 'sealed_parameters' AS sealed FROM jobs
           WHERE payload ->> 'template' = 'invitation' ORDER BY created_at, id"""
    )
    found = [unseal_parameters(key, base64.b64decode(row["sealed"])) for row in rows]
    return [parameters.values["token"] for parameters in found if parameters is not None]
