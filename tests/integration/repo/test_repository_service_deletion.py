"""Repositories are deleted, listed and brought back."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from dits.repo.v1 import repository_service_pb2 as pb
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.branches import read_head
from tests.support.organizations import Studio
from tests.support.repositories import Holding
from tests.support.rivals import together
from tests.support.trees import save


async def list_deleted(api: Api, who: Account, owner: str = "", size: int = 0) -> list[str]:
    """The names of all deleted repositories of an owner."""
    request = pb.ListDeletedRepositoriesRequest(owner=owner, page_size=size)
    found: list[str] = []
    while True:
        page = await api.repositories.ListDeletedRepositories(request, metadata=who.auth)
        found += [repository.name for repository in page.repositories]
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def test_a_deleted_repository_is_nowhere_and_comes_back_whole(api: Api) -> None:
    films = await Holding.open(api, "films", visibility=pb.VISIBILITY_PUBLIC)
    head = await save(api, films.owner, films.repository, {"a": b"1"})
    would = await films.delete(validate_only=True)
    assert not (await films.get()).HasField("delete_time")
    deleted = await films.delete()
    assert deleted.repository_id == films.id
    assert deleted.purge_time.ToDatetime() - would.purge_time.ToDatetime() < timedelta(minutes=1)
    for address in (films.id, f"{films.owner.username}/films"):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await films.get(address)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await save(api, films.owner, films.repository, {"a": b"2"}, parent=head)
    listed = await api.repositories.ListRepositories(
        pb.ListRepositoriesRequest(), metadata=films.owner.auth
    )
    assert not listed.repositories
    for _ in range(2):
        assert (await films.undelete()).name == "films"
    assert await read_head(api, films.owner, films.repository) == head
    assert await films.events() == ["repo.created", "push", "repo.deleted", "repo.undeleted"]
    assert await films.audited() == [
        "repository.created", "repository.deleted", "repository.undeleted",
    ]  # fmt: skip


async def test_the_name_of_a_deleted_repository_is_free(api: Api) -> None:
    films = await Holding.open(api, "films")
    await films.update(name="movies")
    key = str(uuid.uuid4())
    address = f"{films.owner.username}/movies"
    first = await films.delete(repository=address, request_id=key)
    for name in ("films", "movies"):
        await api.repository(films.owner, name)
    # A repetition does not delete what has got the name since.
    assert await films.delete(repository=address, request_id=key) == first
    # With another session: whose address it was, the service may remember for five seconds.
    assert (await films.get(address, await api.session(films.owner))).id != films.id
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await films.undelete()
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await films.undelete(name="..")
    assert (await films.undelete(name="old-movies")).name == "old-movies"


@pytest.mark.parametrize("by_name", [True, False])
async def test_a_repetition_returns_the_first_result(api: Api, by_name: bool) -> None:
    films = await Holding.open(api, "films")
    key = str(uuid.uuid4())
    address = f"{films.owner.username}/films" if by_name else films.id
    first = await films.delete(repository=address, request_id=key)
    later = await api.session(films.owner)
    for who in (films.owner, later):
        assert await films.delete(who, repository=address, request_id=key) == first
        for other in ("", str(uuid.uuid4())):
            with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
                await films.delete(who, repository=address, request_id=other)
        with refused(StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
            await films.delete(who, repository=address, request_id=key, validate_only=True)
    stranger = await api.account()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await films.delete(stranger, repository=address, request_id=key)
    assert await films.events() == ["repo.created", "repo.deleted"]


async def test_what_comes_back_has_to_fit_into_the_plan(api: Api) -> None:
    studio = await Studio.open(api)
    owner = studio.people["owner"]
    name = studio.organization.name
    made = []
    for number in range(2):
        request = pb.CreateRepositoryRequest(name=f"r{number}", owner=name)
        created = await api.repositories.CreateRepository(request, metadata=owner.auth)
        made.append(Holding(api, owner, created.repository))
    for one in made:
        await save(api, owner, one.repository, {"a": b"x" * 600})
        await one.delete()
    await api.fetch("UPDATE organizations SET plan_storage_bytes = 599")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED") as refusal:
        await made[0].undelete()
    assert refusal.metadata == {"scope": "organization", "limit": "599", "held": "0"}
    assert await list_deleted(api, owner, name) == ["r1", "r0"]
    # There is room for one of them, whoever is first.
    await api.fetch("UPDATE organizations SET plan_storage_bytes = 1199")
    assert await together(*(one.undelete() for one in made)) == (1, ["QUOTA_EXCEEDED"])
    assert len(await list_deleted(api, owner, name)) == 1


async def test_deleted_repositories_are_listed_until_their_purge(api: Api) -> None:
    ada, eve = await api.account(), await api.account()
    made = [Holding(api, ada, await api.repository(ada, f"r{n}")) for n in range(4)]
    for one in made[:3]:
        await one.delete()
    assert await list_deleted(api, ada) == ["r2", "r1", "r0"]
    assert await list_deleted(api, ada, ada.username, size=1) == ["r2", "r1", "r0"]
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await list_deleted(api, eve, ada.username)
    await api.fetch(
        """UPDATE repositories SET deleted_at = now() - interval '30 days'
           WHERE id = $1::uuid""",
        made[0].id,
    )
    await api.fetch(
        "UPDATE repositories SET purge_started_at = now() WHERE id = $1::uuid", made[1].id
    )
    assert await list_deleted(api, ada) == ["r2"]
    for lost in made[:2]:
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await lost.undelete()


async def test_who_may_delete_and_bring_back(api: Api) -> None:
    films = await Holding.open(api)
    admin = await api.account()
    await api.grant(films.repository, admin, "admin")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await films.delete(admin, validate_only=True)
    token = await api.api_token(films.owner, "repo:admin")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await films.delete(token)
    deleter = await api.api_token(films.owner, "repo:delete")
    await films.delete(deleter)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await films.undelete(admin)
    await films.undelete(deleter)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.repositories.UndeleteRepository(
            pb.UndeleteRepositoryRequest(repository_id="x/y"), metadata=films.owner.auth
        )
