"""Repositories: creating, finding and listing them."""

from __future__ import annotations

import asyncio
import base64
import uuid

import pytest
from dits.common.v1.permission_pb2 import Permission
from dits.repo.v1 import ref_service_pb2 as ref_pb
from dits.repo.v1 import repository_service_pb2 as pb
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from tests.support.api import Api, refused

NEGATIVE_SIZE = pb.RepositorySettings(max_file_size_bytes=-1)
DOTTED_EXTENSION = pb.RepositorySettings(allowed_extensions=[".exr"])


async def test_a_repository_is_found_by_id_and_by_name(api: Api) -> None:
    ada = await api.account("ada")
    made = await api.repository(ada, "Films", must_lock=True)
    for address in (made.id, made.id.upper(), "ada/Films", "ADA/films"):
        got = await api.repositories.GetRepository(
            pb.GetRepositoryRequest(repository=address), metadata=ada.auth
        )
        assert got.repository == made
    assert (made.owner, made.name, made.default_branch) == ("ada", "Films", "main")
    assert made.permission == Permission.PERMISSION_ADMIN
    assert made.settings.require_lock_for_edit
    assert not made.HasField("push_time")


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {"name": ""}),
        ("name", {"name": ".."}),
        ("name", {"name": "a/b"}),
        ("name", {"name": "a.GIT"}),
        ("name", {"name": "x" * 101}),
        ("description", {"name": "a", "description": "x" * 4097}),
        ("visibility", {"name": "a", "visibility": 99}),
        ("default_branch", {"name": "a", "default_branch": "-x"}),
        ("settings.max_file_size_bytes", {"name": "a", "settings": NEGATIVE_SIZE}),
        ("settings.allowed_extensions", {"name": "a", "settings": DOTTED_EXTENSION}),
        ("request_id", {"name": "a", "request_id": "1"}),
    ],
)  # fmt: skip
async def test_new_repositories_are_held_to_the_rules(
    api: Api, field: str, fields: dict[str, object]
) -> None:
    ada = await api.account()
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await api.repositories.CreateRepository(
            pb.CreateRepositoryRequest(**fields),  # type: ignore[arg-type]
            metadata=ada.auth,
        )
    assert refusal.detail(BadRequest).field_violations[0].field == field


