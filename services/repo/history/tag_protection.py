"""What protects the tags of a repository: judging by it, reading and changing it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from dits.common.v1.event_pb2 import EventType, TagPayload
from dits.repo.v1.ref_protection_pb2 import TagProtection
from google.protobuf import json_format

from services.repo.history import change_rules
from services.repo.history.protection import is_member
from services.repo.history.protection_changes import (
    describe_protection,
    parse_members,
    parse_patterns,
    require_bounded,
    require_members,
)
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import tag_protected
from shared.formats.path_patterns import PathPatterns, matches_name
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc.call import Call
from shared.rpc.policy import Permission

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class TagGuard:
    """Which names of tags are not for the caller."""

    patterns: PathPatterns

    @classmethod
    async def load(cls, connection: Connection, call: Call) -> TagGuard:
        """Returns the guard that the protection of the repository of a call makes for the caller."""
        text = await connection.fetchval(Q.read_protection, call.repository.id)
        protection = parse_tag_protection(text)
        is_free = call.repository.permission >= Permission.ADMIN
        if is_free or await is_member(connection, call, protection.allowed):
            return cls(PathPatterns(()))
        return cls(await asyncio.to_thread(PathPatterns.parse, protection.patterns))

    def require_allowed(self, names: Iterable[str]) -> None:
        """Raises TAG_PROTECTED if one of the names is protected."""
        for name in names:
            if matches_name(self.patterns, name):
                raise tag_protected(name)


def parse_tag_protection(text: str | None) -> TagProtection:
    """Returns the protection of tags as it is stored; without patterns if there is none."""
    protection = TagProtection()
    return json_format.Parse(text, protection, ignore_unknown_fields=True) if text else protection


def check_tag_protection(protection: TagProtection) -> TagProtection:
    """Returns a protection in the form in which it is stored. Raises INVALID_FIELD, BATCH_TOO_LARGE."""
    parsed = TagProtection()
    parsed.CopyFrom(protection)
    parsed.DiscardUnknownFields()
    if not parse_members("protection.allowed", parsed.allowed):
        parsed.ClearField("allowed")
    if not parsed.patterns:
        return TagProtection()
    parse_patterns("protection.patterns", parsed.patterns)
    require_bounded(parsed)
    return parsed


async def protect_tags(connection: Connection, call: Call, protection: TagProtection) -> None:
    """Replaces the protection of tags. What changes tags before is judged by the old one.

    Raises INVALID_FIELD for users and teams that do not exist.
    """
    repository_id = call.repository.id
    await change_rules.lock_repository(connection, call, alone=True)
    before = await connection.fetchval(Q.read_protection, repository_id)
    fields = [
        {"protection.allowed": each.allowed} for each in (protection, parse_tag_protection(before))
    ]
    await require_members(connection, call, *fields)
    text = describe_protection(protection)
    await connection.execute(Q.set_protection, repository_id, text or None)
    if parse_tag_protection(before) != protection:
        await audit(
            connection, call, AuditAction.TAG_PROTECTION_CHANGED, "repository", repository_id,
            call.repository.name, repository_id=repository_id, protection=text,
        )  # fmt: skip
        kind = EventType.EVENT_TYPE_TAG_PROTECTION_CHANGED
        await emit(connection, call, kind, repository_id, TagPayload())


async def read_tag_protection(connection: Connection, call: Call) -> TagProtection | None:
    """Returns what protects the tags of the repository; None = nothing."""
    text = await connection.fetchval(Q.read_protection, call.repository.id)
    return parse_tag_protection(text) if text else None
