"""Changes of repositories: by their administrators, and by the operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from dits.common.v1.event_pb2 import EventType, RepoPayload
from dits.repo.v1 import repository_service_pb2 as pb

from services.repo.repositories.holding import (
    HeldRepository,
    hold_repository,
    hold_repository_of,
)
from services.repo.repositories.messages import (
    parse_default_branch,
    parse_description,
    parse_visibility,
)
from services.repo.repositories.names import keep_former_name, refuse_name
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import invalid_field, not_found, repository_read_only
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)


def _parse_flag(field: str, value: bool) -> bool:
    del field
    return value


# The fields that can be changed, with the function that judges the new value. They are columns, too.
_FIELDS: Mapping[str, Callable[[str, Any], Any]] = {
    "name": validation.repository_name,
    "description": parse_description,
    "visibility": parse_visibility,
    "default_branch": parse_default_branch,
    "archived": _parse_flag,
}


@dataclass(frozen=True, slots=True)
class RepositoryChange:
    """New values of some fields, by name."""

    values: Mapping[str, Any]

    @classmethod
    def parse(cls, request: pb.UpdateRepositoryRequest) -> RepositoryChange:
        """Returns what a request asks for. Raises INVALID_FIELD."""
        paths = list(request.update_mask.paths)
        if not paths:
            raise invalid_field("update_mask", "must name at least one field")
        if not _FIELDS.keys() >= set(paths):
            raise invalid_field("update_mask", "names a field that cannot be changed")
        return cls(
            {path: _FIELDS[path](f"values.{path}", getattr(request.values, path)) for path in paths}
        )

    @property
    def stops_pushes(self) -> bool:
        """Whether pushes that are under way must end first."""
        return not self.values.keys().isdisjoint({"archived", "default_branch"})

    def find_new(self, held: HeldRepository) -> dict[str, Any]:
        """Returns those values that a repository does not have yet.

        Raises REPOSITORY_READ_ONLY if it is disabled, or archived and stays so with other values.
        """
        held.require_enabled()
        before = {**held.row, "description": held.row["description"] or ""}
        new = {name: value for name, value in self.values.items() if value != before[name]}
        if new and held.row["archived"] and self.values.get("archived", True):
            raise repository_read_only()
        return new


async def update_repository(connection: Connection, call: Call, change: RepositoryChange) -> None:
    """Changes the repository of a call.

    Raises NOT_FOUND, PERMISSION_MISSING, REPOSITORY_READ_ONLY, NAME_TAKEN, LIMIT_REACHED.
    """
    held = await hold_repository_of(connection, call, alone=change.stops_pushes)
    new = change.find_new(held)
    if not new:
        return
    if "name" in new:
        held.require_owner_right()
    if "default_branch" in new:
        await _move_default(connection, held.id, new["default_branch"])
    columns = {name: new.get(name) for name in _FIELDS}
    try:
        await connection.execute(*Q.bind.update_repository(id=held.id, **columns))
    except asyncpg.UniqueViolationError as error:
        raise refuse_name(new["name"], error) from None
    if new.get("name", held.name).lower() != held.name.lower():
        await keep_former_name(connection, held)
    await _record(connection, call, AuditAction.REPOSITORY_UPDATED, held, new)


async def set_disabled(
    connection: Connection, call: Call, repository_id: UUID, reason: str | None
) -> None:
    """Disables a repository for a reason, or enables it (None). Raises NOT_FOUND."""
    held = await hold_repository(connection, repository_id, call.caller, alone=True)
    new = {"disabled": reason is not None, "disabled_reason": reason}
    if all(held.row[name] == value for name, value in new.items()):
        return
    await connection.execute(Q.set_disabled, held.id, new["disabled"], reason)
    action = AuditAction.REPOSITORY_DISABLED if reason else AuditAction.REPOSITORY_ENABLED
    await _record(connection, call, action, held, {"disabled": reason is not None})


async def _move_default(connection: Connection, repository_id: UUID, branch: str) -> None:
    """Makes another branch the default one. Raises NOT_FOUND unless it exists, or there are none."""
    row = await connection.fetchrow(Q.find_branches, repository_id, branch)
    if row is not None and row["has_branches"] and not row["has_branch"]:
        raise not_found("branch", branch)
    await connection.execute(Q.clear_default, repository_id)
    await connection.execute(Q.set_default, repository_id, branch)


async def _record(
    connection: Connection,
    call: Call,
    action: AuditAction,
    held: HeldRepository,
    new: Mapping[str, Any],
) -> None:
    name = new.get("name", held.name)
    await audit(
        connection, call, action, "repository", held.id, name,
        repository_id=held.id, fields=sorted(new),
    )  # fmt: skip
    payload = RepoPayload(
        owner=held.owner.name,
        name=name,
        previous_name=held.name if name != held.name else "",
        fields=sorted(new),
    )
    await emit(connection, call, EventType.EVENT_TYPE_REPO_UPDATED, held.id, payload)
