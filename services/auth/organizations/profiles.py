"""What organisations say about themselves, and what they decide for their members."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dits.auth.v1 import organization_service_pb2 as pb
from dits.common.v1.permission_pb2 import Permission

from services.auth.logins import parse_email
from services.auth.organizations.roles import ROLES, Right
from shared.db.pool import Row
from shared.errors import invalid_field
from shared.rpc import validation
from shared.rpc.policy import REPOSITORY_SCOPES, expand

MAX_URL = 2_000
MAX_DESCRIPTION_BYTES = 4_096
# Printable ASCII without what programs read in different ways; a percent sign begins an encoded byte.
_CHARACTERS = re.compile(r"(?:[!#$&-;=?-\[\]_a-z~]|%[0-9A-Fa-f]{2})+")
_URL = re.compile(r"https?://(?P<authority>[^/?#]*)(?:[/?#].*)?")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_AUTHORITY = re.compile(
    rf"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>{_LABEL}(?:\.{_LABEL})*))(?::(?P<port>[0-9]{{1,5}}))?"
)
# Values of the setting member_permission, which the function membership_level reads.
_PERMISSIONS = {
    Permission.PERMISSION_UNSPECIFIED: "none",
    Permission.PERMISSION_READ: "read",
    Permission.PERMISSION_WRITE: "write",
    Permission.PERMISSION_ADMIN: "admin",
}
_LEVELS = {name: value for value, name in _PERMISSIONS.items()}
_SETTINGS = "settings."
MAX_TOKEN_DAYS = 366


def _parse_display_name(field: str, value: str) -> str:
    return validation.text(field, value, least=1, most=255)


def _parse_description(field: str, value: str) -> str:
    return validation.prose(field, value, most_bytes=MAX_DESCRIPTION_BYTES)


def parse_url(field: str, value: str) -> str:
    """Returns a web address, which names no user or password; empty = none. Raises INVALID_FIELD."""
    validation.text(field, value, most=MAX_URL)
    if not value:
        return value
    match = _URL.fullmatch(value)
    if match is None:
        raise invalid_field(field, "must be an address that begins with https:// or http://")
    if not _CHARACTERS.fullmatch(value):
        raise invalid_field(field, "must be printable ASCII; encode other characters with %")
    if "@" in match["authority"]:
        raise invalid_field(field, "must not have a user or password")
    if not _is_authority(match["authority"]):
        raise invalid_field(field, "must have the form https://host/path")
    return value


def _is_authority(text: str) -> bool:
    """Returns whether a text names a host and, if it likes, a port."""
    match = _AUTHORITY.fullmatch(text)
    if match is None or not 1 <= int(match["port"] or 1) <= 65535:
        return False
    if match["ipv6"] is None:
        return len(match["name"]) <= 253
    try:
        return bool(ipaddress.IPv6Address(match["ipv6"]))
    except ValueError:
        return False


def _parse_address(field: str, value: str) -> str:
    return parse_email(field, value) if value else ""


def _parse_permission(field: str, value: Permission.ValueType) -> str:
    if value not in _PERMISSIONS:
        raise invalid_field(field, "is not a permission")
    return _PERMISSIONS[value]


def _parse_token_policy(field: str, value: pb.TokenPolicy) -> dict[str, Any] | None:
    """Returns the policy as the function token_refusal() reads it; None = there are no rules."""
    if not 0 <= value.longest_days <= MAX_TOKEN_DAYS:
        raise invalid_field(f"{field}.longest_days", f"must be 0 to {MAX_TOKEN_DAYS}")
    for scope in value.allowed_scopes:
        if scope not in REPOSITORY_SCOPES:
            raise invalid_field(f"{field}.allowed_scopes", "must name scopes for repositories")
    rules = {
        "longest_days": value.longest_days,
        "allowed_scopes": sorted(expand(frozenset(value.allowed_scopes))),
        "needs_approval": value.needs_approval,
    }
    return {name: rule for name, rule in rules.items() if rule} or None


def _take_flag(field: str, value: bool) -> bool:
    del field
    return value


# The fields that can be changed, with the function that judges the new value, and the right that it takes.
_FIELDS: dict[str, tuple[Callable[[str, Any], Any], Right]] = {
    "name": (validation.username, Right.RENAME),
    "display_name": (_parse_display_name, Right.CHANGE_PROFILE),
    "description": (_parse_description, Right.CHANGE_PROFILE),
    "avatar_url": (parse_url, Right.CHANGE_PROFILE),
    "email": (_parse_address, Right.CHANGE_PROFILE),
    "website": (parse_url, Right.CHANGE_PROFILE),
    "billing_email": (_parse_address, Right.CHANGE_BILLING_ADDRESS),
    "settings.member_permission": (_parse_permission, Right.CHANGE_PROFILE),
    "settings.require_mfa": (_take_flag, Right.CHANGE_SECURITY),
    "settings.token_policy": (_parse_token_policy, Right.CHANGE_SECURITY),
}


@dataclass(frozen=True, slots=True)
class OrganizationChange:
    """New values of some fields, by path.

    Attributes:
        rights: that the caller needs.
    """

    values: dict[str, Any]
    rights: frozenset[Right]

    @classmethod
    def parse(cls, request: pb.UpdateOrganizationRequest) -> OrganizationChange:
        """Returns what a request asks for. Raises INVALID_FIELD."""
        paths = list(request.update_mask.paths)
        if not paths:
            raise invalid_field("update_mask", "must name at least one field")
        values, rights = {}, set()
        for path in paths:
            if path not in _FIELDS:
                raise invalid_field("update_mask", "names a field that cannot be changed")
            parse, right = _FIELDS[path]
            value: Any = request.values
            for name in path.split("."):
                value = getattr(value, name)
            values[path] = parse(f"values.{path}", value)
            rights.add(right)
        return cls(values, frozenset(rights))

    def columns(self) -> dict[str, Any]:
        """Returns the new values by column, `settings` as the JSON of what changes; None = as it was."""
        settings = {
            path.removeprefix(_SETTINGS): value
            for path, value in self.values.items()
            if path.startswith(_SETTINGS)
        }
        plain = {path: self.values.get(path) for path in _FIELDS if not path.startswith(_SETTINGS)}
        return plain | {"settings": json.dumps(settings)}


def describe_organization(row: Row) -> pb.Organization:
    """Returns the message of an organisation as the member of the row sees it."""
    settings = json.loads(row["settings"])
    permission = settings.get("member_permission", "read")
    sees_bills = row["role"] != "member"
    return pb.Organization(
        id=str(row["id"]),
        name=row["name"],
        display_name=row["display_name"],
        description=row["description"] or "",
        avatar_url=row["avatar_url"] or "",
        email=row["email"] or "",
        website=row["website"] or "",
        billing_email=(row["billing_email"] or "") if sees_bills else "",
        plan=row["plan"],
        seats=row["plan_seats"] or 0,
        member_count=row["member_count"],
        role=ROLES[row["role"]],
        settings=pb.OrganizationSettings(
            member_permission=_LEVELS.get(permission, Permission.PERMISSION_UNSPECIFIED),
            require_mfa=settings.get("require_mfa", False),
            token_policy=pb.TokenPolicy(**settings.get("token_policy") or {}),
        ),
        create_time=row["created_at"],
        update_time=row["updated_at"],
    )


def describe_listed(row: Row) -> pb.Organization:
    """Returns the message of an organisation in a list: why it is closed to the member, or all of it."""
    if not row["withheld"]:
        return describe_organization(row)
    return pb.Organization(
        id=str(row["id"]),
        name=row["name"],
        display_name=row["display_name"],
        role=ROLES[row["role"]],
        settings=pb.OrganizationSettings(require_mfa=True),
    )