async def test_names_are_unique_per_owner_without_regard_to_case(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    await api.repository(ada, "films")
    await api.repository(bob, "films")
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await api.repository(ada, "FILMS")


async def test_creating_replays_by_request_id(api: Api) -> None:
    ada = await api.account()
    request = pb.CreateRepositoryRequest(name="films", request_id=str(uuid.uuid4()))
    calls = [api.repositories.CreateRepository(request, metadata=ada.auth) for _ in range(3)]
    first, *others = await asyncio.gather(*calls)
    assert all(other == first for other in others)


async def test_repositories_of_other_owners_cannot_be_created(api: Api) -> None:
    ada = await api.account()
    await api.account("bob")
    for owner, code, reason in (
        ("bob", StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"),
        ("nobody", StatusCode.NOT_FOUND, "NOT_FOUND"),
    ):
        with refused(code, reason):
            await api.repositories.CreateRepository(
                pb.CreateRepositoryRequest(owner=owner, name="x"), metadata=ada.auth
            )


async def test_private_and_absent_look_alike(api: Api) -> None:
    ada, eve = await api.account("ada"), await api.account()
    made = await api.repository(ada, "films")
    told = []
    for address in (made.id, str(uuid.uuid4()), "ada/films", "ada/nothing", "nobody/films"):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND") as refusal:
            await api.repositories.GetRepository(
                pb.GetRepositoryRequest(repository=address), metadata=eve.auth
            )
        told.append(refusal.message.replace(address, "*"))
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await api.repositories.GetRepository(pb.GetRepositoryRequest(repository=address))
    assert len(set(told)) == 1


async def test_visibility_opens_reading_only(api: Api) -> None:
    ada, eve = await api.account(), await api.account()
    public = await api.repository(ada, visibility=pb.VISIBILITY_PUBLIC)
    internal = await api.repository(ada, visibility=pb.VISIBILITY_INTERNAL)
    for repository in (public, internal):
        got = await api.repositories.GetRepository(
            pb.GetRepositoryRequest(repository=repository.id), metadata=eve.auth
        )
        assert got.repository.permission == Permission.PERMISSION_READ
        with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
            await api.refs.CreateBranch(
                ref_pb.CreateBranchRequest(repository=repository.id, name="x", head="ab" * 32),
                metadata=eve.auth,
            )
    await api.repositories.GetRepository(pb.GetRepositoryRequest(repository=public.id))
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.repositories.GetRepository(pb.GetRepositoryRequest(repository=internal.id))


async def test_rights_come_from_organisations_and_teams(api: Api) -> None:
    owner, member, artist, clerk = [await api.account() for _ in range(4)]
    org = await api.value(
        "INSERT INTO organizations (name, display_name) VALUES ('studio', 'Studio') RETURNING id"
    )
    for user, role in (
        (owner, "owner"),
        (member, "member"),
        (artist, "member"),
        (clerk, "billing"),
    ):
        await api.fetch("INSERT INTO organization_members (org_id, user_id, role) VALUES ($1, $2, $3)",
                        org, user.id, role)  # fmt: skip
    request = pb.CreateRepositoryRequest(owner="Studio", name="film")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await api.repositories.CreateRepository(request, metadata=member.auth)
    made = (await api.repositories.CreateRepository(request, metadata=owner.auth)).repository
    team = await api.value("INSERT INTO teams (org_id, name) VALUES ($1, 'fx') RETURNING id", org)
    await api.fetch("INSERT INTO team_members (team_id, user_id) VALUES ($1, $2)", team, artist.id)
    await api.fetch(
        """INSERT INTO team_repositories (team_id, repo_id, permission)
           VALUES ($1, $2::uuid, 'write')""",
        team,
        made.id,
    )
    expected = {
        owner: Permission.PERMISSION_ADMIN,
        member: Permission.PERMISSION_READ,
        artist: Permission.PERMISSION_WRITE,
    }
    for user, permission in expected.items():
        listed = await api.repositories.ListRepositories(
            pb.ListRepositoriesRequest(), metadata=user.auth
        )
        assert [(r.id, r.permission) for r in listed.repositories] == [(made.id, permission)]
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.repositories.GetRepository(
            pb.GetRepositoryRequest(repository=made.id), metadata=clerk.auth
        )


async def test_listing_pages_through_what_one_works_with(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    mine = [await api.repository(ada, f"r{n}") for n in range(5)]
    await api.repository(bob, "hidden")
    shared = await api.repository(bob, "shown", visibility=pb.VISIBILITY_PUBLIC)
    await api.grant(shared, ada, "write")
    seen: list[str] = []
    token = ""
    while True:
        page = await api.repositories.ListRepositories(
            pb.ListRepositoriesRequest(page_size=2, page_token=token), metadata=ada.auth
        )
        seen += [r.id for r in page.repositories]
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == sorted(r.id for r in [*mine, shared])
    of_bob = await api.repositories.ListRepositories(
        pb.ListRepositoriesRequest(owner=bob.username), metadata=ada.auth
    )
    assert [r.name for r in of_bob.repositories] == ["shown"]
    for owner in ("a\0b", "x" * 40):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await api.repositories.ListRepositories(
                pb.ListRepositoriesRequest(owner=owner), metadata=ada.auth
            )


@pytest.mark.parametrize("by_owner", [False, True])
async def test_pages_of_a_limited_token_hold_only_its_repositories(
    api: Api, by_owner: bool
) -> None:
    ada = await api.account()
    names = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"]
    made = [await api.repository(ada, name) for name in names]
    ids = [uuid.UUID(made[n].id) for n in (1, 4)]
    limited = await api.api_token(ada, "repo:read", repositories=ids)
    request = pb.ListRepositoriesRequest(page_size=1, owner=ada.username if by_owner else "")
    pages = []
    while True:
        page = await api.repositories.ListRepositories(request, metadata=limited.auth)
        pages.append([repository.name for repository in page.repositories])
        request.page_token = page.next_page_token
        if not request.page_token:
            break
        plain = base64.urlsafe_b64decode(request.page_token)
        assert not any(name.encode() in plain for name in names)
    assert pages == [["bravo"], ["echo"]]


async def test_a_limited_token_sees_only_its_repositories(api: Api) -> None:
    ada = await api.account()
    one, two = await api.repository(ada), await api.repository(ada)
    limited = await api.api_token(ada, "repo:read", repositories=[uuid.UUID(one.id)])
    listed = await api.repositories.ListRepositories(
        pb.ListRepositoriesRequest(), metadata=limited.auth
    )
    assert [r.id for r in listed.repositories] == [one.id]
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.repositories.GetRepository(
            pb.GetRepositoryRequest(repository=two.id), metadata=limited.auth
        )
