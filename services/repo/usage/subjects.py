"""Whose usage a request is about, and whether the caller may see it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection
from shared.errors import mfa_required, not_found, permission_missing, wrong_cell
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

_MAY_SEE = frozenset({"owner", "admin", "billing"})


@dataclass(frozen=True, slots=True)
class Subject:
    """A user, repository or organisation.

    Attributes:
        type: `user`, `repository` or `organization`.
        name: `owner/name` of a repository, else the name.
    """

    type: str
    id: UUID
    name: str


async def find_organization(
    connection: Connection, organization: str, call: Call, cell: int
) -> Subject:
    """Returns an organisation, named by UUID or name, whose usage the caller may see.

    Raises INVALID_FIELD, SCOPE_MISSING, NOT_FOUND, WRONG_CELL, TOKEN_REFUSED, MFA_REQUIRED or
    PERMISSION_MISSING.
    """
    call.caller.require_scope("org:read")
    by_id, name = validation.id_or_name("organization", organization)
    row = await connection.fetchrow(Q.organization, by_id, name, call.caller.user_id)
    if row is None:
        raise not_found("organization", organization)
    if row["cell"] != cell:
        raise wrong_cell(row["cell"], cell)
    call.caller.require_entry(row["owner_id"], row["name"])
    if row["role"] and row["mfa_missing"]:
        raise mfa_required(row["name"])
    if row["role"] not in _MAY_SEE:
        raise permission_missing("billing", row["role"] or "none")
    return Subject("organization", row["owner_id"], row["name"])


def find_own(call: Call) -> Subject:
    """Returns what the caller may see of itself. Raises SCOPE_MISSING."""
    if call.access.repository is None:
        call.caller.require_scope("user:read")
        return Subject("user", call.caller.user_id, call.caller.username)
    call.caller.require_scope("repo:read")
    repository = call.repository
    return Subject("repository", repository.id, f"{repository.owner}/{repository.name}")
