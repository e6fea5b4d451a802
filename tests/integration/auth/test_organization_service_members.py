"""OrganizationService: members, their roles, and what ends with a membership."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import pytest
from dits.auth.v1 import organization_service_pb2 as pb
from dits.repo.v1.event_service_pb2 import WatchRequest
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest, GetRepositoryRequest
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.organizations import Studio, role
from tests.support.waiting import PATIENCE_SECONDS


async def test_members_are_listed_and_found(api: Api) -> None:
    studio = await Studio.open(api)
    owner = studio.people["owner"]
    for name, kind in (("zoe", "admin"), ("Anna-Lena", "member"), ("bob", "member")):
        await studio.join(kind, await api.account(name))
    await api.fetch("UPDATE users SET name = 'Åsa Öberg' WHERE username = 'bob'")
    seen: list[tuple[str, int]] = []
    page_token = ""
    while page_token or not seen:
        page = await studio.list_members(owner, page_size=3, page_token=page_token)
        seen += [(each.username, each.role) for each in page.members]
        page_token = page.next_page_token
    expected = [
        ("Anna-Lena", "member"),
        ("bob", "member"),
        (owner.username, "owner"),
        ("zoe", "admin"),
    ]
    assert seen == [(name, role(kind)) for name, kind in expected]
    for query, kind, names in (
        ("LENA", "", ["Anna-Lena"]),
        ("öberg", "", ["bob"]),
        ("_", "", []),
        ("%", "", []),
        ("", "admin", ["zoe"]),
        ("o", "member", ["bob"]),
    ):
        fields = {"role": role(kind)} if kind else {}
        found = await studio.list_members(owner, query=query, **fields)
        assert [each.username for each in found.members] == names
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await studio.list_members(owner, query="x", page_token="00")
    bad: list[dict[str, Any]] = [{"query": "x" * 101}, {"query": "a\x00"}, {"role": 77}]
    for each in bad:
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await studio.list_members(owner, **each)


async def test_roles_change(api: Api) -> None:
    studio = await Studio.open(api, "member")
    owner, member = studio.people["owner"], studio.people["member"]
    for _ in range(2):
        changed = await studio.change_role(owner, member, "billing")
        assert (changed.username, changed.role) == (member.username, role("billing"))
    [event] = await api.fetch("SELECT payload FROM events WHERE type = 'member.role_changed'")
    assert '"previous_role": "member"' in event["payload"]
    assert (
        await api.value("SELECT count(*) FROM audit_log WHERE action = 'member.role_changed'") == 1
    )
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.organizations.UpdateMemberRole(
            pb.UpdateMemberRoleRequest(organization=studio.id, user=member.username),
            metadata=owner.auth,
        )
    stranger = await api.account()
    for user in (stranger.username, str(stranger.id), "nobody"):
        request = pb.UpdateMemberRoleRequest(organization=studio.id, user=user, role=role("member"))
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await api.organizations.UpdateMemberRole(request, metadata=owner.auth)


async def test_the_last_owner_stays(api: Api) -> None:
    studio = await Studio.open(api, "admin")
    owner, admin = studio.people["owner"], studio.people["admin"]
    with refused(StatusCode.FAILED_PRECONDITION, "LAST_OWNER") as refusal:
        await studio.leave(owner)
    assert refusal.metadata == {"organization": studio.name, "count": "1"}
    with refused(StatusCode.FAILED_PRECONDITION, "LAST_OWNER"):
        await studio.remove(owner, owner)
    with refused(StatusCode.FAILED_PRECONDITION, "LAST_OWNER"):
        await studio.change_role(owner, owner, "admin")
    await studio.change_role(owner, admin, "owner")
    # One who cannot log in does not count.
    await api.fetch("UPDATE users SET status = 'suspended' WHERE id = $1", admin.id)
    with refused(StatusCode.FAILED_PRECONDITION, "LAST_OWNER"):
        await studio.leave(owner)
    await api.fetch("UPDATE users SET status = 'active' WHERE id = $1", admin.id)
    await studio.leave(owner)
    assert await studio.roles() == {admin.username: "owner"}


@pytest.mark.parametrize("leaves", [True, False])
async def test_the_end_of_a_membership_ends_what_came_with_it(api: Api, leaves: bool) -> None:
    """For sessions, tokens and open streams, in all services."""
    studio = await Studio.open(api, "member")
    owner, member = studio.people["owner"], studio.people["member"]
    token = await api.api_token(member, "repo:read")
    made = await api.repositories.CreateRepository(
        CreateRepositoryRequest(owner=studio.name, name="film"), metadata=owner.auth
    )
    read = GetRepositoryRequest(repository=made.repository.id)
    team = await api.value(
        "INSERT INTO teams (org_id, name) VALUES ($1::uuid, 'art') RETURNING id", studio.id
    )
    await api.fetch("INSERT INTO team_members (team_id, user_id) VALUES ($1, $2)", team, member.id)
    stream = api.events.Watch(WatchRequest(repository=made.repository.id), metadata=token.auth)
    await stream.read()
    for who in (member, token):
        await api.repositories.GetRepository(read, metadata=who.auth)
    await (studio.leave(member) if leaves else studio.remove(owner, member))
    async with asyncio.timeout(PATIENCE_SECONDS):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            for _ in count():
                await stream.read()
        for who in (member, token):
            with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
                for _ in count():
                    await api.repositories.GetRepository(read, metadata=who.auth)
    assert not await api.value("SELECT count(*) FROM team_members")
    [event] = await api.fetch("SELECT actor_id, payload FROM events WHERE type = 'member.removed'")
    assert event["actor_id"] == (member.id if leaves else owner.id)
    assert str(member.id) in event["payload"]
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await studio.leave(member)
