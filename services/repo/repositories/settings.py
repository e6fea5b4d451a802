"""The rules that every push to a repository is held to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from dits.common.v1.event_pb2 import EventType, RepoPayload
from dits.repo.v1 import repository_service_pb2 as pb

from services.repo.repositories.holding import hold_repository_of
from services.repo.repositories.region_policy import (
    check_new_policy,
    check_policy_change,
    parse_region_policy,
    request_placement,
)
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import batch_too_large, invalid_field, not_found
from shared.formats.canonical import FormatError
from shared.formats.path_patterns import MAX_PATTERNS, PathPatterns
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

MAX_EXTENSIONS = 100
MAX_DAYS = 36_500
# In the order of the database: short names first.
POLICY_FIELDS = ("glacier_days", "infrequent_days", "deep_archive_days")


def parse_settings(settings: pb.RepositorySettings) -> dict[str, Any]:
    """Returns all rules by their names, which are those of the columns; what is not set has its default.

    Large patterns take half a second. Raises INVALID_FIELD, BATCH_TOO_LARGE.
    """
    for name in ("max_file_size_bytes", "max_storage_bytes"):
        if getattr(settings, name) < 0:
            raise invalid_field(f"settings.{name}", "must not be negative")
    must_lock, portable = settings.require_lock_for_edit, settings.portable_names
    return {
        "require_lock_for_edit": must_lock or not settings.HasField("require_lock_for_edit"),
        "max_file_size_bytes": settings.max_file_size_bytes,
        "allowed_extensions": _parse_extensions(settings.allowed_extensions),
        "portable_names": portable or not settings.HasField("portable_names"),
        "lock_patterns": _parse_patterns("lock_patterns", settings.lock_patterns),
        "on_demand_patterns": _parse_patterns("on_demand_patterns", settings.on_demand_patterns),
        "max_storage_bytes": settings.max_storage_bytes,
        "lifecycle_policy": _parse_policy(settings.lifecycle_policy),
        **parse_region_policy(settings),
    }


def parse_settings_change(request: pb.UpdateRepositorySettingsRequest) -> dict[str, Any]:
    """Returns the new rules by their names. Raises INVALID_FIELD, BATCH_TOO_LARGE."""
    paths = list(request.update_mask.paths)
    if not paths:
        raise invalid_field("update_mask", "must name at least one field")
    rules = parse_settings(request.settings)
    if not rules.keys() >= set(paths):
        raise invalid_field("update_mask", "names a field that there is not")
    return {path: rules[path] for path in paths}


async def insert_settings(
    connection: Connection, repository_id: UUID, rules: Mapping[str, Any]
) -> None:
    """Gives a new repository its rules."""
    await check_new_policy(connection, rules)
    await connection.execute(*Q.bind.insert_settings(repository_id=repository_id, **rules))


async def get_settings(connection: Connection, repository_id: UUID) -> Row:
    """Returns the rules of a repository. Raises NOT_FOUND."""
    row = await connection.fetchrow(Q.get_settings, repository_id)
    if row is None:
        raise not_found("repository", str(repository_id))
    return row


async def update_settings(connection: Connection, call: Call, rules: Mapping[str, Any]) -> Row:
    """Changes some rules of the repository of a call; returns all.

    Raises NOT_FOUND, REPOSITORY_READ_ONLY, INVALID_FIELD, LAST_COPY.
    """
    held = await hold_repository_of(connection, call)
    held.require_writable()
    before = await get_settings(connection, held.id)
    # No endings are stored as an empty list, and were as NULL.
    new = {name: value for name, value in rules.items() if value != (before[name] or type(value)())}
    if not new:
        return before
    await check_policy_change(connection, held.id, before, new)
    columns = {name: new.get(name) for name in before.keys()}  # noqa: SIM118  a row is no dict
    await connection.execute(*Q.bind.update_settings(repository_id=held.id, **columns))
    await connection.execute(Q.touch_repository, held.id)
    if "regions" in new:
        await request_placement(connection, held.id)
    fields = [f"settings.{name}" for name in sorted(new)]
    await audit(
        connection, call, AuditAction.REPOSITORY_UPDATED, "repository", held.id, held.name,
        repository_id=held.id, fields=fields,
    )  # fmt: skip
    payload = RepoPayload(owner=held.owner.name, name=held.name, fields=fields)
    await emit(connection, call, EventType.EVENT_TYPE_REPO_UPDATED, held.id, payload)
    return await get_settings(connection, held.id)


def _parse_policy(policy: pb.LifecyclePolicy) -> str:
    """Returns the days that are stated, as JSON as the database writes it."""
    stated = {field.name: days for field, days in policy.ListFields()}
    for name, days in stated.items():
        if not 0 <= days <= MAX_DAYS:
            raise invalid_field(f"settings.lifecycle_policy.{name}", f"must be 0 to {MAX_DAYS}")
    return json.dumps({name: stated[name] for name in POLICY_FIELDS if name in stated})


def _parse_extensions(extensions: Sequence[str]) -> list[str]:
    """Returns endings in lower case, sorted."""
    field = "settings.allowed_extensions"
    validation.count(field, extensions, MAX_EXTENSIONS, least=0)
    for extension in extensions:
        validation.text(field, extension, least=1, most=32)
        if extension.startswith(".") or "/" in extension:
            raise invalid_field(field, "are written without dot and slash")
    return sorted({extension.lower() for extension in extensions})


def _parse_patterns(name: str, patterns: Sequence[str]) -> list[str]:
    field = f"settings.{name}"
    if len(patterns) > MAX_PATTERNS:
        raise batch_too_large(field, MAX_PATTERNS, len(patterns))
    try:
        PathPatterns.parse(patterns)
    except FormatError as error:
        raise invalid_field(field, error.description) from None
    return list(patterns)
