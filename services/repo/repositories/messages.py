"""Repositories as messages of the API, and what requests say of them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from dits.repo.v1 import repository_service_pb2 as pb

from shared.db.pool import Row
from shared.errors import invalid_field, not_found
from shared.formats.shelves import is_shelf
from shared.rpc import validation

MAX_DESCRIPTION = 4096
# How long a deleted repository can be brought back.
UNDELETE_TIME = timedelta(days=30)

_VISIBILITIES = {
    pb.VISIBILITY_UNSPECIFIED: "private",
    pb.VISIBILITY_PRIVATE: "private",
    pb.VISIBILITY_INTERNAL: "internal",
    pb.VISIBILITY_PUBLIC: "public",
}
_VISIBILITY_NUMBERS = {text: number for number, text in _VISIBILITIES.items()}


def parse_visibility(field: str, value: pb.Visibility.ValueType) -> str:
    """Returns the name under which the database knows it. Raises INVALID_FIELD."""
    if value not in _VISIBILITIES:
        raise invalid_field(field, "is not a known value")
    return _VISIBILITIES[value]


def parse_description(field: str, value: str) -> str:
    """Returns a description. Raises INVALID_FIELD."""
    return validation.prose(field, value, most_bytes=MAX_DESCRIPTION)


def parse_default_branch(field: str, value: str) -> str:
    """Returns the name of a default branch: no shelf, because locks judge none. Raises INVALID_FIELD."""
    name = validation.branch(field, value)
    if is_shelf(name):
        raise invalid_field(field, "must not be a shelf")
    return name


def describe_repository(row: Row | None, address: str = "") -> pb.Repository:
    """Returns a repository as a message. Raises NOT_FOUND for this address without a row."""
    if row is None:
        raise not_found("repository", address)
    permission: Any = row["permission"]
    deleted_at = row["deleted_at"]
    return pb.Repository(
        id=str(row["id"]),
        owner=row["owner"],
        name=row["name"],
        description=row["description"] or "",
        visibility=_VISIBILITY_NUMBERS[row["visibility"]],
        default_branch=row["default_branch"],
        archived=row["archived"],
        disabled=row["disabled"],
        disabled_reason=row["disabled_reason"] or "",
        settings=describe_settings(row),
        permission=permission,
        create_time=row["created_at"],
        update_time=row["updated_at"],
        push_time=row["pushed_at"],
        delete_time=deleted_at,
        purge_time=deleted_at + UNDELETE_TIME if deleted_at else None,
    )


def describe_settings(row: Row) -> pb.RepositorySettings:
    """Returns the rules for pushes as a message."""
    policy = json.loads(row["lifecycle_policy"])
    return pb.RepositorySettings(
        require_lock_for_edit=row["require_lock_for_edit"],
        max_file_size_bytes=row["max_file_size_bytes"] or 0,
        allowed_extensions=row["allowed_extensions"] or (),
        portable_names=row["portable_names"],
        lock_patterns=row["lock_patterns"],
        on_demand_patterns=row["on_demand_patterns"],
        max_storage_bytes=row["max_storage_bytes"],
        lifecycle_policy=pb.LifecyclePolicy(**policy) if policy else None,
        regions=row["regions"],
        min_regions=row["min_regions"],
        replication_seconds=row["replication_seconds"],
    )
