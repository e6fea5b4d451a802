"""ListAccessibleRepositories and ListRepositoryUsers: who has which right, and by which grants."""

from __future__ import annotations

from uuid import UUID

import pytest
from dits.auth.v1 import access_service_pb2 as pb
from dits.auth.v1 import organization_service_pb2 as opb
from dits.common.v1 import permission_pb2 as permission
from dits.repo.v1.repository_service_pb2 import VISIBILITY_PUBLIC, CreateRepositoryRequest
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.organizations import Studio

READ, WRITE, ADMIN = (
    permission.PERMISSION_READ,
    permission.PERMISSION_WRITE,
    permission.PERMISSION_ADMIN,
)


async def list_repositories(
    api: Api, who: Account, page_size: int = 0, page_token: str = ""
) -> pb.ListAccessibleRepositoriesResponse:
    request = pb.ListAccessibleRepositoriesRequest(page_size=page_size, page_token=page_token)
    return await api.access.ListAccessibleRepositories(request, metadata=who.auth)


async def list_users(
    api: Api, who: Account, repository: str, page_size: int = 0, page_token: str = ""
) -> pb.ListRepositoryUsersResponse:
    request = pb.ListRepositoryUsersRequest(
        repository=repository, page_size=page_size, page_token=page_token
    )
    return await api.access.ListRepositoryUsers(request, metadata=who.auth)


async def open_studio(api: Api) -> tuple[Studio, str, str]:
    """Returns a studio with a member, its repository, and the member's team that may write it."""
    studio = await Studio.open(api, "member", "billing")
    owner, member = studio.people["owner"], studio.people["member"]
    request = CreateRepositoryRequest(owner=studio.name, name="films")
    made = await api.repositories.CreateRepository(request, metadata=owner.auth)
    team = await api.value(
        """WITH t AS (INSERT INTO teams (org_id, name) VALUES ($1::uuid, 'lights') RETURNING id),
                m AS (INSERT INTO team_members (team_id, user_id) SELECT id, $2 FROM t),
                r AS (INSERT INTO team_repositories (team_id, repo_id, permission)
                      SELECT id, $3::uuid, 'write' FROM t)
           SELECT id::text FROM t""",
        studio.id, member.id, made.repository.id,
    )  # fmt: skip
    return studio, made.repository.id, team


async def test_a_right_is_listed_with_all_that_give_it(api: Api) -> None:
    studio, repository, team = await open_studio(api)
    member = studio.people["member"]
    [found] = (await list_repositories(api, member)).repositories
    assert (found.repository_id, found.owner, found.name) == (repository, studio.name, "films")
    assert (found.permission, found.grant_count) == (WRITE, 2)
    assert list(found.grants) == [
        pb.AccessGrant(source=pb.GRANT_SOURCE_TEAM, permission=WRITE, team_id=team, team="lights"),
        pb.AccessGrant(
            source=pb.GRANT_SOURCE_ORGANIZATION_ROLE,
            permission=READ,
            role=opb.ORGANIZATION_ROLE_MEMBER,
        ),
    ]
    assert not (await list_repositories(api, studio.people["billing"])).repositories


async def test_at_most_ten_grants_are_shown(api: Api) -> None:
    studio, repository, _ = await open_studio(api)
    member = studio.people["member"]
    await api.fetch(
        """WITH t AS (INSERT INTO teams (org_id, name)
                      SELECT $1::uuid, 'team' || n FROM generate_series(1, 12) n RETURNING id),
                m AS (INSERT INTO team_members (team_id, user_id) SELECT id, $2 FROM t)
           INSERT INTO team_repositories (team_id, repo_id, permission)
           SELECT id, $3::uuid, 'admin' FROM t""",
        studio.id, member.id, repository,
    )  # fmt: skip
    [found] = (await list_repositories(api, member)).repositories
    assert (found.permission, found.grant_count, len(found.grants)) == (ADMIN, 14, 10)
    assert [grant.team for grant in found.grants][:3] == ["team1", "team10", "team11"]
    assert {grant.permission for grant in found.grants} == {ADMIN}


async def test_users_are_listed_with_all_that_gives_them_the_right(api: Api) -> None:
    studio, repository, _ = await open_studio(api)
    owner, guest = studio.people["owner"], await api.account("aguest")
    await api.fetch(
        "INSERT INTO repository_collaborators (repo_id, user_id, permission) VALUES ($1::uuid, $2, 'read')",
        repository, guest.id,
    )  # fmt: skip
    users = {user.username: user for user in (await list_users(api, owner, repository)).users}
    assert list(users) == sorted([guest.username, owner.username, studio.people["member"].username])
    assert users["aguest"] == pb.RepositoryUser(
        user_id=str(guest.id), username="aguest", name="aguest", permission=READ, grant_count=1,
        grants=[pb.AccessGrant(source=pb.GRANT_SOURCE_COLLABORATOR, permission=READ)],
    )  # fmt: skip
    assert users[owner.username].grants[0].role == opb.ORGANIZATION_ROLE_OWNER
    assert len(users[studio.people["member"].username].grants) == 2
    await api.fetch("UPDATE users SET status = 'suspended' WHERE username = 'aguest'")
    assert "aguest" not in {u.username for u in (await list_users(api, owner, repository)).users}


async def test_only_administrators_see_who_has_a_right(api: Api) -> None:
    studio, repository, _ = await open_studio(api)
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await list_users(api, studio.people["member"], repository)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await list_users(api, await api.account(), repository)
    machine = await api.api_token(studio.people["owner"], "repo:write")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await list_users(api, machine, repository)


async def test_repositories_come_in_pages_by_owner_and_name(api: Api) -> None:
    ada, bob = await api.account("ada"), await api.account("bob")
    for owner in (bob, ada):
        for name in ("Zoo", "ants", "Bees"):
            repository = await api.repository(owner, name)
            await api.grant(repository, bob if owner is ada else ada, "read")
    await api.repository(ada, "public", visibility=VISIBILITY_PUBLIC)
    names, token = [], ""
    while True:
        page = await list_repositories(api, bob, 2, token)
        names += [f"{found.owner}/{found.name}" for found in page.repositories]
        token = page.next_page_token
        if not token:
            break
    assert names == ["ada/ants", "ada/Bees", "ada/Zoo", "bob/ants", "bob/Bees", "bob/Zoo"]


async def test_users_come_in_pages(api: Api) -> None:
    ada = await api.account("ada")
    repository = await api.repository(ada)
    for name in ("dora", "carl", "bob"):
        await api.grant(repository, await api.account(name), "admin")
    first = await list_users(api, ada, repository.id, 3)
    last = await list_users(api, ada, repository.id, 3, first.next_page_token)
    assert [u.username for u in (*first.users, *last.users)] == ["ada", "bob", "carl", "dora"]
    assert not last.next_page_token


@pytest.mark.parametrize("token", ["x", "eA=="])
async def test_foreign_page_tokens_are_refused(api: Api, token: str) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await list_repositories(api, ada, page_token=token)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await list_users(api, ada, repository.id, page_token=token)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await list_repositories(api, ada, page_size=-1)


async def test_a_limited_token_lists_nothing_of_its_account(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    machine = await api.api_token(ada, "repo:admin", repositories=[UUID(repository.id)])
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_LIMITED"):
        await list_repositories(api, machine)
    assert len((await list_users(api, machine, repository.id)).users) == 1
