"""docs/permissions.md: each RPC of its table, called as each role, answers as the table says."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from dits.auth.v1 import team_service_pb2 as pb

from tests.support.api import Account, Api, read_error
from tests.support.organizations import ROLES, Studio
from tests.support.teams import Crew

PAGE = Path(__file__).parents[3] / "docs/permissions.md"
ROW = re.compile(
    r"^\| (\w+(?:: [^|]+)?) \| (yes|no) \| (yes|no) \| (yes|no) \| (yes|no) \|$", re.MULTILINE
)
TEAM_HEADINGS = "| RPC | owner | admin | maintainer | member |"
ABOUT_ORGANIZATIONS, _, ABOUT_TEAMS = PAGE.read_text().partition(TEAM_HEADINGS)
TABLE = {match[1]: match.groups()[1:] for match in ROW.finditer(ABOUT_ORGANIZATIONS)}
TEAM_TABLE = {match[1]: match.groups()[1:] for match in ROW.finditer(ABOUT_TEAMS)}
TEAM_ROLES = ("owner", "admin", "maintainer", "member")

Attempt = Callable[[Studio, Account], Awaitable[object]]


async def _change_another(studio: Studio, who: Account) -> object:
    return await studio.change_role(who, await studio.join("member"), "billing")


async def _change_an_owner(studio: Studio, who: Account) -> object:
    await studio.change_role(who, await studio.join("owner"), "member")
    return await studio.change_role(who, await studio.join("member"), "owner")


async def _remove_another(studio: Studio, who: Account) -> None:
    await studio.remove(who, await studio.join("member"))


async def _remove_an_owner(studio: Studio, who: Account) -> None:
    await studio.remove(who, await studio.join("owner"))


async def _leave(studio: Studio, who: Account) -> None:
    await studio.join("owner")
    await studio.leave(who)


async def _resend(studio: Studio, who: Account) -> object:
    return await studio.resend(who, await studio.invite(studio.people["owner"], "a@example.com"))


async def _revoke(studio: Studio, who: Account) -> None:
    await studio.revoke(who, await studio.invite(studio.people["owner"], "a@example.com"))


async def _approve(studio: Studio, who: Account) -> object:
    return await studio.approve(who, await studio.make_token())


async def _reject(studio: Studio, who: Account) -> object:
    return await studio.reject(who, await studio.make_token())


ATTEMPTS: dict[str, Attempt] = {
    "GetOrganization": lambda studio, who: studio.get(who),
    "ListMembers": lambda studio, who: studio.list_members(who),
    "UpdateOrganization: `name`": lambda studio, who: studio.update(who, name=f"{studio.name}x"),
    "UpdateOrganization: `billing_email`": lambda studio, who: studio.update(
        who, billing_email="a@example.com"
    ),
    "UpdateOrganization: everything else": lambda studio, who: studio.update(
        who, display_name="x", description="x", avatar_url="", email="", website=""
    ),
    "DeleteOrganization": lambda studio, who: studio.delete(who),
    "UpdateMemberRole": _change_another,
    "UpdateMemberRole: to or from owner": _change_an_owner,
    "RemoveMember": _remove_another,
    "RemoveMember: an owner": _remove_an_owner,
    "ListInvitations": lambda studio, who: studio.list_invitations(who),
    "CreateInvitation": lambda studio, who: studio.invite(who, "a@example.com"),
    "CreateInvitation: of an owner": lambda studio, who: studio.invite(
        who, "a@example.com", "owner"
    ),
    "ResendInvitation": _resend,
    "RevokeInvitation": _revoke,
    "ListOrganizationTokens": lambda studio, who: studio.list_tokens(who),
    "ApproveToken": _approve,
    "RejectToken": _reject,
    "LeaveOrganization": _leave,
}


async def _put_another(crew: Crew, who: Account) -> object:
    return await crew.put(who, await crew.studio.join("member"), pb.TEAM_ROLE_MAINTAINER)


async def _take_out_another(crew: Crew, who: Account) -> None:
    owner, other = crew.studio.people["owner"], await crew.studio.join("member")
    await crew.put(owner, other)
    await crew.take_out(who, other)


async def _take_out_oneself(crew: Crew, who: Account) -> None:
    await crew.put(crew.studio.people["owner"], who)
    await crew.take_out(who, who)


TeamAttempt = Callable[[Crew, Account], Awaitable[object]]
TEAM_ATTEMPTS: dict[str, TeamAttempt] = {
    "GetTeam": lambda crew, who: crew.get(who),
    "ListTeams": lambda crew, who: crew.list_teams(who),
    "ListTeamMembers": lambda crew, who: crew.list_members(who),
    "CreateTeam": lambda crew, who: crew.create(crew.studio, who),
    "UpdateTeam": lambda crew, who: crew.update(who, description=who.username),
    "DeleteTeam": lambda crew, who: crew.delete(who),
    "SetTeamMember": _put_another,
    "RemoveTeamMember": _take_out_another,
    "RemoveTeamMember: oneself": _take_out_oneself,
}


def test_each_row_is_tried() -> None:
    assert TABLE.keys() == ATTEMPTS.keys()
    assert TEAM_TABLE.keys() == TEAM_ATTEMPTS.keys()


async def test_the_table_is_true(api: Api, subtests: pytest.Subtests) -> None:
    # What is refused changes nothing.
    unchanged = await Studio.open(api, *ROLES[1:])
    for row, answers in TABLE.items():
        for role, answer in zip(ROLES, answers, strict=True):
            with subtests.test(f"{row} as {role}"):
                studio = unchanged
                if answer == "yes":
                    studio = await Studio.open(api, *({role} - {"owner"}))
                assert await _end_of(ATTEMPTS[row](studio, studio.people[role])) == (
                    "" if answer == "yes" else "PERMISSION_MISSING"
                )


async def test_the_table_of_teams_is_true(api: Api, subtests: pytest.Subtests) -> None:
    unchanged = await _open_crew(api)
    for row, answers in TEAM_TABLE.items():
        for role, answer in zip(TEAM_ROLES, answers, strict=True):
            with subtests.test(f"{row} as {role}"):
                crew = await _open_crew(api) if row == "DeleteTeam" else unchanged
                who = crew.studio.people[role]
                assert await _end_of(TEAM_ATTEMPTS[row](crew, who)) == (
                    "" if answer == "yes" else "PERMISSION_MISSING"
                )


async def _open_crew(api: Api) -> Crew:
    """Returns a team with a maintainer; its organisation has another member, too."""
    studio = await Studio.open(api, "admin", "member")
    crew = await Crew.open(studio)
    maintainer = await studio.join("member")
    await crew.put(studio.people["owner"], maintainer, pb.TEAM_ROLE_MAINTAINER)
    people = {**studio.people, "maintainer": maintainer}
    return Crew(Studio(api, studio.organization, people), crew.team)


async def test_strangers_find_nothing(api: Api, subtests: pytest.Subtests) -> None:
    for row, attempt in ATTEMPTS.items():
        with subtests.test(row):
            studio = await Studio.open(api)
            assert await _end_of(attempt(studio, await api.account())) == "NOT_FOUND"
    crew = await _open_crew(api)
    for row, attempt_at in TEAM_ATTEMPTS.items():
        with subtests.test(row):
            assert await _end_of(attempt_at(crew, await api.account())) == "NOT_FOUND"


async def _end_of(call: Awaitable[object]) -> str:
    """Returns the reason with which a call was refused; empty = it was not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return read_error(error).reason
    return ""
