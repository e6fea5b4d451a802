"""New passwords for accounts: by the old one, or by a mailed link."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Self
from uuid import UUID

from dits.auth.v1 import account_service_pb2 as pb
from dits.auth.v1.session_service_pb2 import IssuedSession

from services.auth.accounts.spent_links import WRONG, parse_token, spend_link
from services.auth.credentials import throttles
from services.auth.credentials.one_time_tokens import Purpose, withdraw_tokens
from services.auth.credentials.passwords import (
    ALGORITHM,
    MOST_BYTES,
    Hasher,
    read_salt,
    require_strong,
)
from services.auth.credentials.session_rotation import rotate_session
from services.auth.credentials.sessions import end_all_sessions
from services.auth.mail.notices import Addressee, mail_notice
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import (
    DomainError,
    contention,
    invalid_field,
    permission_missing,
    unauthenticated,
)
from shared.formats.credentials import token_hash
from shared.records.audit import AuditAction, audit
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class PasswordChange:
    """The password of an account as it is said to be, and the new one."""

    current: str = field(repr=False)
    new: str = field(repr=False)

    @classmethod
    def parse(cls, request: pb.ChangePasswordRequest) -> Self:
        """Returns the change that a request asks for. Raises INVALID_FIELD."""
        if not 1 <= len(request.current_password.encode()) <= MOST_BYTES:
            raise invalid_field("current_password", f"must have 1 to {MOST_BYTES} bytes")
        return cls(request.current_password, request.new_password)


class PasswordChanges:
    """Gives accounts new passwords."""

    def __init__(
        self, database: Database, writes: IdempotentWrites, hasher: Hasher, key: ServerKey
    ) -> None:
        self._database = database
        self._writes = writes
        self._hasher = hasher
        self._key = key

    async def change(self, request: pb.ChangePasswordRequest, call: Call) -> IssuedSession:
        """Changes the caller's password; returns the session with its new token.

        Raises PERMISSION_MISSING, SUDO_REQUIRED, INVALID_FIELD, RATE_LIMITED, UNAUTHENTICATED, CONTENTION.
        """
        if not call.caller.is_session:
            raise permission_missing("of a session", "those of an API token")
        wanted, user_id = PasswordChange.parse(request), call.caller.user_id
        row = await self._database.fetchrow(Q.find_password, user_id)
        assert row is not None  # noqa: S101  rows of users stay
        if row["mfa_enabled"]:
            # A password alone is not enough to keep the owner out.
            call.require_sudo()
        require_strong(wanted.new, row["username"], row["email"], field="new_password")
        old = row["password_hash"]
        await self._prove(call.caller.credential_id, old, wanted.current)
        phc = await self._hasher.hash(wanted.new)

        async def store(connection: Connection) -> IssuedSession:
            addressee = await self._lock(connection, user_id)
            if not await connection.fetchval(Q.is_password, user_id, old):
                raise contention("the password was changed meanwhile")
            await self._store(connection, call, addressee, phc, AuditAction.PASSWORD_CHANGED)
            return await rotate_session(connection, call)

        return await self._database.transaction(store)

    async def reset(self, request: pb.ResetPasswordRequest, call: Call) -> pb.ResetPasswordResponse:
        """Gives the account of a link a password. What is refused, or repeated, costs no hash.

        Raises INVALID_FIELD, UNAUTHENTICATED, SERVER_BUSY, REQUEST_ID_REUSED.
        """
        return await self._writes.find_or_make(
            call,
            Repeatable.of(request),
            pb.ResetPasswordResponse,
            partial(self._reset, request, call),
        )

    async def _reset(
        self, request: pb.ResetPasswordRequest, call: Call
    ) -> pb.ResetPasswordResponse:
        token = parse_token(request.token)
        row = await self._database.fetchrow(Q.find_link_account, token_hash(token))
        if row is None:
            raise unauthenticated(WRONG)
        require_strong(request.new_password, row["username"], row["email"], field="new_password")
        phc = await self._hasher.hash(request.new_password)

        async def store(connection: Connection) -> pb.ResetPasswordResponse:
            link = await spend_link(connection, token, Purpose.RESET_PASSWORD)
            addressee = await self._lock(connection, link.user_id)
            await self._store(connection, call, addressee, phc, AuditAction.PASSWORD_RESET)
            return pb.ResetPasswordResponse()

        return await self._writes.once(
            call, Repeatable.of(request), pb.ResetPasswordResponse, store
        )

    async def _prove(self, session_id: UUID, phc: str | None, password: str) -> None:
        """Raises UNAUTHENTICATED if the password is wrong, and then the attempt stays counted."""
        buckets = throttles.proof_buckets(session_id)
        await throttles.reserve(self._database, buckets)
        try:
            fits = await self._hasher.verify(phc, password, is_known=True)
        except DomainError:
            await self._give_back(buckets)
            raise
        if not fits:
            raise unauthenticated("the current password is another one")
        await self._give_back(buckets)

    async def _give_back(self, buckets: list[throttles.Bucket]) -> None:
        async with self._database.connection() as connection:
            await throttles.give_back(connection, buckets)

    async def _lock(self, connection: Connection, user_id: UUID) -> Addressee:
        row = await connection.fetchrow(Q.lock_account, user_id)
        assert row is not None  # noqa: S101  rows of users stay
        return Addressee.of(row)

    async def _store(
        self,
        connection: Connection,
        call: Call,
        addressee: Addressee,
        phc: str,
        action: AuditAction,
    ) -> None:
        """Stores a password, ends what was opened with the old one, and tells the owner."""
        user_id = addressee.user_id
        caller = call.access.caller
        kept = caller.credential_id if caller and caller.user_id == user_id else None
        await connection.execute(Q.store_password, user_id, phc, read_salt(phc), ALGORITHM)
        await end_all_sessions(connection, call, user_id, kept)
        # Who knew the old password may have asked for them.
        for purpose in (Purpose.RESET_PASSWORD, Purpose.CHANGE_EMAIL):
            await withdraw_tokens(connection, purpose, user_id)
        await audit(connection, call, action, "user", user_id, addressee.username)
        await mail_notice(connection, self._key, "password_changed", addressee)
