"""OrganizationService: organisations, their names, and how they end."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from dits.auth.v1 import organization_service_pb2 as pb
from dits.auth.v1.access_service_pb2 import CheckAccessRequest
from dits.common.v1.permission_pb2 import Permission
from dits.repo.v1.repository_service_pb2 import (
    CreateRepositoryRequest,
    GetRepositoryRequest,
    ListRepositoriesRequest,
)
from grpc import StatusCode

from tests.support.accounts import registration
from tests.support.api import Api, refused
from tests.support.organizations import Studio, role


async def test_whoever_creates_an_organisation_owns_it(api: Api) -> None:
    ada, eve = await api.account(), await api.account()
    request = pb.CreateOrganizationRequest(request_id=str(uuid.uuid4()), name="Aardman")
    first = await api.organizations.CreateOrganization(request, metadata=ada.auth)
    assert first == await api.organizations.CreateOrganization(request, metadata=ada.auth)
    made = first.organization
    assert (made.name, made.display_name, made.role) == ("Aardman", "Aardman", role("owner"))
    assert (made.plan, made.seats, made.member_count) == ("free", 0, 1)
    assert made.settings.member_permission == Permission.PERMISSION_READ
    for name in (made.id, "aardman", "AARDMAN"):
        found = await api.organizations.GetOrganization(
            pb.GetOrganizationRequest(organization=name), metadata=ada.auth
        )
        assert found.organization == made
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await api.organizations.GetOrganization(
                pb.GetOrganizationRequest(organization=name), metadata=eve.auth
            )
    [event] = await api.fetch("SELECT type, org_id::text, payload FROM events")
    assert (event["type"], event["org_id"]) == ("member.added", made.id)
    assert await api.value("SELECT action FROM audit_log") == "organization.created"


async def test_users_and_organisations_share_their_names(api: Api) -> None:
    studio = await Studio.open(api, name="Pixel")
    owner = studio.people["owner"]
    for name in ("pixel", owner.username.upper()):
        with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
            await Studio.open(api, name=name)
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await api.accounts.Register(registration(username="PIXEL"))


async def test_organisations_are_listed_by_name(api: Api) -> None:
    ada = await api.account()
    for name in ("Cee", "aaa", "Bee"):
        studio = await Studio.open(api, name=name)
        await studio.join("member", ada)
    await Studio.open(api)
    seen: list[tuple[str, int]] = []
    page_token = ""
    while page_token or not seen:
        page = await api.organizations.ListOrganizations(
            pb.ListOrganizationsRequest(page_size=2, page_token=page_token), metadata=ada.auth
        )
        seen += [(each.name, each.role) for each in page.organizations]
        page_token = page.next_page_token
    assert seen == [(name, role("member")) for name in ("aaa", "Bee", "Cee")]


async def test_profiles_and_settings_change(api: Api) -> None:
    studio = await Studio.open(api, "member")
    owner, member = studio.people["owner"], studio.people["member"]
    values: dict[str, Any] = {
        "display_name": "Studio Ö",
        "description": "two\nlines",
        "avatar_url": "https://example.com/a.png",
        "email": "hello@example.com",
        "website": "http://example.com",
        "billing_email": "bills@example.com",
    }
    changed = await studio.update(owner, **values)
    assert {name: getattr(changed, name) for name in values} == values
    assert (await studio.get(member)).billing_email == ""
    settings = pb.OrganizationSettings(member_permission=Permission.PERMISSION_WRITE)
    await studio.update(owner, "settings.member_permission", settings=settings)
    changed = await studio.update(owner, "website", "email", display_name="not in the mask")
    assert (changed.website, changed.email, changed.display_name) == ("", "", "Studio Ö")
    assert changed.settings.member_permission == settings.member_permission
    repository = await api.repositories.CreateRepository(
        CreateRepositoryRequest(owner=studio.name, name="film"), metadata=owner.auth
    )
    for permission in (Permission.PERMISSION_ADMIN, Permission.PERMISSION_READ):
        settings.member_permission = permission
        await studio.update(owner, "settings.member_permission", settings=settings)
        access = await api.access.CheckAccess(
            CheckAccessRequest(repository=repository.repository.id), metadata=member.auth
        )
        assert access.repository.permission == permission
    settings.member_permission = Permission.PERMISSION_UNSPECIFIED
    await studio.update(owner, "settings.member_permission", settings=settings)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.access.CheckAccess(
            CheckAccessRequest(repository=repository.repository.id), metadata=member.auth
        )


async def test_a_former_name_leads_to_the_organisation(api: Api) -> None:
    studio = await Studio.open(api, name="before")
    owner = studio.people["owner"]
    create = CreateRepositoryRequest(owner="before", name="film")
    await api.repositories.CreateRepository(create, metadata=owner.auth)
    assert (await studio.update(owner, name="After")).name == "After"
    for name in ("before", "after"):
        found = await api.repositories.GetRepository(
            GetRepositoryRequest(repository=f"{name}/film"), metadata=owner.auth
        )
        assert found.repository.owner == "After"
        listed = await api.repositories.ListRepositories(
            ListRepositoriesRequest(owner=name), metadata=owner.auth
        )
        assert len(listed.repositories) == 1
    other = await Studio.open(api, name="other")
    for attempt in (
        lambda: api.accounts.Register(registration(username="Before")),
        lambda: Studio.open(api, name="before"),
        lambda: other.update(other.people["owner"], name="before"),
    ):
        with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN") as refusal:
            await attempt()
        assert "was called, and leads there" in refusal.message
    # Its own former name is its own again.
    await studio.update(owner, name="before")
    assert await api.value("SELECT array_agg(name_key) FROM former_names") == ["after"]


async def test_a_former_name_is_free_when_its_time_is_over(api: Api) -> None:
    studio = await Studio.open(api, name="before")
    owner = studio.people["owner"]
    await studio.update(owner, name="BEFORE")
    assert not await api.value("SELECT count(*) FROM former_names")
    await studio.update(owner, name="after")
    kept = await api.value("SELECT kept_until - clock_timestamp() FROM former_names")
    assert 29 <= kept.days <= 30
    await api.fetch("UPDATE former_names SET kept_until = clock_timestamp()")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.organizations.GetOrganization(
            pb.GetOrganizationRequest(organization="before"), metadata=owner.auth
        )
    taken = await Studio.open(api, name="before")
    await taken.update(taken.people["owner"], name="elsewhere")
    found = await api.organizations.GetOrganization(
        pb.GetOrganizationRequest(organization="before"), metadata=taken.people["owner"].auth
    )
    assert found.organization.id == taken.id


async def test_an_organisation_with_repositories_stays(api: Api) -> None:
    studio = await Studio.open(api, "member", name="studio")
    owner, member = studio.people["owner"], studio.people["member"]
    for name in ("film", "game"):
        create = CreateRepositoryRequest(owner="studio", name=name)
        await api.repositories.CreateRepository(create, metadata=owner.auth)
    with refused(StatusCode.FAILED_PRECONDITION, "OWNS_REPOSITORIES") as refusal:
        await studio.delete(owner, validate_only=True)
    assert refusal.metadata == {"owner": "studio", "count": "2"}
    assert "studio/film" in str(refusal.details) or "film" in refusal.message
    # One that can be brought back counts, too.
    await api.fetch("UPDATE repositories SET deleted_at = clock_timestamp()")
    with refused(StatusCode.FAILED_PRECONDITION, "OWNS_REPOSITORIES"):
        await studio.delete(owner)
    for table in ("repository_settings", "repository_stats"):
        await api.fetch(f"DELETE FROM {table}")
    await api.fetch("DELETE FROM repositories")
    await studio.delete(owner, validate_only=True)
    assert len(await studio.roles()) == 2
    await studio.delete(owner)
    assert not await studio.roles()
    for who in (owner, member):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await studio.get(who)
    assert await api.value("SELECT deleted_at FROM organizations") is not None
    # Its name is free, whoever takes it.
    again = await Studio.open(api, name="studio")
    assert again.id != studio.id


async def test_a_deletion_can_be_repeated(api: Api) -> None:
    studio = await Studio.open(api)
    request = pb.DeleteOrganizationRequest(organization=studio.name, request_id=str(uuid.uuid4()))
    for _ in range(2):
        await api.organizations.DeleteOrganization(request, metadata=studio.people["owner"].auth)
    assert await api.value("SELECT count(*) FROM audit_log WHERE action LIKE '%deleted'") == 1


@pytest.mark.parametrize(
    ("path", "values", "field"),
    [
        ("name", {"name": "a--b"}, "values.name"),
        ("name", {"name": "admin"}, "values.name"),
        ("name", {"name": "deleted.x"}, "values.name"),
        ("display_name", {"display_name": ""}, "values.display_name"),
        ("display_name", {"display_name": "a\x00b"}, "values.display_name"),
        ("display_name", {"display_name": "a\u202eb"}, "values.display_name"),
        ("description", {"description": "x" * 4_097}, "values.description"),
        ("avatar_url", {"avatar_url": "javascript:alert(1)"}, "values.avatar_url"),
        ("website", {"website": "https://"}, "values.website"),
        ("website", {"website": "https://a b"}, "values.website"),
        ("website", {"website": "https://" + "x" * 2_000}, "values.website"),
        ("email", {"email": "nobody"}, "values.email"),
        ("billing_email", {"billing_email": "a@b\n"}, "values.billing_email"),
        (
            "settings.member_permission",
            {"settings": {"member_permission": 9}},
            "values.settings.member_permission",
        ),
        ("id", {}, "update_mask"),
        ("plan", {}, "update_mask"),
        ("settings", {}, "update_mask"),
        ("*", {}, "update_mask"),
        (None, {}, "update_mask"),
    ],
)
async def test_bad_changes_are_refused(
    api: Api, path: str | None, values: dict[str, Any], field: str
) -> None:
    studio = await Studio.open(api)
    request = pb.UpdateOrganizationRequest(organization=studio.id, values=pb.Organization(**values))
    request.update_mask.paths.extend([path] if path else [])
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await api.organizations.UpdateOrganization(request, metadata=studio.people["owner"].auth)
    assert refusal.message.startswith(f"{field}:")


@pytest.mark.parametrize("name", ["", "a" * 40, "root", str(uuid.UUID(int=1)), "ä" * 4, "a\x00b"])
async def test_bad_names_are_refused(api: Api, name: str) -> None:
    ada = await api.account()
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.organizations.CreateOrganization(
            pb.CreateOrganizationRequest(name=name), metadata=ada.auth
        )
    if name not in ("root", str(uuid.UUID(int=1))):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await api.organizations.GetOrganization(
                pb.GetOrganizationRequest(organization=name), metadata=ada.auth
            )
