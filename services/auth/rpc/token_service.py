"""API tokens of the caller."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from dits.auth.v1 import token_service_pb2 as pb

from services.auth.access.decisions import LocalAccess
from services.auth.credentials import api_tokens
from services.auth.credentials.leaked_credentials import end_leaked
from services.auth.organizations.token_approval import ask_for_approval
from shared.db.pool import Connection, Database
from shared.errors import invalid_field
from shared.formats import credentials
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call, RepositoryAccess
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

MAX_REPOSITORIES = 100


class TokenService:
    """The RPCs of dits.auth.v1.TokenService."""

    def __init__(
        self, database: Database, writes: IdempotentWrites, key: ServerKey, access: LocalAccess
    ) -> None:
        self._database = database
        self._writes = writes
        self._key = key
        self._access = access

    async def CreateToken(
        self, request: pb.CreateTokenRequest, call: Call
    ) -> pb.CreateTokenResponse:
        """Creates a token and returns its secret, this once."""
        return await self._writes.find_or_make(
            call, Repeatable.of(request), pb.CreateTokenResponse, partial(self._make, request, call)
        )

    async def ListTokens(self, request: pb.ListTokensRequest, call: Call) -> pb.ListTokensResponse:
        """Lists live tokens of the caller."""
        page = Page(self._key, request, call)
        after = (datetime.fromisoformat(page.after[0]), UUID(page.after[1])) if page.after else None
        found = await api_tokens.list_tokens(
            self._database, call.caller.user_id, after, page.size + 1
        )
        rows, token = page.answer(
            found, lambda row: (row["created_at"].isoformat(), str(row["id"]))
        )
        return pb.ListTokensResponse(
            tokens=map(api_tokens.describe_token, rows), next_page_token=token
        )

    async def RenameToken(
        self, request: pb.RenameTokenRequest, call: Call
    ) -> pb.RenameTokenResponse:
        """Gives a token of the caller another name."""
        token_id = validation.uuid("token_id", request.token_id)
        name = api_tokens.parse_name(request.name)
        renamed = await self._database.transaction(
            partial(api_tokens.rename_token, call=call, token_id=token_id, name=name)
        )
        return pb.RenameTokenResponse(token=renamed)

    async def RevokeToken(
        self, request: pb.RevokeTokenRequest, call: Call
    ) -> pb.RevokeTokenResponse:
        """Ends a token of the caller; a token may always end itself."""
        token_id = validation.uuid("token_id", request.token_id)
        if token_id != call.caller.credential_id:
            call.caller.require_scope("user:write")
            call.caller.require_unlimited()
        await self._database.transaction(
            partial(
                api_tokens.revoke_token,
                call=call,
                user_id=call.caller.user_id,
                token_id=token_id,
            )
        )
        return pb.RevokeTokenResponse()

    async def ReportLeakedToken(
        self, request: pb.ReportLeakedTokenRequest, call: Call
    ) -> pb.ReportLeakedTokenResponse:
        """Ends the credential of a secret, whoever holds it."""
        if not credentials.well_formed(request.secret):
            raise invalid_field("secret", "is no token that a dits server has made")
        await self._database.transaction(
            partial(end_leaked, call=call, key=self._key, secret=request.secret)
        )
        return pb.ReportLeakedTokenResponse()

    async def _make(self, request: pb.CreateTokenRequest, call: Call) -> pb.CreateTokenResponse:
        """Returns a new token. What it is limited to may be gone when a call is repeated."""
        parent = await api_tokens.find_parent(self._database, call.caller)
        grant = api_tokens.TokenGrant.parse(request, call.caller, parent)
        repositories = await self._find_repositories(list(request.repositories), call)

        async def create(connection: Connection) -> pb.CreateTokenResponse:
            made = await api_tokens.create_token(connection, call, grant, repositories)
            await ask_for_approval(connection, call, made.token, repositories)
            return made

        return await self._writes.once(call, Repeatable.of(request), pb.CreateTokenResponse, create)

    async def _find_repositories(self, names: list[str], call: Call) -> list[RepositoryAccess]:
        """Returns the repositories that a token is limited to; none = not limited."""
        validation.count("repositories", names, MAX_REPOSITORIES, least=0)
        found = []
        for name in names:
            validation.repository_address("repositories", name)
            repository = (await self._access.resolve(call.token, name, 0)).repository
            assert repository is not None  # noqa: S101  one was named
            found.append(repository)
        return found
