"""TeamService: teams, their members, and what is granted to them."""

from __future__ import annotations

import asyncio
import uuid
from itertools import count
from typing import Any

import pytest
from dits.auth.v1 import team_service_pb2 as pb
from dits.repo.v1.event_service_pb2 import WatchRequest
from dits.repo.v1.repository_service_pb2 import (
    CreateRepositoryRequest,
    GetRepositoryRequest,
    Repository,
)
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.organizations import Studio
from tests.support.teams import Crew
from tests.support.waiting import PATIENCE_SECONDS


async def make_repository(api: Api, studio: Studio, crew: Crew) -> Repository:
    """A repository of the organisation that only the team may see."""
    await api.fetch("""UPDATE organizations SET settings = '{"member_permission": "none"}'""")
    response = await api.repositories.CreateRepository(
        CreateRepositoryRequest(owner=studio.name, name="film"),
        metadata=studio.people["owner"].auth,
    )
    made: Repository = response.repository
    await api.fetch(
        """INSERT INTO team_repositories (team_id, repo_id, permission)
           VALUES ($1::uuid, $2::uuid, 'write')""",
        crew.team.id,
        made.id,
    )
    return made


async def test_teams_come_and_go(api: Api) -> None:
    studio = await Studio.open(api)
    owner, request_id = studio.people["owner"], str(uuid.uuid4())
    crew = await Crew.open(studio, "Art", request_id=request_id)
    assert (await Crew.open(studio, "Art", request_id=request_id)).team == crew.team
    for name in (crew.team.id, "art", "ART"):
        found = await api.teams.GetTeam(
            pb.GetTeamRequest(organization=studio.name, team=name), metadata=owner.auth
        )
        assert found.team == crew.team
    changed = await crew.update(owner, name="art.2", description="a\nb")
    assert (changed.id, changed.name, changed.description) == (crew.team.id, "art.2", "a\nb")
    await Crew.open(studio, "Sound")
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await Crew.open(studio, "sound")
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await crew.update(owner, name="SOUND")
    await crew.delete(owner)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await crew.update(owner, name="x")
    rows = await api.fetch("SELECT action FROM audit_log WHERE resource_type = 'team' ORDER BY id")
    assert sorted(row["action"] for row in rows) == [
        "team.created", "team.created", "team.deleted", "team.updated",
    ]  # fmt: skip


async def test_teams_and_their_members_are_listed(api: Api) -> None:
    studio = await Studio.open(api)
    member = await studio.join("member", await api.account("zoe"))
    crews = {name: await Crew.open(studio, name) for name in ("c", "A", "b")}
    await crews["b"].put(studio.people["owner"], member)
    seen: list[tuple[str, int]] = []
    page_token = ""
    while page_token or not seen:
        page = await api.teams.ListTeams(
            pb.ListTeamsRequest(organization=studio.id, page_size=2, page_token=page_token),
            metadata=member.auth,
        )
        seen += [(each.name, each.role) for each in page.teams]
        page_token = page.next_page_token
    assert seen == [("A", 0), ("b", pb.TEAM_ROLE_MEMBER), ("c", 0)]
    own = await api.teams.ListTeams(
        pb.ListTeamsRequest(organization=studio.id, own_only=True), metadata=member.auth
    )
    assert [each.name for each in own.teams] == ["b"]
    for name in ("anna", "Bob"):
        await crews["b"].put(
            studio.people["owner"],
            await studio.join("member", await api.account(name)),
            pb.TEAM_ROLE_MAINTAINER,
        )
    names: list[str] = []
    while page_token or not names:
        listed = await api.teams.ListTeamMembers(
            pb.ListTeamMembersRequest(
                organization=studio.id, team="b", page_size=2, page_token=page_token
            ),
            metadata=member.auth,
        )
        names += [each.username for each in listed.members]
        page_token = listed.next_page_token
    assert names == ["anna", "Bob", "zoe"]


