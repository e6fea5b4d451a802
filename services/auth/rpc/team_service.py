"""Teams and their members."""

from __future__ import annotations

from dits.auth.v1 import team_service_pb2 as pb

from services.auth.organizations import team_members, teams
from services.auth.organizations.membership import find_membership, lock_membership
from shared.db.pool import Connection, Database, Row
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey


class TeamService:
    """The RPCs of dits.auth.v1.TeamService."""

    def __init__(self, database: Database, writes: IdempotentWrites, key: ServerKey) -> None:
        self._database = database
        self._writes = writes
        self._key = key

    async def CreateTeam(self, request: pb.CreateTeamRequest, call: Call) -> pb.CreateTeamResponse:
        """Creates a team without members."""
        new = teams.TeamChange.of_new(request)

        async def create(connection: Connection) -> pb.CreateTeamResponse:
            membership = await lock_membership(connection, request.organization, call)
            created = await teams.create_team(connection, call, membership, new)
            row = await teams.find_team(connection, membership, str(created))
            return pb.CreateTeamResponse(team=teams.describe_team(row))

        return await self._writes.once(call, Repeatable.of(request), pb.CreateTeamResponse, create)

    async def GetTeam(self, request: pb.GetTeamRequest, call: Call) -> pb.GetTeamResponse:
        """Returns a team."""
        async with self._database.connection() as connection:
            membership = await find_membership(connection, request.organization, call)
            row = await teams.find_team(connection, membership, request.team)
        return pb.GetTeamResponse(team=teams.describe_team(row))

    async def ListTeams(self, request: pb.ListTeamsRequest, call: Call) -> pb.ListTeamsResponse:
        """Returns a page of the teams of an organisation."""
        page = Page(self._key, request, call)
        after = page.after[0] if page.after else None
        async with self._database.connection() as connection:
            membership = await find_membership(connection, request.organization, call)
            found = await teams.list_teams(
                connection, membership, after, page.size + 1, own_only=request.own_only
            )
        rows, token = page.answer(found, lambda row: (row["name"].lower(),))
        return pb.ListTeamsResponse(teams=map(teams.describe_team, rows), next_page_token=token)

    async def UpdateTeam(self, request: pb.UpdateTeamRequest, call: Call) -> pb.UpdateTeamResponse:
        """Changes a team."""
        change = teams.TeamChange.parse(request)

        async def update(connection: Connection) -> Row:
            membership = await lock_membership(connection, request.organization, call)
            team = await teams.find_team(connection, membership, request.team)
            await teams.update_team(connection, call, membership, team, change)
            return await teams.find_team(connection, membership, str(team["id"]))

        row = await self._database.transaction(update)
        return pb.UpdateTeamResponse(team=teams.describe_team(row))

    async def DeleteTeam(self, request: pb.DeleteTeamRequest, call: Call) -> pb.DeleteTeamResponse:
        """Deletes a team."""

        async def delete(connection: Connection) -> pb.DeleteTeamResponse:
            membership = await lock_membership(connection, request.organization, call)
            team = await teams.find_team(connection, membership, request.team)
            await teams.delete_team(connection, call, membership, team)
            return pb.DeleteTeamResponse()

        return await self._writes.once(call, Repeatable.of(request), pb.DeleteTeamResponse, delete)

    async def ListTeamMembers(
        self, request: pb.ListTeamMembersRequest, call: Call
    ) -> pb.ListTeamMembersResponse:
        """Returns a page of the members of a team."""
        page = Page(self._key, request, call)
        after = page.after[0] if page.after else None
        async with self._database.connection() as connection:
            membership = await find_membership(connection, request.organization, call)
            team = await teams.find_team(connection, membership, request.team)
            found = await team_members.list_team_members(connection, team, after, page.size + 1)
        rows, token = page.answer(found, lambda row: (row["username"].lower(),))
        members = map(team_members.describe_team_member, rows)
        return pb.ListTeamMembersResponse(members=members, next_page_token=token)

    async def SetTeamMember(
        self, request: pb.SetTeamMemberRequest, call: Call
    ) -> pb.SetTeamMemberResponse:
        """Gives a member of the organisation a role in a team."""
        role = teams.parse_team_role(request.role)

        async def set_member(connection: Connection) -> Row:
            membership = await lock_membership(connection, request.organization, call)
            team = await teams.find_team(connection, membership, request.team)
            return await team_members.set_team_member(
                connection, call, membership, team, request.user, role
            )

        row = await self._database.transaction(set_member)
        return pb.SetTeamMemberResponse(member=team_members.describe_team_member(row))

    async def RemoveTeamMember(
        self, request: pb.RemoveTeamMemberRequest, call: Call
    ) -> pb.RemoveTeamMemberResponse:
        """Takes a member out of a team."""

        async def remove(connection: Connection) -> pb.RemoveTeamMemberResponse:
            membership = await lock_membership(connection, request.organization, call)
            team = await teams.find_team(connection, membership, request.team)
            await team_members.remove_team_member(connection, call, membership, team, request.user)
            return pb.RemoveTeamMemberResponse()

        return await self._writes.once(
            call, Repeatable.of(request), pb.RemoveTeamMemberResponse, remove
        )
