"""Changes of the protection of branches: what may be set, and setting it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dits.common.v1.event_pb2 import BranchPayload, EventType
from dits.common.v1.permission_pb2 import Permission
from dits.repo.v1.ref_protection_pb2 import BranchProtection, ProtectionMembers
from google.protobuf import json_format
from google.protobuf.message import Message

from services.repo.history import change_rules
from services.repo.history.protection import parse_protection
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import batch_too_large, invalid_field, not_found
from shared.formats.canonical import FormatError
from shared.formats.path_patterns import PathPatterns
from shared.formats.shelves import is_shelf
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

MAX_RESTRICTIONS = 20
MAX_MEMBERS = 100
MAX_BYTES = 64 << 10


def parse_branch_protection(
    protection: BranchProtection, field: str = "protection"
) -> BranchProtection:
    """Returns the protection of a field in the form in which it is stored.

    Raises INVALID_FIELD, BATCH_TOO_LARGE.
    """
    parsed = BranchProtection()
    parsed.CopyFrom(protection)
    parsed.DiscardUnknownFields()
    if parsed.required_permission == Permission.PERMISSION_WRITE:
        parsed.required_permission = Permission.PERMISSION_UNSPECIFIED
    if parsed.required_permission not in (
        Permission.PERMISSION_UNSPECIFIED,
        Permission.PERMISSION_ADMIN,
    ):
        problem = "must be PERMISSION_WRITE or PERMISSION_ADMIN"
        raise invalid_field(f"{field}.required_permission", problem)
    paths = f"{field}.restricted_paths"
    validation.count(paths, parsed.restricted_paths, MAX_RESTRICTIONS, least=0)
    for index, restricted in enumerate(parsed.restricted_paths):
        parse_patterns(f"{paths}[{index}].patterns", restricted.patterns)
        if not parse_members(f"{paths}[{index}].allowed", restricted.allowed):
            restricted.ClearField("allowed")
    if not parse_members(f"{field}.bypass", parsed.bypass):
        parsed.ClearField("bypass")
    require_bounded(parsed)
    return parsed


def require_bounded(protection: Message) -> None:
    """Raises BATCH_TOO_LARGE for a protection of too many bytes: each move of the ref reads it."""
    if protection.ByteSize() > MAX_BYTES:
        raise batch_too_large("protection", MAX_BYTES, protection.ByteSize())


def parse_patterns(field: str, patterns: Sequence[str]) -> PathPatterns:
    """Returns the patterns of a field, at least one. Raises INVALID_FIELD."""
    if not patterns:
        raise invalid_field(field, "must have at least 1 pattern")
    try:
        return PathPatterns.parse(patterns)
    except FormatError as error:
        raise invalid_field(field, error.description) from None


def parse_members(field: str, members: ProtectionMembers) -> bool:
    """Brings the ids of members into their usual form, each once; returns whether there are any.

    Raises INVALID_FIELD, BATCH_TOO_LARGE.
    """
    for name, ids in (("user_ids", members.user_ids), ("team_ids", members.team_ids)):
        validation.count(f"{field}.{name}", ids, MAX_MEMBERS, least=0)
        parsed = sorted({str(validation.uuid(f"{field}.{name}", text)) for text in ids})
        del ids[:]
        ids.extend(parsed)
    return bool(members.user_ids or members.team_ids)


async def protect_branch(
    connection: Connection, call: Call, name: str | None, protection: BranchProtection
) -> Row:
    """Replaces the protection of a branch (None = the default branch); returns its row.

    The branch is locked, so what moves it before is judged by the old one. Raises NOT_FOUND, and
    INVALID_FIELD for a shelf, and for users and teams that do not exist and that the branch did not name
    before.
    """
    repository_id = call.repository.id
    if name is not None and is_shelf(name):
        raise invalid_field("name", "must not be a shelf's: create a branch at its commit")
    await change_rules.lock_repository(connection, call)
    found = await connection.fetchrow(Q.lock_branch, repository_id, name)
    if found is None:
        raise not_found("branch", name or "")
    before = list_members(parse_protection(found["protection"]))
    await require_members(connection, call, list_members(protection), before)
    if protection == parse_protection(found["protection"]):
        return found
    text = describe_protection(protection)
    (row,) = await connection.fetch(Q.set_protection, repository_id, found["name"], text or None)
    await audit(
        connection, call, AuditAction.BRANCH_PROTECTION_CHANGED, "branch", repository_id, row["name"],
        repository_id=repository_id, protection=text,
    )  # fmt: skip
    head = row["head_commit"]
    payload = BranchPayload(branch=row["name"], before=head, after=head)
    kind = EventType.EVENT_TYPE_BRANCH_PROTECTION_CHANGED
    await emit(connection, call, kind, repository_id, payload)
    return row


def describe_protection(protection: Message) -> str:
    """Returns a protection as JSON; empty if it has no rules."""
    if protection == type(protection)():
        return ""
    return json_format.MessageToJson(protection, preserving_proto_field_name=True, indent=None)


def list_members(
    protection: BranchProtection, field: str = "protection"
) -> dict[str, ProtectionMembers]:
    """Returns the users and teams that a protection names, by the field that has them."""
    members = {f"{field}.bypass": protection.bypass}
    for index, paths in enumerate(protection.restricted_paths):
        members[f"{field}.restricted_paths[{index}].allowed"] = paths.allowed
    return members


async def require_members(
    connection: Connection,
    call: Call,
    members: Mapping[str, ProtectionMembers],
    before: Mapping[str, ProtectionMembers],
) -> None:
    """Raises INVALID_FIELD if one of the users or teams does not exist.

    Those that stood there before may be gone: whoever changes something else sends them along.
    """
    known = {each for some in before.values() for each in (*some.user_ids, *some.team_ids)}
    users = {each for some in members.values() for each in some.user_ids} - known
    teams = {each for some in members.values() for each in some.team_ids} - known
    unknown = await connection.fetch(Q.find_unknown_users, sorted(users)) if users else []
    _refuse_unknown(members, "user_ids", unknown, "is no user")
    if teams:
        unknown = await connection.fetch(Q.find_unknown_teams, call.repository.id, sorted(teams))
    _refuse_unknown(
        members, "team_ids", unknown, "is no team of the organisation that owns the repository"
    )


def _refuse_unknown(
    members: Mapping[str, ProtectionMembers], name: str, unknown: Sequence[Row], reason: str
) -> None:
    """Raises INVALID_FIELD for the first of some ids, at the field that has it."""
    for row in unknown:
        for field, some in members.items():
            if str(row["id"]) in getattr(some, name):
                raise invalid_field(f"{field}.{name}", f"{row['id']} {reason}")
