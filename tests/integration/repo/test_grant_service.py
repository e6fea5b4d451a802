"""Rights on repositories are given, changed, listed and taken back."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from dits.auth.v1.access_service_pb2 import CheckAccessRequest
from dits.auth.v1.account_service_pb2 import DeleteAccountRequest
from dits.common.v1.permission_pb2 import Permission
from dits.repo.v1 import grant_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest, Visibility
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from services.repo.repositories import grants
from tests.support.api import Account, Api, refused
from tests.support.organizations import Studio
from tests.support.repositories import Holding
from tests.support.rivals import together
from tests.support.teams import Crew

READ, WRITE, ADMIN = (
    Permission.PERMISSION_READ,
    Permission.PERMISSION_WRITE,
    Permission.PERMISSION_ADMIN,
)


async def give(
    films: Holding,
    permission: Permission.ValueType,
    by: Account | None = None,
    **grantee: str,
) -> pb.Grant:
    request = pb.SetGrantRequest(repository=films.id, permission=permission, **grantee)
    auth = (by or films.owner).auth
    return (await films.api.grants.SetGrant(request, metadata=auth)).grant


async def take(films: Holding, by: Account | None = None, **fields: str) -> None:
    request = pb.RemoveGrantRequest(repository=films.id, **fields)
    await films.api.grants.RemoveGrant(request, metadata=(by or films.owner).auth)


async def list_grants(films: Holding, size: int = 0) -> list[tuple[str, str, int]]:
    request = pb.ListGrantsRequest(repository=films.id, page_size=size)
    found: list[tuple[str, str, int]] = []
    while True:
        page = await films.api.grants.ListGrants(request, metadata=films.owner.auth)
        found += [(grant.username, grant.team, grant.permission) for grant in page.grants]
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def right(films: Holding, who: Account) -> int:
    request = CheckAccessRequest(repository=films.id)
    answer = await films.api.access.CheckAccess(request, metadata=who.auth)
    return int(answer.repository.permission)


async def studio_film(api: Api, *roles: str) -> tuple[Studio, Holding]:
    studio = await Studio.open(api, *roles)
    owner = studio.people["owner"]
    request = CreateRepositoryRequest(owner=studio.organization.name, name="film")
    made = await api.repositories.CreateRepository(request, metadata=owner.auth)
    return studio, Holding(api, owner, made.repository)


async def test_a_user_is_given_rights_that_hold_at_once(api: Api) -> None:
    films, bob = await Holding.open(api), await api.account("bob")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await films.get(who=bob)
    first = await give(films, READ, user="BOB")
    assert (first.username, first.user_id, first.permission) == ("bob", str(bob.id), READ)
    assert first.granted_by == films.owner.username
    assert (await films.get(who=bob)).permission == READ
    for _ in range(2):
        changed = await give(films, WRITE, user=str(bob.id))
    assert changed.create_time == first.create_time
    assert await right(films, bob) == WRITE
    assert await list_grants(films) == [("bob", "", WRITE)]
    key = str(uuid.uuid4())
    for _ in range(2):
        await take(films, user="bob", request_id=key)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await take(films, user="bob")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await right(films, bob)
    assert (await films.audited())[1:] == ["grant.set", "grant.set", "grant.removed"]
    assert (await films.events())[1:] == [
        "repo.access_granted", "repo.access_granted", "repo.access_revoked",
    ]  # fmt: skip
    payload = await api.value("SELECT payload::text FROM events ORDER BY id OFFSET 2 LIMIT 1")
    assert '"previous_permission": "read"' in payload


@pytest.mark.parametrize(
    "visibility", [Visibility.VISIBILITY_PRIVATE, Visibility.VISIBILITY_PUBLIC]
)
async def test_who_gives_up_the_own_right_may_repeat_it(
    api: Api, visibility: Visibility.ValueType
) -> None:
    films, bob = await Holding.open(api, visibility=visibility), await api.account("bob")
    await give(films, WRITE, user="bob")
    key = str(uuid.uuid4())
    for _ in range(2):
        await take(films, by=bob, user="bob", request_id=key)
    later = await api.session(bob)
    await take(films, by=later, user="bob", request_id=key)
    for other in ("", str(uuid.uuid4())):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await take(films, by=later, user="bob", request_id=other)
    assert (await films.audited())[1:] == ["grant.set", "grant.removed"]


async def test_a_team_is_given_rights(api: Api) -> None:
    studio, film = await studio_film(api, "member", "billing")
    crew = await Crew.open(studio, "fx")
    artist = studio.people["member"]
    await crew.put(film.owner, artist)
    given = await give(film, WRITE, team="FX")
    assert (given.team, given.team_id, given.permission) == ("fx", crew.team.id, WRITE)
    assert await right(film, artist) == WRITE
    await give(film, READ, user=artist.username)
    assert await right(film, artist) == WRITE
    assert await list_grants(film, size=1) == [(artist.username, "", READ), ("", "fx", WRITE)]
    for team in ("fx", "absent"):
        with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
            await take(film, by=artist, team=team)
    await take(film, team=crew.team.id)
    assert await right(film, artist) == READ
    other = await Studio.open(api)
    stranger = await Crew.open(other, "art")
    own = await Holding.open(api)
    for films, team in ((film, stranger.team.id), (film, "art"), (own, stranger.team.id)):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await give(films, READ, team=team)


async def test_what_is_no_grant(api: Api) -> None:
    films, bob = await Holding.open(api), await api.account("bob")
    wrong: list[tuple[str, dict[str, Any], int]] = [
        ("user", {}, READ),
        ("user", {"user": "bob", "team": "fx"}, READ),
        ("user", {"user": "a b"}, READ),
        ("user", {"user": films.owner.username}, READ),
        ("team", {"team": "\0"}, READ),
        ("permission", {"user": "bob"}, 0),
        ("permission", {"user": "bob"}, 99),
    ]
    for field, grantee, permission in wrong:
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await give(films, permission, **grantee)  # type: ignore[arg-type]
        assert refusal.detail(BadRequest).field_violations[0].field == field
    await api.fetch("UPDATE users SET status = 'suspended' WHERE id = $1", bob.id)
    for user in ("bob", "nobody", str(uuid.uuid4())):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await give(films, READ, user=user)


async def test_who_may_give_and_take(api: Api) -> None:
    films, bob = await Holding.open(api), await api.account("bob")
    await api.account("eve")
    await give(films, WRITE, user="bob")
    await give(films, READ, user="eve")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await give(films, ADMIN, by=bob, user="bob")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await take(films, by=bob, user="eve")
    await films.update(archived=True)
    await take(films, by=bob, user="bob")
    await take(films, user="eve")
    assert await list_grants(films) == []
    token = await api.api_token(films.owner, "repo:write")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await give(films, READ, by=token, user="bob")


async def test_grants_are_limited_also_at_the_same_moment(api: Api, monkeypatch: Any) -> None:
    films = await Holding.open(api)
    monkeypatch.setattr(grants, "MOST_GRANTS", 2)
    for name in ("ann", "ben", "cem"):
        await api.account(name)
    won, reasons = await together(*(give(films, READ, user=name) for name in ("ann", "ben", "cem")))
    assert (won, reasons) == (2, ["LIMIT_REACHED"])
    assert len(await list_grants(films)) == 2


async def test_the_grant_of_a_deleted_account_is_gone(api: Api, monkeypatch: Any) -> None:
    monkeypatch.setattr(grants, "MOST_GRANTS", 1)
    films = await Holding.open(api)
    bob, cyn = await api.account(), await api.account()
    await give(films, WRITE, user=bob.username)
    request = DeleteAccountRequest(username=bob.username)
    await api.accounts.DeleteAccount(request, metadata=bob.auth)
    assert await list_grants(films) == []
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await take(films, user=str(bob.id))
    await give(films, READ, user=cyn.username)
    assert await list_grants(films) == [(cyn.username, "", READ)]
