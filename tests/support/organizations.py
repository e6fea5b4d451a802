"""Organisations that tests work with."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dits.auth.v1 import organization_service_pb2 as pb

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
