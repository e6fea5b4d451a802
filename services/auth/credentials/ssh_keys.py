"""The SSH keys of accounts: adding them with a proof of possession, and deleting them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from dits.common.v1.event_pb2 import EventType, KeyPayload

from services.auth.credentials.challenges import OpenedChallenge
from services.auth.credentials.locked_accounts import lock_caller
from services.auth.credentials.one_time_tokens import Purpose, spend_sealed
from shared.db import sql
from shared.db.pool import Connection, Row
from shared.errors import invalid_field, limit_reached, name_taken, not_found
from shared.formats.canonical import FormatError
from shared.formats.ssh_keys import SshPublicKey, parse_key_line
from shared.formats.sshsig import (
    KEY_NAMESPACE,
    BadSignature,
    SshSignature,
    parse_signature,
    verify_signature,
)
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc.call import Call

Q = sql.load(__file__)

MAX_KEYS = 50
USELESS = "is used or expired, or was not issued to this account for this: ask for another one"


@dataclass(frozen=True, slots=True)
class NewSshKey:
    """A key whose owner has proven to have it.

    Attributes:
        challenge: what the key has signed.
    """

    name: str
    key: SshPublicKey
    challenge: OpenedChallenge


def parse_public_key(text: str) -> SshPublicKey:
    """Returns the key of a `.pub` file. Raises INVALID_FIELD, without a part of the text."""
    try:
        return parse_key_line(text)[0]
    except FormatError as error:
        raise invalid_field(error.field, error.description) from None


def parse_signature_field(text: str) -> SshSignature:
    """Returns the signature of a `.sig` file. Raises INVALID_FIELD."""
    try:
        return parse_signature(text)
    except FormatError as error:
        raise invalid_field(error.field, error.description) from None


def is_signature_of(signature: SshSignature, challenge: str, namespace: str) -> bool:
    """Whether the signature's key has signed a challenge in a namespace."""
    try:
        verify_signature(signature, challenge.encode(), namespace)
    except (BadSignature, FormatError):
        return False
    return True


def require_possession(key: SshPublicKey, signature: SshSignature, challenge: str) -> None:
    """Raises INVALID_FIELD unless the key has signed the challenge, in the namespace for this."""
    if signature.key != key:
        raise invalid_field("signature", "is of another key than public_key")
    if not is_signature_of(signature, challenge, KEY_NAMESPACE):
        raise invalid_field(
            "signature", f"is not of this challenge in the namespace {KEY_NAMESPACE}"
        )


async def add_key(connection: Connection, call: Call, new: NewSshKey) -> Row:
    """Stores a key of the caller. Raises INVALID_FIELD, NAME_TAKEN or LIMIT_REACHED."""
    user_id = call.caller.user_id
    await lock_caller(connection, call)
    if await connection.fetchval(Q.count_keys, user_id) >= MAX_KEYS:
        raise limit_reached("SSH keys", MAX_KEYS)
    text, expires = new.challenge.text, new.challenge.expires
    if not await spend_sealed(connection, Purpose.SSH_KEY_PROOF, user_id, text, expires):
        raise invalid_field("challenge", USELESS)
    row = await connection.fetchrow(
        *Q.bind.add_key(
            user_id=user_id,
            name=new.name,
            public_key=new.key.line,
            fingerprint=new.key.fingerprint,
            key_type=new.key.key_type,
        )
    )
    if row is None:
        raise name_taken("ssh_key", new.key.fingerprint)
    await audit(
        connection, call, AuditAction.SSH_KEY_ADDED, "ssh_key", row["id"], new.name,
        fingerprint=new.key.fingerprint, key_type=new.key.key_type.value,
    )  # fmt: skip
    payload = KeyPayload(key_id=str(row["id"]), fingerprint=new.key.fingerprint)
    await emit(connection, call, EventType.EVENT_TYPE_KEY_ADDED, None, payload)
    return row


async def announce_owner_change(
    connection: Connection, user_ids: Sequence[UUID], actor_id: UUID | None
) -> None:
    """Tells that accounts have other addresses or states, by which signatures of their keys are judged."""
    await connection.execute(Q.announce_owner_change, user_ids, actor_id)


async def delete_key(connection: Connection, call: Call, key_id: UUID) -> None:
    """Deletes a key of the caller. Raises NOT_FOUND."""
    row = await connection.fetchrow(Q.delete_key, key_id, call.caller.user_id)
    if row is None:
        raise not_found("ssh_key", str(key_id))
    await audit(
        connection, call, AuditAction.SSH_KEY_DELETED, "ssh_key", key_id, row["name"],
        fingerprint=row["fingerprint"],
    )  # fmt: skip
    payload = KeyPayload(key_id=str(key_id), fingerprint=row["fingerprint"])
    await emit(connection, call, EventType.EVENT_TYPE_KEY_DELETED, None, payload)
