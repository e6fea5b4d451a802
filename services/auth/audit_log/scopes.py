"""Whose audit events a caller may read: the own, those of a repository, an organisation, or the site."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from dits.auth.v1 import audit_service_pb2 as pb

from services.auth.access.decisions import LocalAccess
from shared.db import sql
from shared.db.pool import Database
from shared.errors import mfa_required, not_found, permission_missing
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.policy import Permission

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class AuditScope:
    """Whose events: those that fit each field that is not None.

    Attributes:
        shows_origin: with addresses and programs, which administrators do not see of others.
        refused_by: organisations of which it shows nothing, because they do not let the token in.
    """

    actor_id: UUID | None = None
    repository_id: UUID | None = None
    organization_id: UUID | None = None
    shows_origin: bool = False
    refused_by: frozenset[UUID] = frozenset()


class AuditScopes:
    """Judges what a caller may read."""

    def __init__(self, database: Database, access: LocalAccess) -> None:
        self._database = database
        self._access = access

    async def resolve(self, asked: pb.AuditFilter, call: Call) -> AuditScope:
        """Returns the scope. Raises NOT_FOUND, PERMISSION_MISSING or SCOPE_MISSING for strangers."""
        match asked.WhichOneof("scope"):
            case "repository":
                return await self._of_repository(asked.repository, call)
            case "organization":
                return await self._of_organization(asked.organization, call)
            case "site" if asked.site:
                call.caller.require_site_admin()
                return AuditScope(shows_origin=True)
        call.caller.require_scope("user:read")
        call.caller.require_unlimited()
        caller = call.caller
        return AuditScope(caller.user_id, shows_origin=True, refused_by=caller.refused_by)

    async def _of_repository(self, name: str, call: Call) -> AuditScope:
        validation.repository_address("filter.repository", name)
        repository = (await self._access.resolve(call.token, name, 0)).repository
        if repository is None:
            raise not_found("repository", name)
        call.caller.require_scope("repo:admin")
        repository.require(Permission.ADMIN)
        return AuditScope(repository_id=repository.id)

    async def _of_organization(self, organization: str, call: Call) -> AuditScope:
        by_id, name = validation.id_or_name("filter.organization", organization)
        caller = call.caller
        row = await self._database.fetchrow(Q.membership, by_id, name, caller.user_id)
        if row is None or caller.reach is not None:
            raise not_found("organization", organization)
        caller.require_scope("org:admin")
        caller.require_entry(row["id"], row["name"])
        if row["mfa_missing"]:
            raise mfa_required(row["name"])
        if not row["is_admin"]:
            raise permission_missing(Permission.ADMIN.name, row["role"])
        return AuditScope(organization_id=row["id"])
