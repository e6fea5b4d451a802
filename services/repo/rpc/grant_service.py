"""GrantService: rights on a repository that users and teams were given by name."""

from __future__ import annotations

from dits.repo.v1 import grant_service_pb2 as pb

from services.repo.repositories import grants
from services.repo.repositories.holding import hold_repository_of
from shared.db.pool import Connection, Databases, Row
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.rpc.policy import Permission
from shared.runtime.server_key import ServerKey


class GrantService:
    """The RPCs of dits.repo.v1.GrantService."""

    def __init__(self, databases: Databases, writes: IdempotentWrites, key: ServerKey) -> None:
        self._databases = databases
        self._writes = writes
        self._key = key

    async def SetGrant(self, request: pb.SetGrantRequest, call: Call) -> pb.SetGrantResponse:
        """Gives a user or a team a right."""
        level = grants.parse_permission(request.permission)

        async def set_grant(connection: Connection) -> pb.Grant:
            held = await hold_repository_of(connection, call)
            grantee = await grants.find_grantee(connection, held, request, active=True)
            row = await grants.set_grant(connection, call, held, grantee, level)
            return grants.describe_grant(row)

        given = await self._databases.of(call.repository.id).transaction(set_grant)
        return pb.SetGrantResponse(grant=given)

    async def RemoveGrant(
        self, request: pb.RemoveGrantRequest, call: Call
    ) -> pb.RemoveGrantResponse:
        """Takes a right back."""

        async def remove(connection: Connection) -> pb.RemoveGrantResponse:
            if request.team:
                # Before it is looked for: readers are not told which teams there are.
                call.repository.require(Permission.ADMIN)
            held = await hold_repository_of(connection, call)
            grantee = await grants.find_grantee(connection, held, request, active=False)
            if grantee.id != call.caller.user_id:
                call.repository.require(Permission.ADMIN)
            await grants.remove_grant(connection, call, held, grantee)
            return pb.RemoveGrantResponse()

        return await self._writes.once(call, Repeatable.of(request), pb.RemoveGrantResponse, remove)

    async def ListGrants(self, request: pb.ListGrantsRequest, call: Call) -> pb.ListGrantsResponse:
        """Returns a page of grants."""
        page = Page(self._key, request, call)
        async with self._databases.of(call.repository.id).connection() as connection:
            found = await grants.list_grants(
                connection, call.repository.id, page.after, page.size + 1
            )
        rows, token = page.answer(found, _position)
        return pb.ListGrantsResponse(grants=map(grants.describe_grant, rows), next_page_token=token)


def _position(row: Row) -> tuple[int, str]:
    return row["place"], row["name"].lower()
