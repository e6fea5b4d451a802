"""Organisations and their members."""

from __future__ import annotations

from dits.auth.v1 import organization_service_pb2 as pb

from services.auth.organizations import members, organizations
from services.auth.organizations.membership import find_membership, lock_membership
from services.auth.organizations.profiles import (
    OrganizationChange,
    describe_listed,
    describe_organization,
)
from services.auth.organizations.roles import Right, parse_role
from shared.db.pool import Connection, Database
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey


class OrganizationService:
    """The RPCs of dits.auth.v1.OrganizationService."""

    def __init__(self, database: Database, writes: IdempotentWrites, key: ServerKey) -> None:
        self._database = database
        self._writes = writes
        self._key = key

    async def CreateOrganization(
        self, request: pb.CreateOrganizationRequest, call: Call
    ) -> pb.CreateOrganizationResponse:
        """Creates an organisation that the caller owns."""
        new = organizations.NewOrganization.parse(request)

        async def create(connection: Connection) -> pb.CreateOrganizationResponse:
            created = await organizations.create_organization(connection, call, new)
            return pb.CreateOrganizationResponse(
                organization=await _describe(connection, str(created), call)
            )

        return await self._writes.once(
            call, Repeatable.of(request), pb.CreateOrganizationResponse, create
        )

    async def GetOrganization(
        self, request: pb.GetOrganizationRequest, call: Call
    ) -> pb.GetOrganizationResponse:
        """Returns an organisation of the caller."""
        async with self._database.connection() as connection:
            found = await _describe(connection, request.organization, call)
        return pb.GetOrganizationResponse(organization=found)

    async def ListOrganizations(
        self, request: pb.ListOrganizationsRequest, call: Call
    ) -> pb.ListOrganizationsResponse:
        """Returns a page of the caller's organisations."""
        page = Page(self._key, request, call)
        after = page.after[0] if page.after else None
        async with self._database.connection() as connection:
            found = await organizations.list_organizations(
                connection, call.caller, after, page.size + 1
            )
        rows, token = page.answer(found, lambda row: (row["name"].lower(),))
        return pb.ListOrganizationsResponse(
            organizations=map(describe_listed, rows), next_page_token=token
        )

    async def UpdateOrganization(
        self, request: pb.UpdateOrganizationRequest, call: Call
    ) -> pb.UpdateOrganizationResponse:
        """Changes an organisation."""
        change = OrganizationChange.parse(request)

        async def update(connection: Connection) -> pb.Organization:
            membership = await lock_membership(connection, request.organization, call)
            await organizations.update_organization(connection, call, membership, change)
            return await _describe(connection, str(membership.organization_id), call)

        return pb.UpdateOrganizationResponse(organization=await self._database.transaction(update))

    async def DeleteOrganization(
        self, request: pb.DeleteOrganizationRequest, call: Call
    ) -> pb.DeleteOrganizationResponse:
        """Deletes an organisation without repositories."""

        async def delete(connection: Connection) -> pb.DeleteOrganizationResponse:
            membership = await lock_membership(connection, request.organization, call, Right.DELETE)
            await organizations.require_no_repositories(
                connection, "organization", membership.organization_id, membership.name
            )
            if not request.validate_only:
                await organizations.delete_organization(connection, call, membership)
            return pb.DeleteOrganizationResponse()

        return await self._writes.once(
            call, Repeatable.of(request), pb.DeleteOrganizationResponse, delete
        )

    async def ListMembers(
        self, request: pb.ListMembersRequest, call: Call
    ) -> pb.ListMembersResponse:
        """Returns a page of the members of an organisation."""
        page = Page(self._key, request, call)
        wanted = members.MemberFilter.parse(request)
        after = page.after[0] if page.after else None
        async with self._database.connection() as connection:
            membership = await find_membership(connection, request.organization, call)
            found = await members.list_members(connection, membership, wanted, after, page.size + 1)
        rows, token = page.answer(found, lambda row: (row["username"].lower(),))
        return pb.ListMembersResponse(
            members=map(members.describe_member, rows), next_page_token=token
        )

    async def UpdateMemberRole(
        self, request: pb.UpdateMemberRoleRequest, call: Call
    ) -> pb.UpdateMemberRoleResponse:
        """Gives a member another role."""
        role = parse_role("role", request.role)

        async def update(connection: Connection) -> pb.Member:
            membership = await lock_membership(
                connection, request.organization, call, Right.MANAGE_MEMBERS
            )
            member = await members.find_member(connection, membership, request.user)
            await members.change_role(connection, call, membership, member, role)
            return members.describe_member(
                await members.find_member(connection, membership, request.user)
            )

        return pb.UpdateMemberRoleResponse(member=await self._database.transaction(update))

    async def RemoveMember(
        self, request: pb.RemoveMemberRequest, call: Call
    ) -> pb.RemoveMemberResponse:
        """Ends the membership of another member."""

        async def remove(connection: Connection) -> pb.RemoveMemberResponse:
            membership = await lock_membership(
                connection, request.organization, call, Right.MANAGE_MEMBERS
            )
            member = await members.find_member(connection, membership, request.user)
            await members.remove_member(connection, call, membership, member)
            return pb.RemoveMemberResponse()

        return await self._writes.once(
            call, Repeatable.of(request), pb.RemoveMemberResponse, remove
        )

    async def LeaveOrganization(
        self, request: pb.LeaveOrganizationRequest, call: Call
    ) -> pb.LeaveOrganizationResponse:
        """Ends the caller's own membership."""

        async def leave(connection: Connection) -> pb.LeaveOrganizationResponse:
            membership = await lock_membership(connection, request.organization, call, Right.LEAVE)
            member = await members.find_member(connection, membership, str(membership.user_id))
            await members.remove_member(connection, call, membership, member)
            return pb.LeaveOrganizationResponse()

        return await self._writes.once(
            call, Repeatable.of(request), pb.LeaveOrganizationResponse, leave
        )


async def _describe(connection: Connection, organization: str, call: Call) -> pb.Organization:
    """Returns an organisation as the caller sees it. Raises NOT_FOUND."""
    membership = await find_membership(connection, organization, call)
    return describe_organization(await organizations.read_organization(connection, membership))
