"""Rules of organisations for API tokens, where a request names the organisation itself."""

from __future__ import annotations

from dits.auth.v1.audit_service_pb2 import AuditFilter, ListAuditEventsRequest
from dits.auth.v1.invitation_service_pb2 import ListInvitationsRequest
from dits.auth.v1.notification_service_pb2 import (
    FollowBranchRequest,
    ListFollowedBranchesRequest,
)
from dits.auth.v1.organization_service_pb2 import ListMembersRequest, ListOrganizationsRequest
from dits.auth.v1.team_service_pb2 import CreateTeamRequest
from dits.repo.v1.repository_service_pb2 import (
    DeleteRepositoryRequest,
    UndeleteRepositoryRequest,
)
from dits.repo.v1.transfer_service_pb2 import CancelTransferRequest, RequestTransferRequest
from dits.repo.v1.usage_service_pb2 import GetUsageRequest
from dits.repo.v1.webhook_service_pb2 import ListWebhooksRequest
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.organizations import Studio
from tests.support.tokens import PUBLIC, make_repository, set_policy


async def test_a_refused_token_learns_nothing_of_the_organization_itself(api: Api) -> None:
    studio = await Studio.open(api)
    owner = studio.people["owner"]
    token = await studio.make_token("org:admin", "webhook:read", name="owner")
    about = AuditFilter(organization=studio.name)

    async def read(who: Account) -> None:
        await api.audit.ListAuditEvents(ListAuditEventsRequest(filter=about), metadata=who.auth)
        await api.usage.GetUsage(GetUsageRequest(organization=studio.name), metadata=who.auth)
        await api.webhooks.ListWebhooks(
            ListWebhooksRequest(organization=studio.name), metadata=who.auth
        )

    await read(token)
    await set_policy(studio, needs_approval=True)
    await read(owner)
    fresh = await studio.make_token("org:admin", "webhook:read", name="owner")
    for call in (
        api.audit.ListAuditEvents(ListAuditEventsRequest(filter=about), metadata=fresh.auth),
        api.usage.GetUsage(GetUsageRequest(organization=studio.name), metadata=fresh.auth),
        api.organizations.ListMembers(
            ListMembersRequest(organization=studio.name), metadata=fresh.auth
        ),
        api.teams.CreateTeam(
            CreateTeamRequest(organization=studio.name, name="art"), metadata=fresh.auth
        ),
        api.invitations.ListInvitations(
            ListInvitationsRequest(organization=studio.name), metadata=fresh.auth
        ),
        studio.reject(fresh, fresh),
    ):
        with refused(StatusCode.PERMISSION_DENIED, "TOKEN_REFUSED") as refusal:
            await call
        assert refusal.metadata == {"organization": studio.name, "rule": "policy"}
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await api.webhooks.ListWebhooks(
            ListWebhooksRequest(organization=studio.name), metadata=fresh.auth
        )


async def test_a_refused_token_neither_brings_back_nor_keeps_what_the_organization_gives_away(
    api: Api,
) -> None:
    studio = await Studio.open(api)
    owner, stranger = studio.people["owner"], await api.account()
    film, lost = await make_repository(studio), await make_repository(studio, "lost")
    request = RequestTransferRequest(repository=film.id, new_owner=stranger.username)
    await api.transfers.RequestTransfer(request, metadata=owner.auth)
    deletion = DeleteRepositoryRequest(repository=lost.id)
    await api.repositories.DeleteRepository(deletion, metadata=owner.auth)
    await set_policy(studio, needs_approval=True)
    token = await studio.make_token("repo:admin", "repo:delete", name="owner")

    async def bring_back(who: Account, repository_id: str) -> None:
        back = UndeleteRepositoryRequest(repository_id=repository_id)
        await api.repositories.UndeleteRepository(back, metadata=who.auth)

    async def cancel(who: Account) -> None:
        cancellation = CancelTransferRequest(repository_id=film.id)
        await api.transfers.CancelTransfer(cancellation, metadata=who.auth)

    # One that is there is told to nobody either.
    attempts = (bring_back(token, lost.id), bring_back(token, film.id), cancel(token))
    for call in attempts:
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await call
    let_in = await studio.make_token("repo:admin", "repo:delete", name="owner")
    await studio.approve(owner, let_in)
    for repository in (lost, film):
        await bring_back(let_in, repository.id)
    await cancel(let_in)


async def test_what_a_token_lists_names_nothing_of_an_organization_that_refuses_it(
    api: Api,
) -> None:
    studio = await Studio.open(api)
    owner = studio.people["owner"]
    open_studio = await Studio.open(api)
    await open_studio.join("member", owner)
    film, trailer = await make_repository(studio), await make_repository(studio, "trailer", PUBLIC)
    own = await api.repository(owner)
    for repository in (film, trailer, own):
        await api.notifications.FollowBranch(
            FollowBranchRequest(repository=repository.id, branch="main"), metadata=owner.auth
        )
    await set_policy(studio, needs_approval=True)
    token = await studio.make_token("org:read", "user:read", name="owner")

    async def list_all(who: Account) -> tuple[set[str], set[str]]:
        organizations = await api.organizations.ListOrganizations(
            ListOrganizationsRequest(), metadata=who.auth
        )
        followed = await api.notifications.ListFollowedBranches(
            ListFollowedBranchesRequest(), metadata=who.auth
        )
        return (
            {each.name for each in organizations.organizations},
            {each.repository_id for each in followed.branches},
        )

    everything = {studio.name, open_studio.name}, {film.id, trailer.id, own.id}
    assert await list_all(owner) == everything
    assert await list_all(token) == ({open_studio.name}, {trailer.id, own.id})
    let_in = await studio.make_token("org:read", "user:read", name="owner")
    await studio.approve(owner, let_in)
    assert await list_all(let_in) == everything
