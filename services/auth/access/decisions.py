"""Access decisions: who a token belongs to and what it may do with a repository."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from services.auth.access.credential_uses import CredentialUses
from shared.db import sql
from shared.db.pool import Database, Row
from shared.errors import DomainError, mfa_required, not_found, token_refused, unauthenticated
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

    async def resolve(
        self,
        token: str | None,
        repository: str,
        max_age: float,
        address: str | None = None,
        *,
        is_open: bool = False,
    ) -> Access:
        """See AccessResolver; the answer has no age. All of it is asked in one statement."""
        del max_age
        hashed = None if token is None else _hash(token)
        try:
            where = _locate(repository) if repository else None
        except DomainError:
            # A bad credential is told first.
            await self._find_caller(token, hashed, address, is_open)
            raise
        if where is None:
            return Access(await self._find_caller(token, hashed, address, is_open), None)
        query = Q.bind.access(token_hash=hashed, is_open=is_open, **where)
        row = cast(Row, await self._database.fetchrow(*query))
        caller = self._read_caller(token, row, address)
        return Access(caller, _read_repository(caller, repository, row))

    async def _find_caller(
        self, token: str | None, hashed: str | None, address: str | None, is_open: bool
    ) -> Caller | None:
        """Returns the caller; None if anonymous. Raises UNAUTHENTICATED."""
        if token is None:
            return None
        row = await self._database.fetchrow(Q.credential, hashed, is_open)
        return self._read_caller(token, row, address)

    def _read_caller(
        self, token: str | None, row: Row | None, address: str | None
    ) -> Caller | None:
        """Returns the caller of a row, and notes the use; None if anonymous. Raises UNAUTHENTICATED."""
        if token is None:
            return None
        if row is None or row["user_id"] is None:
            raise unauthenticated()
        if row["touch"]:
            self.uses.add(row["id"], address, is_session=row["is_session"])
        scopes = None if row["is_session"] else row["scopes"]
        reach = None if row["repository_ids"] is None else frozenset(row["repository_ids"])
        return Caller.of(
            row["user_id"],
            row["username"],
            row["id"],
            scopes,
            reach,
            row["sudo_seconds"],
            frozenset(row["refused_by"] or ()),
        )


def _hash(token: str) -> str:
    """Returns what the database knows a token by. Raises UNAUTHENTICATED if it is nobody's for sure."""
    if not credentials.well_formed(token):
        raise unauthenticated()
    return credentials.token_hash(token)


def _locate(repository: str) -> dict[str, UUID | str | None]:
    """Returns a repository as the query takes it. Raises INVALID_FIELD."""
    address = validation.repository_address("repository", repository)
    if isinstance(address, UUID):
        return {"id": address, "owner": None, "name": None}
    return {"id": None, "owner": address[0], "name": address[1]}


def _read_repository(caller: Caller | None, repository: str, row: Row) -> RepositoryAccess:
    """Returns the repository of a row. Raises NOT_FOUND or UNAUTHENTICATED if the caller may not see it."""
    reach = caller.reach if caller else None
    found: UUID | None = row["repository_id"]
    is_reached = found is not None and (reach is None or found in reach)
    if is_reached and row["permission"] == 0 < row["withheld"]:
        raise mfa_required(row["owner"])
    if found is None or not is_reached or row["permission"] == 0:
        # Anonymous callers are asked to log in, whether the repository exists or not.
        raise unauthenticated() if caller is None else not_found("repository", repository)
    if row["refusal"] is not None and not row["is_public"]:
        raise token_refused(row["owner"], row["refusal"])
    permission = Permission(row["permission"])
    if row["refusal"] is not None:
        permission = Permission.READ
    return RepositoryAccess(
        found,
        row["owner"],
        row["name"],
        permission,
        row["read_only"],
        row["cell"],
        row["organization_id"],
        Permission(row["withheld"]),
    )
