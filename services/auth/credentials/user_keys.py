"""Users' encryption keys: the public part for others, the private part sealed by the client for its owner.

The server can open none of them. Versions are kept, because what was encrypted for an old one stays so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from dits.auth.v1 import key_service_pb2 as pb

from services.auth.credentials.locked_accounts import lock_caller
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invalid_field, key_rotated, limit_reached, name_taken, not_found
from shared.records.audit import AuditAction, audit
from shared.rpc import validation
from shared.rpc.call import Call

Q = sql.load(__file__)

MAX_PUBLIC_BYTES = 4096
MAX_PRIVATE_BYTES = 16_384
MAX_VERSIONS = 100
# Bounds of Argon2id: below the least, a passphrase is guessed; the most still runs on a workstation.
_MEMORY_KIB = (19_456, 4 << 20)
_PASSES = (1, 100)
_LANES = (1, 64)
_SALT_BYTES = (16, 64)


@dataclass(frozen=True, slots=True)
class UserKeyContent:
    """What a client stores as a version of its user's key.

    Attributes:
        private_key: encrypted by the client.
        parameters: of the key derivation, without the salt, as JSON.
    """

    public_key: bytes
    private_key: bytes = field(repr=False)
    salt: bytes
    parameters: str

    @classmethod
    def parse(cls, request: pb.PutUserKeyRequest | pb.RotateUserKeyRequest) -> Self:
        """Returns the content of a request. Raises INVALID_FIELD."""
        _require_size("public_key", len(request.public_key), (1, MAX_PUBLIC_BYTES))
        _require_size(
            "encrypted_private_key", len(request.encrypted_private_key), (1, MAX_PRIVATE_BYTES)
        )
        derivation = request.key_derivation
        if derivation.algorithm != pb.KEY_DERIVATION_ALGORITHM_ARGON2ID:
            raise invalid_field("key_derivation.algorithm", "must be ARGON2ID")
        _require_size("key_derivation.salt", len(derivation.salt), _SALT_BYTES)
        _require_range("key_derivation.memory_kib", derivation.memory_kib, _MEMORY_KIB)
        _require_range("key_derivation.passes", derivation.passes, _PASSES)
        _require_range("key_derivation.lanes", derivation.lanes, _LANES)
        parameters = {
            "algorithm": "argon2id",
            "memory_kib": derivation.memory_kib,
            "passes": derivation.passes,
            "lanes": derivation.lanes,
        }
        return cls(
            request.public_key,
            request.encrypted_private_key,
            derivation.salt,
            json.dumps(parameters),
        )


async def put_key(connection: Connection, call: Call, content: UserKeyContent) -> Row:
    """Stores the caller's first key, or another private part of a version with the same public key.

    Raises NAME_TAKEN if the caller has other keys.
    """
    user_id = call.caller.user_id
    await lock_caller(connection, call)
    same = await connection.fetchrow(*Q.bind.same_version(user_id=user_id, **_bind(content)))
    if same is not None:
        return same
    row = await connection.fetchrow(*Q.bind.replace_private_part(user_id=user_id, **_bind(content)))
    if row is None:
        if await connection.fetchval(Q.newest_version, user_id):
            raise name_taken(
                "user_key", call.caller.username, "is there already, with another public key"
            )
        row = await _insert(connection, user_id, content, 1)
    await _audit(connection, call, AuditAction.USER_KEY_STORED, row)
    return row


async def rotate_key(
    connection: Connection, call: Call, content: UserKeyContent, current: int
) -> Row:
    """Stores the next version of the caller's key, unless `current` is not the newest any more.

    A repetition returns what the first call stored. Raises KEY_ROTATED or LIMIT_REACHED.
    """
    user_id = call.caller.user_id
    await lock_caller(connection, call)
    newest = await connection.fetchval(Q.newest_version, user_id) or 0
    same = await connection.fetchrow(*Q.bind.same_version(user_id=user_id, **_bind(content)))
    if same is not None and same["key_version"] == newest == current + 1:
        return same
    if newest != current:
        raise key_rotated(current, newest)
    if newest >= MAX_VERSIONS:
        raise limit_reached("versions of a user key", MAX_VERSIONS)
    await connection.execute(Q.end_version, user_id, current)
    row = await _insert(connection, user_id, content, current + 1)
    await _audit(connection, call, AuditAction.USER_KEY_ROTATED, row)
    return row


async def find_key(connection: Connection, call: Call, user: str, version: int) -> Row:
    """Returns a version of a key that the caller may see, 0 = the newest. Raises NOT_FOUND.

    `user` is a UUID or a username, empty = the caller.
    """
    caller = call.caller
    user_id, username = validation.id_or_name("user", user) if user else (caller.user_id, None)
    row = await connection.fetchrow(
        *Q.bind.find_key(
            caller_id=caller.user_id,
            refused_by=list(caller.refused_by),
            user_id=user_id,
            username=username,
            key_version=version,
        )
    )
    if row is None:
        raise not_found("user_key", user or caller.username)
    return row


async def _insert(
    connection: Connection, user_id: UUID, content: UserKeyContent, version: int
) -> Row:
    row = await connection.fetchrow(
        *Q.bind.insert_version(user_id=user_id, key_version=version, **_bind(content))
    )
    assert row is not None  # noqa: S101  RETURNING of an INSERT
    return row


def _bind(content: UserKeyContent) -> dict[str, bytes | str]:
    return {
        "public_key": content.public_key,
        "private_key": content.private_key,
        "salt": content.salt,
        "parameters": content.parameters,
    }


async def _audit(connection: Connection, call: Call, action: AuditAction, row: Row) -> None:
    await audit(
        connection, call, action, "user_key", call.caller.user_id, call.caller.username,
        version=row["key_version"],
    )  # fmt: skip


def _require_size(name: str, size: int, bounds: tuple[int, int]) -> None:
    if not bounds[0] <= size <= bounds[1]:
        raise invalid_field(name, f"must have {bounds[0]} to {bounds[1]} bytes")


def _require_range(name: str, value: int, bounds: tuple[int, int]) -> None:
    if not bounds[0] <= value <= bounds[1]:
        raise invalid_field(name, f"must be {bounds[0]} to {bounds[1]}")
