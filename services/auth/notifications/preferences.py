"""What users get by e-mail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from dits.auth.v1 import notification_service_pb2 as pb

from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field

Q = sql.load(__file__)

FIELDS = tuple(field.name for field in pb.Preferences.DESCRIPTOR.fields)
_DIGESTS: dict[str, pb.Digest.ValueType] = {
    "never": pb.DIGEST_NEVER,
    "daily": pb.DIGEST_DAILY,
    "weekly": pb.DIGEST_WEEKLY,
}
_DIGEST_NAMES = {value: name for name, value in _DIGESTS.items()}


@dataclass(frozen=True, slots=True)
class PreferencesChange:
    """New values of some preferences, by field."""

    values: dict[str, bool | str]

    @classmethod
    def parse(cls, request: pb.UpdatePreferencesRequest) -> PreferencesChange:
        """Returns what a request asks for. Raises INVALID_FIELD."""
        paths = list(request.update_mask.paths)
        if not paths:
            raise invalid_field("update_mask", "must name at least one field")
        if paths == ["*"]:
            paths = list(FIELDS)
        values: dict[str, bool | str] = {}
        for path in paths:
            if path not in FIELDS:
                raise invalid_field("update_mask", "names a field that Preferences does not have")
            values[path] = getattr(request.preferences, path)
        if "digest" in values:
            digest = _DIGEST_NAMES.get(request.preferences.digest)
            if digest is None:
                raise invalid_field("preferences.digest", "must be never, daily or weekly")
            values["digest"] = digest
        return cls(values)


async def create_preferences(connection: Connection, user_ids: Sequence[UUID]) -> None:
    """Gives users the default preferences who have none."""
    await connection.execute(Q.create_preferences, user_ids)


async def read_preferences(database: Database, user_id: UUID) -> pb.Preferences:
    """Returns the preferences of a user, defaults included."""
    row = await database.fetchrow(Q.preferences, user_id)
    if row is None:
        await database.statement(Q.create_preferences, [user_id])
        row = await database.fetchrow(Q.preferences, user_id)
    assert row is not None  # noqa: S101  it was just created
    return _message(row)


async def update_preferences(
    database: Database, user_id: UUID, change: PreferencesChange
) -> pb.Preferences:
    """Changes preferences of a user, and returns all of them."""

    async def update(connection: Connection) -> Row:
        await create_preferences(connection, [user_id])
        values = {name: change.values.get(name) for name in FIELDS}
        row = await connection.fetchrow(*Q.bind.update_preferences(user_id=user_id, **values))
        assert row is not None  # noqa: S101  it was just created
        return row

    return _message(await database.transaction(update))


def _message(row: Row) -> pb.Preferences:
    switches = {name: row[name] for name in FIELDS if name != "digest"}
    return pb.Preferences(**switches, digest=_DIGESTS[row["email_digest"]])
