"""What each role may do: the table of docs/permissions.md."""

from __future__ import annotations

from enum import Enum, auto

from dits.auth.v1.organization_service_pb2 import OrganizationRole

from shared.errors import invalid_field

_PREFIX = "ORGANIZATION_ROLE_"
# The names under which the database knows them.
NAMES: dict[OrganizationRole.ValueType, str] = {
    value: name.removeprefix(_PREFIX).lower()
    for name, value in OrganizationRole.items()
    if value != OrganizationRole.ORGANIZATION_ROLE_UNSPECIFIED
}
ROLES = {name: value for value, name in NAMES.items()}
OWNER, ADMIN, MEMBER, BILLING = "owner", "admin", "member", "billing"


class Right(Enum):
    """What members can do."""

    LEAVE = auto()
    SEE = auto()
    CHANGE_PROFILE = auto()
    CHANGE_BILLING_ADDRESS = auto()
    CHANGE_SECURITY = auto()
    RENAME = auto()
    DELETE = auto()
    MANAGE_MEMBERS = auto()
    MANAGE_OWNERS = auto()
    MANAGE_TEAMS = auto()
    MANAGE_TOKENS = auto()


# The roles that may, the highest first.
HOLDERS: dict[Right, tuple[str, ...]] = {
    Right.LEAVE: (OWNER, ADMIN, MEMBER, BILLING),
    Right.SEE: (OWNER, ADMIN, MEMBER, BILLING),
    Right.CHANGE_PROFILE: (OWNER, ADMIN),
    Right.CHANGE_BILLING_ADDRESS: (OWNER, ADMIN, BILLING),
    Right.CHANGE_SECURITY: (OWNER, ADMIN),
    Right.RENAME: (OWNER,),
    Right.DELETE: (OWNER,),
    Right.MANAGE_MEMBERS: (OWNER, ADMIN),
    Right.MANAGE_OWNERS: (OWNER,),
    Right.MANAGE_TEAMS: (OWNER, ADMIN),
    Right.MANAGE_TOKENS: (OWNER, ADMIN),
}
# Those that need a recent proof of identity as well.
NEED_SUDO = frozenset({Right.CHANGE_SECURITY, Right.RENAME, Right.DELETE, Right.MANAGE_OWNERS})


def parse_role(field: str, role: OrganizationRole.ValueType) -> str:
    """Returns the name of a role. Raises INVALID_FIELD."""
    if role not in NAMES:
        raise invalid_field(field, "must be owner, admin, member or billing")
    return NAMES[role]
