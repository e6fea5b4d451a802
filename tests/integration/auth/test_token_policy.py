"""Rules of organisations for API tokens: what they keep out, at every service and in every list."""

from __future__ import annotations

from typing import Any

import pytest
from dits.auth.v1 import organization_service_pb2 as opb
from dits.auth.v1.access_service_pb2 import (
    AccessCheck,
    BatchCheckAccessRequest,
    ListAccessibleRepositoriesRequest,
    LocateRepositoryRequest,
)
from dits.auth.v1.token_service_pb2 import CreateTokenRequest, ListTokensRequest
from dits.common.v1.permission_pb2 import PERMISSION_READ
from dits.lock.v1.lock_service_pb2 import WatchRequest
from dits.repo.v1.repository_service_pb2 import (
    CreateRepositoryRequest,
    ListRepositoriesRequest,
)
from grpc import StatusCode

from shared.rpc import admission
from tests.support.api import Api, refused
from tests.support.organizations import Studio
from tests.support.tokens import PUBLIC, holder, make_repository, mint, read_repository, set_policy


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        ({"longest_days": 1}, None),
        ({"allowed_scopes": ["repo:write"]}, None),
        ({"allowed_scopes": ["lock:write"]}, "allowed_scopes"),
        ({"needs_approval": True}, "needs_approval"),
        ({"longest_days": 1, "allowed_scopes": ["repo:read"]}, None),
    ],
)
async def test_a_token_is_held_to_the_rules_where_it_is_used(
    api: Api, rules: dict[str, Any], rule: str | None
) -> None:
    studio = await Studio.open(api, "member")
    repository = await make_repository(studio)
    token = await studio.make_token("repo:read", "user:write", "org:read")
    await set_policy(studio, **rules)
    await read_repository(api, repository, studio.people["member"])
    if rule is None:
        await read_repository(api, repository, token)
        return
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_REFUSED") as refusal:
        await read_repository(api, repository, token)
    assert refusal.metadata == {"organization": studio.name, "rule": rule}


@pytest.mark.parametrize("expires", ["now() + interval '3 days'", "NULL"])
async def test_a_token_may_not_live_longer_than_the_rule(api: Api, expires: str) -> None:
    """From its creation, not from now on; one without an end lives too long."""
    studio = await Studio.open(api, "member")
    repository = await make_repository(studio)
    await set_policy(studio, longest_days=2)
    await read_repository(api, repository, await studio.make_token())
    longer = await studio.make_token()
    await api.fetch(f"UPDATE api_tokens SET expires_at = {expires}")
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_REFUSED") as refusal:
        await read_repository(api, repository, longer)
    assert refusal.metadata["rule"] == "longest_days"


async def test_what_everybody_may_read_a_refused_token_may_read(api: Api) -> None:
    studio = await Studio.open(api)
    public = await make_repository(studio, "open", PUBLIC)
    token = await studio.make_token("repo:admin", name="owner")
    await set_policy(studio, needs_approval=True)
    await read_repository(api, public, token)
    # Its right is that of a stranger.
    batch = BatchCheckAccessRequest(
        checks=[AccessCheck(repository=public.id, permission=PERMISSION_READ)]
    )
    answer = (await api.access.BatchCheckAccess(batch, metadata=token.auth)).answers[0]
    assert answer.permission == PERMISSION_READ


async def test_lists_leave_out_what_a_token_does_not_reach(api: Api) -> None:
    studio = await Studio.open(api, "member")
    private = await make_repository(studio)
    public = await make_repository(studio, "open", PUBLIC)
    own = await api.repository(studio.people["member"], "own")
    token = await studio.make_token()

    async def names(owner: str = "") -> list[str]:
        request = ListRepositoriesRequest(owner=owner)
        found = await api.repositories.ListRepositories(request, metadata=token.auth)
        return [each.name for each in found.repositories]

    async def accessible() -> list[str]:
        request = ListAccessibleRepositoriesRequest()
        found = await api.access.ListAccessibleRepositories(request, metadata=token.auth)
        return [each.name for each in found.repositories]

    async def readable() -> list[bool]:
        checks = [
            AccessCheck(repository=each.id, permission=PERMISSION_READ)
            for each in (private, public, own)
        ]
        found = await api.access.BatchCheckAccess(
            BatchCheckAccessRequest(checks=checks), metadata=token.auth
        )
        return [answer.allowed for answer in found.answers]

    assert set(await names()) == set(await accessible()) == {"film", "open", "own"}
    await set_policy(studio, needs_approval=True)
    assert await accessible() == ["own"]
    assert await readable() == [False, True, True]
    fresh = await studio.make_token()
    listed = await api.repositories.ListRepositories(ListRepositoriesRequest(), metadata=fresh.auth)
    assert [each.name for each in listed.repositories] == ["own"]
    listed = await api.repositories.ListRepositories(
        ListRepositoriesRequest(owner=studio.name), metadata=fresh.auth
    )
    assert [each.name for each in listed.repositories] == ["open"]


