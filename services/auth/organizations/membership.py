"""The caller's place in the organisation that a request names."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from services.auth.organizations.roles import HOLDERS, NEED_SUDO, Right
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import mfa_required, not_found, permission_missing
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class Membership:
    """A member of an organisation.

    Attributes:
        name: of the organisation, as it is now.
        role: as the database knows it.
        call: by which the member acts.
        has_mfa: whether the account has a second factor.
    """

    organization_id: UUID
    name: str
    user_id: UUID
    role: str
    call: Call = field(repr=False, compare=False)
    has_mfa: bool

    def may(self, right: Right) -> bool:
        """Returns whether the member has a right."""
        return self.role in HOLDERS[right]

    def require(self, right: Right) -> None:
        """Raises PERMISSION_MISSING unless the member has a right, SUDO_REQUIRED if it needs sudo."""
        if not self.may(right):
            raise permission_missing(" or ".join(HOLDERS[right]), self.role)
        if right in NEED_SUDO:
            self.call.require_sudo()


async def find_membership(
    connection: Connection, organization: str, call: Call, right: Right = Right.SEE
) -> Membership:
    """Returns the caller's membership in an organisation, named by UUID or name.

    Raises INVALID_FIELD, NOT_FOUND for strangers, PERMISSION_MISSING, SUDO_REQUIRED, MFA_REQUIRED, and
    TOKEN_REFUSED for a token that the organisation does not let in.
    """
    by_id, name = validation.id_or_name("organization", organization)
    user_id = call.caller.user_id
    row = await connection.fetchrow(Q.membership, user_id, by_id, name)
    if row is None:
        raise not_found("organization", organization)
    call.caller.require_entry(row["id"], row["name"])
    if row["withheld"] and right is not Right.LEAVE:
        raise mfa_required(row["name"])
    found = Membership(row["id"], row["name"], user_id, row["role"], call, row["mfa_enabled"])
    found.require(right)
    return found


async def lock_membership(
    connection: Connection, organization: str, call: Call, right: Right = Right.SEE
) -> Membership:
    """Returns what `find_membership` does; nobody else changes the members until the transaction ends."""
    found = await find_membership(connection, organization, call, Right.LEAVE)
    await lock_organization(connection, found.organization_id)
    # Another transaction may have changed it before the lock was got.
    return await find_membership(connection, str(found.organization_id), call, right)


async def lock_organization(connection: Connection, organization_id: UUID) -> None:
    """Waits for those who change the organisation or its members, and keeps others out."""
    await connection.execute(Q.lock_organization, organization_id)