async def test_a_team_takes_members_of_the_organisation(api: Api) -> None:
    studio = await Studio.open(api, "member")
    owner, member = studio.people["owner"], studio.people["member"]
    crew = await Crew.open(studio)
    for role in (pb.TEAM_ROLE_MEMBER, pb.TEAM_ROLE_MEMBER, pb.TEAM_ROLE_MAINTAINER):
        assert (await crew.put(owner, member, role)).role == role
    rows = await api.fetch("SELECT action FROM audit_log WHERE action LIKE 'team.member%'")
    assert sorted(row["action"] for row in rows) == [
        "team.member_added", "team.member_role_changed",
    ]  # fmt: skip
    stranger = await api.account()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await crew.put(owner, stranger)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await crew.take_out(owner, owner)
    await crew.take_out(member, member)
    events = await api.fetch("SELECT type FROM events WHERE type LIKE 'member.team%' ORDER BY id")
    assert [row["type"] for row in events] == [
        "member.team_joined", "member.team_joined", "member.team_left",
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["taken out", "team deleted", "left", "organisation"])
async def test_what_was_granted_to_a_team_ends_with_it(api: Api, end: str) -> None:
    studio = await Studio.open(api, "member")
    owner, member = studio.people["owner"], studio.people["member"]
    crew = await Crew.open(studio)
    repository = await make_repository(api, studio, crew)
    read = GetRepositoryRequest(repository=repository.id)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.repositories.GetRepository(read, metadata=member.auth)
    await crew.put(owner, member)
    await api.repositories.GetRepository(read, metadata=member.auth)
    stream = api.events.Watch(WatchRequest(repository=repository.id), metadata=member.auth)
    await stream.read()
    if end == "taken out":
        await crew.take_out(owner, member)
    elif end == "team deleted":
        await crew.delete(owner)
    elif end == "left":
        await crew.take_out(member, member)
    else:
        await studio.remove(owner, member)
    await until_refused(api, read, member, stream)


async def until_refused(api: Api, read: Any, member: Account, stream: Any) -> None:
    """Returns when calls and the open stream are refused."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            for _ in count():
                await stream.read()
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            for _ in count():
                await api.repositories.GetRepository(read, metadata=member.auth)


async def test_an_organisation_has_so_many_teams(api: Api) -> None:
    studio = await Studio.open(api)
    await api.fetch(
        "INSERT INTO teams (org_id, name) SELECT $1::uuid, n::text FROM generate_series(1, 999) n",
        studio.id,
    )
    await Crew.open(studio, "last")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"):
        await Crew.open(studio, "more")


async def test_bad_teams_are_refused(api: Api, subtests: pytest.Subtests) -> None:
    studio = await Studio.open(api)
    owner = studio.people["owner"]
    crew = await Crew.open(studio)
    for name in ("", "a b", "a/b", "x" * 101, "..", str(uuid.uuid4()), "a\x00", "ä"):
        with subtests.test(name), refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await Crew.open(studio, name)
        with subtests.test(name), refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await crew.update(owner, name=name)
    calls: list[Any] = [
        crew.update(owner),
        crew.update(owner, description="\x00"),
        crew.update(owner, description="x" * 4_097),
        crew.put(owner, owner, 7),  # type: ignore[arg-type]
        api.teams.GetTeam(
            pb.GetTeamRequest(organization=studio.id, team="\x00"), metadata=owner.auth
        ),
    ]
    for call in calls:
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await call
    request = pb.UpdateTeamRequest(organization=studio.id, team=crew.team.id)
    request.update_mask.paths.append("id")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.teams.UpdateTeam(request, metadata=owner.auth)
    # Of another organisation, it is not there.
    other = await Studio.open(api)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.teams.GetTeam(
            pb.GetTeamRequest(organization=other.id, team=crew.team.id),
            metadata=other.people["owner"].auth,
        )