async def test_lists_leave_it_out_for_people_outside_the_organisation_too(api: Api) -> None:
    studio = await Studio.open(api)
    film = await make_repository(studio)
    outsider = await api.account()
    await api.grant(film, outsider, "read")
    await set_policy(studio, needs_approval=True)
    token = await api.api_token(outsider, "repo:read")
    check = AccessCheck(repository=film.id, permission=PERMISSION_READ)
    request = BatchCheckAccessRequest(checks=[check])
    for who, is_let_in in ((outsider, True), (token, False)):
        answer = await api.access.BatchCheckAccess(request, metadata=who.auth)
        assert [each.allowed for each in answer.answers] == [is_let_in]
        accessible = await api.access.ListAccessibleRepositories(
            ListAccessibleRepositoriesRequest(), metadata=who.auth
        )
        assert len(accessible.repositories) == is_let_in
        for owner in ("", studio.name):
            listed = await api.repositories.ListRepositories(
                ListRepositoriesRequest(owner=owner), metadata=who.auth
            )
            assert len(listed.repositories) == is_let_in


@pytest.mark.parametrize("rule", ["rejected", "longest_days", "allowed_scopes", "needs_approval"])
async def test_what_a_token_makes_is_not_let_in_where_the_token_is_not(api: Api, rule: str) -> None:
    studio = await Studio.open(api, "member")
    film = await make_repository(studio)
    token = await studio.make_token("repo:write", "user:write")
    wanted = CreateTokenRequest(name="child", scopes=["repo:read"])
    made = await api.tokens.CreateToken(wanted, metadata=token.auth)
    child = holder(token, made)
    await read_repository(api, film, child)
    if rule == "rejected":
        await studio.reject(studio.people["owner"], token)
    else:
        values = {"longest_days": 30, "allowed_scopes": ["repo:read"], "needs_approval": True}
        rules: dict[str, Any] = {rule: values[rule]}
        await set_policy(studio, **rules)
        await api.fetch(
            "UPDATE api_tokens SET expires_at = created_at + interval '60 days' WHERE generation = 0"
        )
        await studio.approve(studio.people["owner"], child)
    listed = await api.access.ListAccessibleRepositories(
        ListAccessibleRepositoriesRequest(), metadata=child.auth
    )
    assert not listed.repositories
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_REFUSED") as refusal:
        await api.access.LocateRepository(
            LocateRepositoryRequest(repository=film.id), metadata=child.auth
        )
    assert refusal.metadata["rule"] == rule


async def test_a_token_that_is_kept_out_creates_no_repository(api: Api) -> None:
    studio = await Studio.open(api, "admin")
    token = await studio.make_token("repo:admin", name="admin")
    await set_policy(studio, needs_approval=True)
    request = CreateRepositoryRequest(owner=studio.name, name="film")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await api.repositories.CreateRepository(request, metadata=token.auth)
    await api.repositories.CreateRepository(request, metadata=studio.people["admin"].auth)


async def test_a_rule_ends_open_streams(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(admission, "CHECK_SECONDS", 0.05)
    studio = await Studio.open(api, "member")
    repository = await make_repository(studio)
    token = await studio.make_token()
    watch: Any = api.locks.Watch(WatchRequest(repository=repository.id), metadata=token.auth)
    await watch.read()
    await set_policy(studio, needs_approval=True)
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_REFUSED"):
        while await watch.read():
            pass


@pytest.mark.parametrize(
    "rules",
    [
        {"longest_days": -1},
        {"longest_days": 367},
        {"allowed_scopes": ["user:read"]},
        {"allowed_scopes": ["site:admin"]},
        {"allowed_scopes": [""]},
    ],
)
async def test_rules_that_are_none(api: Api, rules: dict[str, Any]) -> None:
    studio = await Studio.open(api)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await set_policy(studio, **rules)


async def test_a_policy_is_shown_and_taken_back(api: Api) -> None:
    studio = await Studio.open(api, "member")
    policy = await set_policy(studio, longest_days=90, allowed_scopes=["repo:write"])
    assert list(policy.allowed_scopes) == ["lock:write", "repo:read", "repo:write"]
    shown = (await studio.get(studio.people["member"])).settings.token_policy
    assert shown == policy
    assert await set_policy(studio) == opb.TokenPolicy()


async def test_an_owner_sees_who_does_not_let_a_token_in(api: Api) -> None:
    studio, other = await Studio.open(api, "member"), await Studio.open(api)
    member = studio.people["member"]
    await other.join("member", member)
    await mint(api, member)

    async def refusals() -> list[tuple[str, str, str]]:
        listed = await api.tokens.ListTokens(ListTokensRequest(), metadata=member.auth)
        [token] = listed.tokens
        return [(each.organization_id, each.organization, each.rule) for each in token.refusals]

    assert await refusals() == []
    await set_policy(studio, needs_approval=True)
    await set_policy(other, longest_days=1)
    expected = [(studio.id, studio.name, "needs_approval"), (other.id, other.name, "longest_days")]
    assert sorted(await refusals()) == sorted(expected)
