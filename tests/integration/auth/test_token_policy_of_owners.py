"""Rules of organisations for API tokens, where a request names the organisation itself."""

from __future__ import annotations

import asyncio
from typing import cast

from dits.auth.v1.audit_service_pb2 import (
    AuditFilter,
    ExportAuditEventsRequest,
    ListAuditEventsRequest,
)
from dits.auth.v1.invitation_service_pb2 import ListInvitationsRequest
from dits.auth.v1.notification_service_pb2 import (
    FollowBranchRequest,
    GetUnreadCountRequest,
    ListFollowedBranchesRequest,
    ListNotificationsRequest,
    WatchRequest,
    WatchResponse,
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
from tests.support.audit import export_events, list_events
from tests.support.organizations import Studio
from tests.support.tokens import PUBLIC, make_repository, set_policy
from tests.support.waiting import PATIENCE_SECONDS


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


async def list_about(api: Api, who: Account, *, unread_only: bool) -> set[str]:
    """The repositories that the inbox tells of, page by page."""
    found: list[str] = []
    request = ListNotificationsRequest(unread_only=unread_only, page_size=1)
    while True:
        page = await api.notifications.ListNotifications(request, metadata=who.auth)
        found += [each.repository_id for each in page.notifications]
        request.page_token = page.next_page_token
        if not request.page_token:
            assert len(found) == len(set(found))
            return set(found)


async def watch_about(api: Api, who: Account, cursor: str) -> tuple[set[str], int]:
    """The repositories that a watch tells of, up to what is about none, and the unread ones."""
    found: set[str] = set()
    call = api.notifications.Watch(WatchRequest(cursor=cursor), metadata=who.auth)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "" not in found:
            message = cast(WatchResponse, await call.read())
            found.add(message.notification.repository_id)
    call.cancel()
    return found, message.unread_count


async def test_a_refused_token_reads_no_notifications_about_what_it_may_not_read(api: Api) -> None:
    studio = await Studio.open(api)
    owner = studio.people["owner"]
    film, trailer = await make_repository(studio), await make_repository(studio, "trailer", PUBLIC)
    about = {film.id, trailer.id, (await api.repository(owner)).id}
    call = api.notifications.Watch(WatchRequest(), metadata=owner.auth)
    cursor = cast(WatchResponse, await call.read()).cursor
    call.cancel()
    await api.fetch("INSERT INTO inboxes (user_id, last_number) VALUES ($1, 4)", owner.id)
    await api.fetch(
        """INSERT INTO notifications (user_id, number, type, source_id, repo_id, title, message, link)
           SELECT $1, n, 'push', gen_random_uuid(), r::uuid, 'T', 'M', '/'
           FROM unnest($2::text[]) WITH ORDINALITY u (r, n)""",
        owner.id,
        [*sorted(about), None],
    )
    await set_policy(studio, needs_approval=True)
    token = await studio.make_token("user:read", name="owner")
    for who, expected in ((owner, about), (token, about - {film.id})):
        for unread_only in (False, True):
            assert await list_about(api, who, unread_only=unread_only) == {*expected, ""}
        assert await watch_about(api, who, cursor) == ({*expected, ""}, len(expected) + 1)
        count = await api.notifications.GetUnreadCount(GetUnreadCountRequest(), metadata=who.auth)
        assert count.unread_count == len(expected) + 1


async def test_a_refused_token_reads_nothing_of_what_its_owner_did_in_the_organization(
    api: Api,
) -> None:
    studio = await Studio.open(api)
    owner = studio.people["owner"]
    film, own = await make_repository(studio), await api.repository(owner)
    token = await studio.make_token("user:read", name="owner")

    async def list_about() -> tuple[set[str], set[str]]:
        """The repositories and organisations of what the owner did, as the token reads it."""
        found = await list_events(api, token)
        exported = await export_events(api, token, ExportAuditEventsRequest())
        assert [event for response in exported for event in response.events] == found
        return (
            {event.repository_id for event in found},
            {event.organization_id for event in found},
        )

    assert await list_about() == ({film.id, own.id, ""}, {studio.id, ""})
    await set_policy(studio, needs_approval=True)
    assert await list_about() == ({own.id}, {""})
