"""OrganizationTokenService: which tokens reach an organisation, and how one is approved."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from dits.auth.v1 import organization_token_service_pb2 as pb
from dits.auth.v1.access_service_pb2 import (
    LocateRepositoryRequest,
)
from dits.auth.v1.token_service_pb2 import CreateTokenRequest
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.organizations import Studio
from tests.support.tokens import make_repository, read_repository, set_policy


async def test_a_token_is_approved_and_rejected(api: Api) -> None:
    studio = await Studio.open(api, "admin", "member")
    repository = await make_repository(studio)
    admin, member = studio.people["admin"], studio.people["member"]
    await set_policy(studio, needs_approval=True)
    token = await studio.make_token()
    [pending] = await studio.list_tokens(admin, status=pb.TOKEN_STATUS_PENDING)
    assert (pending.username, pending.refusal) == (member.username, "needs_approval")
    for _ in range(2):
        decided = await studio.approve(admin, token)
    assert (decided.status, decided.refusal) == (pb.TOKEN_STATUS_APPROVED, "")
    await read_repository(api, repository, token)
    assert not await studio.list_tokens(admin, status=pb.TOKEN_STATUS_PENDING)
    assert len(await studio.list_tokens(admin, status=pb.TOKEN_STATUS_APPROVED)) == 1
    # A rejection counts without a policy, too.
    await set_policy(studio)
    assert (await studio.reject(admin, token)).refusal == "rejected"
    assert len(await studio.list_tokens(admin, status=pb.TOKEN_STATUS_REJECTED)) == 1
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_REFUSED"):
        await api.access.LocateRepository(
            LocateRepositoryRequest(repository=repository.id), metadata=token.auth
        )
    told = await api.fetch(
        "SELECT type FROM notifications WHERE user_id = $1 ORDER BY created_at", member.id
    )
    assert [row["type"] for row in told] == ["token.approved", "token.rejected"]
    rows = await api.fetch(
        "SELECT action FROM audit_log WHERE action LIKE 'token.%' AND org_id IS NOT NULL ORDER BY timestamp"
    )
    assert [row["action"] for row in rows] == ["token.approved", "token.rejected"]


async def test_tokens_that_do_not_reach_the_organisation_are_none_of_its_business(
    api: Api,
) -> None:
    studio, other = await Studio.open(api, "member"), await Studio.open(api)
    elsewhere = await make_repository(other)
    member, owner = studio.people["member"], studio.people["owner"]
    stranger = await api.api_token(await api.account(), "repo:read")
    hidden = [
        stranger,
        await api.api_token(member, "user:write"),
        await api.api_token(member, "repo:read", repositories=[uuid.UUID(elsewhere.id)]),
    ]
    ended = await studio.make_token()
    await api.fetch(
        "UPDATE api_tokens SET revoked_at = now() WHERE id ="
        " (SELECT id FROM api_tokens ORDER BY created_at DESC LIMIT 1)"
    )
    assert await studio.list_tokens(owner) == []
    for token in (*hidden, ended):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await studio.approve(owner, token)


async def test_a_token_for_an_organisation_asks_its_administrators(api: Api) -> None:
    studio = await Studio.open(api, "admin", "member")
    repository = await make_repository(studio)
    await set_policy(studio, needs_approval=True, longest_days=30)
    member = studio.people["member"]
    request = CreateTokenRequest(name="render", scopes=["repo:read"], repositories=[repository.id])
    request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=20))
    await api.tokens.CreateToken(request, metadata=member.auth)
    told = await api.fetch("SELECT user_id FROM notifications WHERE type = 'token.pending'")
    assert {row["user_id"] for row in told} == {
        studio.people["owner"].id,
        studio.people["admin"].id,
    }
    # What could never be let in is not made.
    request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=40))
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_REFUSED") as refusal:
        await api.tokens.CreateToken(request, metadata=member.auth)
    assert refusal.metadata == {"organization": studio.name, "rule": "longest_days"}
    assert await api.value("SELECT count(*) FROM api_tokens") == 1


async def test_bad_input_about_tokens_of_organisations(api: Api) -> None:
    studio = await Studio.open(api)
    owner = studio.people["owner"]
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await studio.list_tokens(owner, status=99)
    for page_token in ("x", "é"):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
            await studio.list_tokens(owner, page_token=page_token)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.organization_tokens.ApproveToken(
            pb.ApproveTokenRequest(organization=studio.id, token_id="x"), metadata=owner.auth
        )
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.organization_tokens.RejectToken(
            pb.RejectTokenRequest(organization=studio.id, token_id=str(uuid.uuid4())),
            metadata=owner.auth,
        )


async def test_no_token_approves_itself_or_changes_the_rules(api: Api) -> None:
    studio = await Studio.open(api)
    repository = await make_repository(studio)
    await set_policy(studio, needs_approval=True)
    token = await studio.make_token("repo:read", "org:admin", name="owner")
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_REFUSED"):
        await set_policy(studio, who=token)
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_REFUSED"):
        await read_repository(api, repository, token)
    await studio.approve(studio.people["owner"], token)
    with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
        await studio.approve(token, token)
    with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
        await set_policy(studio, who=token)
    # To keep one out is no danger.
    assert (await studio.reject(token, token)).refusal == "rejected"
