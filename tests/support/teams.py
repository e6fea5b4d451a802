"""Teams that tests work with."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from dits.auth.v1 import team_service_pb2 as pb

from tests.support.api import Account
from tests.support.organizations import Studio

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Crew:
    """A team of an organisation, and calls to it."""

    studio: Studio
    team: pb.Team

    @classmethod
    async def open(cls, studio: Studio, name: str | None = None, *, request_id: str = "") -> Crew:
        """Creates a team, as the owner of the organisation."""
        crew, _ = await cls.create(studio, studio.people["owner"], name, request_id=request_id)
        return crew

    @classmethod
    async def create(
        cls, studio: Studio, who: Account, name: str | None = None, *, request_id: str = ""
    ) -> tuple[Crew, pb.Team]:
        """Creates a team, as somebody."""
        request = pb.CreateTeamRequest(
            organization=studio.id,
            name=f"team{next(_numbers)}" if name is None else name,
            request_id=request_id,
        )
        made = await studio.api.teams.CreateTeam(request, metadata=who.auth)
        return cls(studio, made.team), made.team

    async def get(self, who: Account) -> object:
        """Returns the team as somebody sees it."""
        request = pb.GetTeamRequest(organization=self.studio.id, team=self.team.id)
        return await self.studio.api.teams.GetTeam(request, metadata=who.auth)

    async def list_teams(self, who: Account) -> object:
        """Returns the teams of the organisation."""
        request = pb.ListTeamsRequest(organization=self.studio.id)
        return await self.studio.api.teams.ListTeams(request, metadata=who.auth)

    async def list_members(self, who: Account) -> object:
        """Returns the members of the team."""
        request = pb.ListTeamMembersRequest(organization=self.studio.id, team=self.team.id)
        return await self.studio.api.teams.ListTeamMembers(request, metadata=who.auth)

    async def update(self, who: Account, **values: Any) -> pb.Team:
        """Changes fields."""
        request = pb.UpdateTeamRequest(
            organization=self.studio.id, team=self.team.id, values=pb.Team(**values)
        )
        request.update_mask.paths.extend(values)
        response = await self.studio.api.teams.UpdateTeam(request, metadata=who.auth)
        changed: pb.Team = response.team
        return changed

    async def delete(self, who: Account) -> None:
        """Deletes the team."""
        request = pb.DeleteTeamRequest(organization=self.studio.id, team=self.team.id)
        await self.studio.api.teams.DeleteTeam(request, metadata=who.auth)

    async def put(
        self, who: Account, user: Account, role: pb.TeamRole.ValueType = pb.TEAM_ROLE_MEMBER
    ) -> pb.TeamMember:
        """Takes a member of the organisation into the team."""
        request = pb.SetTeamMemberRequest(
            organization=self.studio.id, team=self.team.id, user=user.username, role=role
        )
        response = await self.studio.api.teams.SetTeamMember(request, metadata=who.auth)
        member: pb.TeamMember = response.member
        return member

    async def take_out(self, who: Account, user: Account) -> None:
        """Takes a member out of the team."""
        request = pb.RemoveTeamMemberRequest(
            organization=self.studio.id, team=self.team.id, user=user.username
        )
        await self.studio.api.teams.RemoveTeamMember(request, metadata=who.auth)
