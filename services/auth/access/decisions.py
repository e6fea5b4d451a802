"""Access decisions: who a token belongs to and what it may do with a repository."""

from __future__ import annotations

from uuid import UUID

from services.auth.access.credential_uses import CredentialUses
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import not_found, unauthenticated
from shared.formats import credentials
from shared.rpc import validation
from shared.rpc.call import Access, Caller, RepositoryAccess
from shared.rpc.policy import Permission

Q = sql.load(__file__)


class LocalAccess:
    """Decides from the database at every call; the caches of the other services rely on that.

    Attributes:
        uses: which credentials it has seen, to be stored.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.uses = CredentialUses()

    async def resolve(self, token: str | None, repository: str, max_age: float) -> Access:
        """See AccessResolver; the answer has no age."""
        del max_age
        async with self._database.connection() as connection:
            caller = await self._caller(connection, token)
            if not repository:
                return Access(caller, None)
            return Access(caller, await self._repository(connection, caller, repository))

    async def _caller(self, connection: Connection, token: str | None) -> Caller | None:
        """Returns the caller; None if anonymous. Raises UNAUTHENTICATED."""
        if token is None:
            return None
        row = None
        if credentials.well_formed(token):
            row = await connection.fetchrow(Q.credential, credentials.token_hash(token))
        if row is None:
            raise unauthenticated()
        if row["touch"]:
            self.uses.add(row["id"], is_session=row["is_session"])
        scopes = None if row["is_session"] else row["scopes"]
        reach = None if row["repository_ids"] is None else frozenset(row["repository_ids"])
        return Caller.of(row["user_id"], row["username"], row["id"], scopes, reach)

    async def _repository(
        self, connection: Connection, caller: Caller | None, repository: str
    ) -> RepositoryAccess:
        """Returns the repository. Raises NOT_FOUND or UNAUTHENTICATED if the caller may not see it."""
        address = validation.repository_address("repository", repository)
        by_id, owner, name = (
            (address, None, None) if isinstance(address, UUID) else (None, *address)
        )
        user_id = caller.user_id if caller else None
        row = await connection.fetchrow(Q.repository, user_id, by_id, owner, name)
        visible = row is not None and row["permission"] > 0
        reach = caller.reach if caller else None
        if row is None or not visible or (reach is not None and row["id"] not in reach):
            # Anonymous callers are asked to log in, whether the repository exists or not.
            raise unauthenticated() if caller is None else not_found("repository", repository)
        return RepositoryAccess(
            row["id"],
            row["owner"],
            row["name"],
            Permission(row["permission"]),
            row["read_only"],
            row["cell"],
            row["organization_id"],
        )
