"""Access decisions: who a token belongs to and what it may do with a repository."""

from __future__ import annotations

from uuid import UUID

from dits.auth.v1 import access_service_pb2 as pb

from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import not_found, unauthenticated
from shared.formats import credentials
from shared.rpc import validation
from shared.rpc.call import Access, Call, Caller, RepositoryAccess
from shared.rpc.policy import Permission

Q = sql.load(__file__)
FLUSH_SECONDS = 5.0


class LocalAccess:
    """Answers from the database, every time anew: every other service's cache relies on it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used_sessions: set[UUID] = set()
        self._used_tokens: set[UUID] = set()

    async def resolve(self, token: str | None, repository: str, max_age: float) -> Access:
        """See AccessResolver; the answer has no age."""
        del max_age
        async with self._database.connection() as connection:
            caller, only = await self._caller(connection, token)
            if not repository:
                return Access(caller, None)
            return Access(caller, await self._repository(connection, caller, only, repository))

    async def _caller(
        self, connection: Connection, token: str | None
    ) -> tuple[Caller | None, frozenset[UUID] | None]:
        """The caller, and the only repositories that an API token reaches (None = all)."""
        if token is None:
            return None, None
        row = None
        if credentials.well_formed(token):
            row = await connection.fetchrow(Q.credential, credentials.token_hash(token))
        if row is None:
            raise unauthenticated()
        if row["touch"]:
            (self._used_sessions if row["is_session"] else self._used_tokens).add(row["id"])
        scopes = None if row["is_session"] else row["scopes"]
        only = None if row["repository_ids"] is None else frozenset(row["repository_ids"])
        return Caller.of(row["user_id"], row["username"], row["id"], scopes), only

    async def _repository(
        self,
        connection: Connection,
        caller: Caller | None,
        only: frozenset[UUID] | None,
        repository: str,
    ) -> RepositoryAccess:
        """The repository, if the caller may see it."""
        address = validation.repository_address("repository", repository)
        by_id, owner, name = (
            (address, None, None) if isinstance(address, UUID) else (None, *address)
        )
        user_id = caller.user_id if caller else None
        row = await connection.fetchrow(Q.repository, user_id, by_id, owner, name)
        visible = row is not None and row["permission"] > 0
        if row is None or not visible or (only is not None and row["id"] not in only):
            # The anonymous are asked to log in, whether the repository exists or not.
            raise unauthenticated() if caller is None else not_found("repository", repository)
        return RepositoryAccess(
            row["id"], row["owner"], row["name"], Permission(row["permission"]), row["read_only"]
        )

    async def flush(self) -> None:
        """Writes down which credentials were used since the last flush."""
        sessions, self._used_sessions = self._used_sessions, set()
        tokens, self._used_tokens = self._used_tokens, set()
        async with self._database.connection() as connection:
            if sessions:
                await connection.execute(Q.touch_sessions, list(sessions))
            if tokens:
                await connection.execute(Q.touch_tokens, list(tokens))


class AccessService:
    """The RPCs of dits.auth.v1.AccessService."""

    def __init__(self, access: LocalAccess) -> None:
        self._access = access

    async def CheckAccess(
        self, request: pb.CheckAccessRequest, call: Call
    ) -> pb.CheckAccessResponse:
        """Answers about the credential of the call itself."""
        access = await self._access.resolve(call.token, request.repository, 0)
        response = pb.CheckAccessResponse()
        if access.caller is not None:
            response.caller.CopyFrom(_caller_message(access.caller))
        if access.repository is not None:
            found = access.repository
            response.repository.CopyFrom(
                pb.RepositoryAccess(
                    repository_id=str(found.id),
                    owner=found.owner,
                    name=found.name,
                    permission=found.permission.value,  # type: ignore[arg-type]
                    read_only=found.read_only,
                )
            )
        return response


def _caller_message(caller: Caller) -> pb.Caller:
    kind = pb.CREDENTIAL_TYPE_SESSION if caller.is_session else pb.CREDENTIAL_TYPE_API_TOKEN
    return pb.Caller(
        user_id=str(caller.user_id),
        username=caller.username,
        credential_type=kind,
        credential_id=str(caller.credential_id),
        scopes=sorted(caller.scopes or ()),
    )
