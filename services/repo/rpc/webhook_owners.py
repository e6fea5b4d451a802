"""Whose webhooks a request is about: a repository's, which the chain has judged, or an organisation's."""

from __future__ import annotations

from typing import Protocol

from services.repo.repositories.owners import resolve_owner
from services.repo.webhooks.management import WebhookOwner
from shared.db.pool import Database, Databases
from shared.errors import not_found, wrong_cell
from shared.rpc.call import Call


class OwnedRequest(Protocol):
    """A request that names a repository or an organisation."""

    repository: str
    organization: str


class WebhookOwners:
    """Finds the owner of webhooks that a request names, and the database that has them."""

    def __init__(self, database: Database, databases: Databases, cell: int) -> None:
        """`database` has the webhooks of organisations, whose cell is `cell`."""
        self._database = database
        self._databases = databases
        self._cell = cell

    def database(self, owner: WebhookOwner) -> Database:
        """Returns the database of an owner's webhooks."""
        if owner.repository_id is None:
            return self._database
        return self._databases.of(owner.repository_id)

    async def find_owner(self, request: OwnedRequest, call: Call, scope: str) -> WebhookOwner:
        """Returns the owner. Of an organisation, an API token needs `scope`, too, and the caller ADMIN.

        Raises SCOPE_MISSING, NOT_FOUND, WRONG_CELL or PERMISSION_MISSING.
        """
        if not request.organization:
            return WebhookOwner(repository_id=call.repository.id)
        call.caller.require_scope(scope)
        async with self._database.connection() as connection:
            found = await resolve_owner(
                connection, request.organization, call.caller, "organization"
            )
        if found.type != "organization":
            raise not_found("organization", request.organization)
        if found.cell != self._cell:
            raise wrong_cell(found.cell, self._cell)
        found.require_admin()
        return WebhookOwner(organization_id=found.id)
