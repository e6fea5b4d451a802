"""API tokens on the repositories of an organisation, for its owners and administrators."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from dits.auth.v1 import organization_token_service_pb2 as pb

from services.auth.organizations import token_approval
from services.auth.organizations.membership import find_membership, lock_membership
from services.auth.organizations.roles import Right
from shared.db.pool import Connection, Database
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey


class OrganizationTokenService:
    """The RPCs of dits.auth.v1.OrganizationTokenService."""

    def __init__(self, database: Database, key: ServerKey) -> None:
        self._database = database
        self._key = key

    async def ListOrganizationTokens(
        self, request: pb.ListOrganizationTokensRequest, call: Call
    ) -> pb.ListOrganizationTokensResponse:
        """Lists the tokens that could reach the organisation's repositories."""
        page = Page(self._key, request, call)
        wanted = token_approval.TokenFilter.parse(request.status)
        after = (datetime.fromisoformat(page.after[0]), UUID(page.after[1])) if page.after else None
        async with self._database.connection() as connection:
            membership = await find_membership(
                connection, request.organization, call, Right.MANAGE_TOKENS
            )
            found = await token_approval.list_organization_tokens(
                connection, membership, wanted, after, page.size + 1
            )
        rows, token = page.answer(
            found, lambda row: (row["created_at"].isoformat(), str(row["id"]))
        )
        return pb.ListOrganizationTokensResponse(
            tokens=map(token_approval.describe_organization_token, rows), next_page_token=token
        )

    async def ApproveToken(
        self, request: pb.ApproveTokenRequest, call: Call
    ) -> pb.ApproveTokenResponse:
        """Lets a token in."""
        return pb.ApproveTokenResponse(
            token=await self._decide(request.organization, request.token_id, call, approved=True)
        )

    async def RejectToken(
        self, request: pb.RejectTokenRequest, call: Call
    ) -> pb.RejectTokenResponse:
        """Keeps a token out."""
        return pb.RejectTokenResponse(
            token=await self._decide(request.organization, request.token_id, call, approved=False)
        )

    async def _decide(
        self, organization: str, token: str, call: Call, *, approved: bool
    ) -> pb.OrganizationToken:
        token_id = validation.uuid("token_id", token)

        async def decide(connection: Connection) -> pb.OrganizationToken:
            membership = await lock_membership(connection, organization, call, Right.MANAGE_TOKENS)
            row = await token_approval.decide_on_token(
                connection, call, membership, token_id, approved=approved
            )
            return token_approval.describe_organization_token(row)

        return await self._database.transaction(decide)
