"""What accounts say about themselves, and to whom."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from dits.auth.v1 import account_service_pb2 as pb

from services.auth.credentials.locked_accounts import lock_caller
from services.auth.logins import parse_email
from services.auth.organizations.profiles import parse_url
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field, limit_reached, not_found, unauthenticated
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

MOST_PATHS = 100
MOST_PREFERENCES = 50
MOST_PREFERENCE_BYTES = 1_000
_KEY = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PREFERENCES = "preferences"
_PREFERENCE = "preferences."

_STATUSES = {
    "active": pb.USER_STATUS_ACTIVE,
    "pending_verification": pb.USER_STATUS_PENDING_VERIFICATION,
    "suspended": pb.USER_STATUS_SUSPENDED,
}


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """New values of an account; None = as it is.

    Attributes:
        preferences: all of them.
        set: single ones; removed: the keys of others.
    """

    name: str | None
    avatar_url: str | None
    email: str | None
    preferences: dict[str, str] | None
    set: dict[str, str]
    removed: list[str]

    @classmethod
    def parse(cls, request: pb.UpdateProfileRequest) -> Self:
        """Returns what a request asks for. Raises INVALID_FIELD."""
        values = request.values
        if not 1 <= len(request.update_mask.paths) <= MOST_PATHS:
            raise invalid_field("update_mask", f"must name 1 to {MOST_PATHS} fields")
        if len(values.preferences) > MOST_PREFERENCES:
            raise limit_reached("preferences", MOST_PREFERENCES)
        paths = set(request.update_mask.paths)
        keys = sorted(
            path.removeprefix(_PREFERENCE) for path in paths if path.startswith(_PREFERENCE)
        )
        known = {"name", "avatar_url", "email", _PREFERENCES, *(_PREFERENCE + key for key in keys)}
        if not paths <= known:
            raise invalid_field("update_mask", "names a field that cannot be changed")
        if _PREFERENCES in paths:
            keys = sorted(values.preferences)
        given = {
            key: _parse_preference(key, values.preferences[key])
            for key in keys
            if _require_key(key) in values.preferences
        }
        return cls(
            name=validation.text("values.name", values.name, least=1, most=255)
            if "name" in paths
            else None,
            avatar_url=parse_url("values.avatar_url", values.avatar_url)
            if "avatar_url" in paths
            else None,
            email=parse_email("values.email", values.email) if "email" in paths else None,
            preferences={} if _PREFERENCES in paths else None,
            set=given,
            removed=[key for key in keys if key not in given],
        )

    @property
    def fields(self) -> list[str]:
        """Names of the fields that others see, and that change."""
        named = {"name": self.name, "avatar_url": self.avatar_url}
        return [name for name, value in named.items() if value is not None]


async def read_user(database: Database, user_id: UUID) -> pb.User:
    """Returns an account as its owner sees it. Raises UNAUTHENTICATED if it was deleted meanwhile."""
    row = await database.fetchrow(Q.read_user, user_id)
    if row is None:
        raise unauthenticated()
    message = describe_user(row)
    message.pending_email = row["pending_email"] or ""
    return message


async def find_profile(database: Database, user: str) -> pb.UserProfile:
    """Returns what an account, named by UUID or username, shows to others. Raises NOT_FOUND."""
    by_id, name = validation.id_or_name("user", user)
    row = await database.fetchrow(Q.find_profile, by_id, name)
    if row is None:
        raise not_found("user", user)
    return pb.UserProfile(
        id=str(row["id"]),
        username=row["username"],
        name=row["name"],
        avatar_url=row["avatar_url"] or "",
        create_time=row["created_at"],
    )


async def update_profile(connection: Connection, call: Call, change: ProfileChange) -> None:
    """Changes the caller's account, but not its address. Raises LIMIT_REACHED, UNAUTHENTICATED."""
    caller = call.caller
    await lock_caller(connection, call)
    replaced = None if change.preferences is None else json.dumps(change.preferences)
    count = await connection.fetchval(
        *Q.bind.update_profile(
            id=caller.user_id,
            name=change.name,
            avatar_url=change.avatar_url,
            preferences=replaced,
            removed=change.removed,
            set=json.dumps(change.set),
        )
    )
    if count > MOST_PREFERENCES:
        raise limit_reached("preferences", MOST_PREFERENCES)
    if change.fields:
        await audit(
            connection, call, AuditAction.USER_UPDATED, "user", caller.user_id, caller.username,
            fields=change.fields,
        )  # fmt: skip


def describe_user(row: Row) -> pb.User:
    """Returns the message of a row of users as its owner sees it."""
    stored = json.loads(row["preferences"])
    return pb.User(
        id=str(row["id"]),
        username=row["username"],
        email=row["email"],
        email_verified=row["email_verified"],
        name=row["name"],
        status=_STATUSES[row["status"]],
        create_time=row["created_at"],
        avatar_url=row["avatar_url"] or "",
        preferences={key: value for key, value in stored.items() if isinstance(value, str)},
    )


def _require_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise invalid_field(
            "values.preferences", "a key must be a lower-case letter and up to 62 of a-z 0-9 _"
        )
    return key


def _parse_preference(key: str, value: str) -> str:
    return validation.prose(f"values.{_PREFERENCE}{key}", value, most_bytes=MOST_PREFERENCE_BYTES)
