"""Rules of organisations for API tokens, where a request names the organisation itself."""

from __future__ import annotations

from dits.auth.v1.audit_service_pb2 import AuditFilter, ListAuditEventsRequest
from dits.auth.v1.invitation_service_pb2 import ListInvitationsRequest
from dits.auth.v1.organization_service_pb2 import ListMembersRequest
from dits.auth.v1.team_service_pb2 import CreateTeamRequest
from dits.repo.v1.usage_service_pb2 import GetUsageRequest
from dits.repo.v1.webhook_service_pb2 import ListWebhooksRequest
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.organizations import Studio
from tests.support.tokens import set_policy


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
