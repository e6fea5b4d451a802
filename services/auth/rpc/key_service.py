"""Keys: SSH keys of the caller, and the encryption keys of users."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial

from dits.auth.v1 import key_service_pb2 as pb

from services.auth.credentials import ssh_keys, user_keys
from services.auth.credentials.challenges import MAX_CHARACTERS, Challenges
from services.auth.credentials.one_time_tokens import Purpose
from services.auth.credentials.ssh_keys import NewSshKey
from services.auth.credentials.user_keys import UserKeyContent
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import invalid_field
from shared.formats.sshsig import KEY_NAMESPACE
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


class KeyService:
    """The RPCs of dits.auth.v1.KeyService."""

    def __init__(
        self,
        database: Database,
        writes: IdempotentWrites,
        key: ServerKey,
        challenges: Challenges,
    ) -> None:
        self._database = database
        self._writes = writes
        self._key = key
        self._challenges = challenges

    async def CreateKeyChallenge(
        self, request: pb.CreateKeyChallengeRequest, call: Call
    ) -> pb.CreateKeyChallengeResponse:
        """Returns a text that a key signs before the caller may add it."""
        del request
        issued = await self._challenges.issue(Purpose.SSH_KEY_PROOF, str(call.caller.user_id))
        return pb.CreateKeyChallengeResponse(
            challenge=issued.text, expire_time=issued.expires, namespace=KEY_NAMESPACE
        )

    async def AddSshKey(self, request: pb.AddSshKeyRequest, call: Call) -> pb.AddSshKeyResponse:
        """Adds a key that has signed a challenge of the caller."""
        return await self._writes.find_or_make(
            call, Repeatable.of(request), pb.AddSshKeyResponse, partial(self._add, request, call)
        )

    async def ListSshKeys(
        self, request: pb.ListSshKeysRequest, call: Call
    ) -> pb.ListSshKeysResponse:
        """Returns the caller's keys, newest first."""
        page = Page(self._key, request, call)
        created, last_id = page.after or (None, None)
        after = datetime.fromisoformat(created) if created else None
        found = await self._database.fetch(
            Q.list_ssh_keys, call.caller.user_id, after, last_id, page.size + 1
        )
        rows, token = page.answer(found, _position)
        return pb.ListSshKeysResponse(keys=map(_message, rows), next_page_token=token)

    async def DeleteSshKey(
        self, request: pb.DeleteSshKeyRequest, call: Call
    ) -> pb.DeleteSshKeyResponse:
        """Deletes a key of the caller."""
        key_id = validation.uuid("key_id", request.key_id)

        async def delete(connection: Connection) -> None:
            await ssh_keys.delete_key(connection, call, key_id)

        await self._database.transaction(delete)
        return pb.DeleteSshKeyResponse()

    async def PutUserKey(self, request: pb.PutUserKeyRequest, call: Call) -> pb.PutUserKeyResponse:
        """Stores the caller's first key, or its private part under another passphrase."""
        content = UserKeyContent.parse(request)

        async def put(connection: Connection) -> Row:
            return await user_keys.put_key(connection, call, content)

        row = await self._database.transaction(put)
        return pb.PutUserKeyResponse(key=_user_key(row, call))

    async def RotateUserKey(
        self, request: pb.RotateUserKeyRequest, call: Call
    ) -> pb.RotateUserKeyResponse:
        """Stores the next version of the caller's key."""
        content = UserKeyContent.parse(request)
        if request.current_version < 1:
            raise invalid_field("current_version", "must be a version of the key")

        async def rotate(connection: Connection) -> Row:
            return await user_keys.rotate_key(connection, call, content, request.current_version)

        row = await self._database.transaction(rotate)
        return pb.RotateUserKeyResponse(key=_user_key(row, call))

    async def GetUserKey(self, request: pb.GetUserKeyRequest, call: Call) -> pb.GetUserKeyResponse:
        """Returns a version of a user's key; the private part only to its owner."""
        if request.key_version < 0:
            raise invalid_field("key_version", "must not be negative")
        async with self._database.connection() as connection:
            row = await user_keys.find_key(connection, call, request.user, request.key_version)
        return pb.GetUserKeyResponse(key=_user_key(row, call))

    async def _add(self, request: pb.AddSshKeyRequest, call: Call) -> pb.AddSshKeyResponse:
        """Adds the key of a request. Its challenge may be unreadable when a call is repeated."""
        new = self._parse_key(request, call)

        async def add(connection: Connection) -> pb.AddSshKeyResponse:
            return pb.AddSshKeyResponse(key=_message(await ssh_keys.add_key(connection, call, new)))

        return await self._writes.once(call, Repeatable.of(request), pb.AddSshKeyResponse, add)

    def _parse_key(self, request: pb.AddSshKeyRequest, call: Call) -> NewSshKey:
        """Returns the key of a request, once it is proven. Raises INVALID_FIELD."""
        key = ssh_keys.parse_public_key(request.public_key)
        name = validation.text("name", request.name, least=1, most=255)
        signature = ssh_keys.parse_signature_field(request.signature)
        text = validation.text("challenge", request.challenge, least=1, most=MAX_CHARACTERS)
        challenge = self._challenges.open(Purpose.SSH_KEY_PROOF, text)
        if challenge is None or challenge.subject != str(call.caller.user_id):
            raise invalid_field("challenge", ssh_keys.USELESS)
        ssh_keys.require_possession(key, signature, text)
        return NewSshKey(name, key, challenge)


def _position(row: Row) -> tuple[str, str]:
    return row["created_at"].isoformat(), str(row["id"])


def _message(row: Row) -> pb.SshKey:
    return pb.SshKey(
        id=str(row["id"]),
        name=row["name"],
        public_key=row["public_key"],
        fingerprint=row["fingerprint"],
        key_type=row["key_type"],
        create_time=row["created_at"],
        last_use_time=row["last_used_at"],
    )


def _user_key(row: Row, call: Call) -> pb.UserKey:
    """Returns a version of a key, with its private part if it is the caller's."""
    is_own = row["user_id"] == call.caller.user_id
    is_newest = row["key_version"] == row["newest_version"]
    key = pb.UserKey(
        user_id=str(row["user_id"]),
        username=call.caller.username if is_own else row["username"],
        key_version=row["key_version"],
        newest_version=row["newest_version"],
        public_key=row["public_key"],
        create_time=row["created_at"],
        rotate_time=None if is_newest else row["rotated_at"],
    )
    if is_own:
        parameters = json.loads(row["key_derivation_params"])
        key.encrypted_private_key = row["encrypted_private_key"]
        key.key_derivation.CopyFrom(
            pb.KeyDerivation(
                algorithm=pb.KEY_DERIVATION_ALGORITHM_ARGON2ID,
                salt=row["key_derivation_salt"],
                memory_kib=parameters["memory_kib"],
                passes=parameters["passes"],
                lanes=parameters["lanes"],
            )
        )
    return key
