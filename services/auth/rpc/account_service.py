"""Accounts: creating, reading and changing them."""

from __future__ import annotations

from functools import partial

from dits.auth.v1 import account_service_pb2 as pb

from services.auth.accounts.address_changes import begin_address_change
from services.auth.accounts.deletion import Deletion, delete_account
from services.auth.accounts.link_requests import request_link
from services.auth.accounts.password_changes import PasswordChanges
from services.auth.accounts.profiles import (
    ProfileChange,
    describe_user,
    find_profile,
    read_user,
    update_profile,
)
from services.auth.accounts.registration import Registration, find_taken, register
from services.auth.accounts.spent_links import parse_token
from services.auth.accounts.verification import verify_email
from services.auth.credentials import passwords, throttles
from services.auth.credentials.one_time_tokens import Purpose
from services.auth.logins import parse_login
from shared.db.pool import Connection, Database
from shared.errors import DomainError, permission_missing
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey


class AccountService:
    """The RPCs of dits.auth.v1.AccountService."""

    def __init__(
        self,
        database: Database,
        writes: IdempotentWrites,
        hasher: passwords.Hasher,
        password_changes: PasswordChanges,
        key: ServerKey,
        *,
        is_open: bool,
        needs_verification: bool,
    ) -> None:
        """`hasher`: not that of logins, which do not wait for registrations.

        `is_open`: everyone may create an account. `needs_verification`: it cannot log in before.
        """
        self._needs_verification = needs_verification
        self._database = database
        self._writes = writes
        self._hasher = hasher
        self._password_changes = password_changes
        self._key = key
        self._is_open = is_open

    async def Register(self, request: pb.RegisterRequest, call: Call) -> pb.RegisterResponse:
        """Creates an account with a password. What is refused, or repeated, costs no hash."""
        if not self._is_open:
            raise permission_missing("open registration")
        make = partial(self._register, Registration.parse(request), request, call)
        return await self._writes.find_or_make(
            call, Repeatable.of(request), pb.RegisterResponse, make
        )

    async def _register(
        self, registration: Registration, request: pb.RegisterRequest, call: Call
    ) -> pb.RegisterResponse:
        buckets = throttles.registration_buckets(call.peer_ip)
        await throttles.reserve(self._database, buckets)
        taken = await find_taken(self._database, registration.account)
        if taken is not None:
            raise taken
        phc = await self._hash(registration, buckets)

        async def create(connection: Connection) -> pb.RegisterResponse:
            row = await register(
                connection,
                call,
                registration.account,
                phc,
                self._key,
                needs_verification=self._needs_verification,
            )
            return pb.RegisterResponse(user=describe_user(row))

        return await self._writes.once(call, Repeatable.of(request), pb.RegisterResponse, create)

    async def _hash(self, registration: Registration, buckets: list[throttles.Bucket]) -> str:
        """Returns the hash of the password. Raises SERVER_BUSY, and then the attempt does not count."""
        try:
            return await self._hasher.hash(registration.password)
        except DomainError:
            async with self._database.connection() as connection:
                await throttles.give_back(connection, buckets)
            raise

    async def VerifyEmail(
        self, request: pb.VerifyEmailRequest, call: Call
    ) -> pb.VerifyEmailResponse:
        """Makes the address that a link went to a verified one."""
        token = parse_token(request.token)

        async def verify(connection: Connection) -> pb.VerifyEmailResponse:
            is_waiting = await verify_email(connection, call, self._key, token)
            return pb.VerifyEmailResponse(waits_for_other_address=is_waiting)

        return await self._writes.once(call, Repeatable.of(request), pb.VerifyEmailResponse, verify)

    async def ResendVerification(
        self, request: pb.ResendVerificationRequest, call: Call
    ) -> pb.ResendVerificationResponse:
        """Has the link that verifies an address mailed once more."""
        login = parse_login(request.login)
        await request_link(self._database, self._key, Purpose.VERIFY_EMAIL, login, call.peer_ip)
        return pb.ResendVerificationResponse()

    async def RequestPasswordReset(
        self, request: pb.RequestPasswordResetRequest, call: Call
    ) -> pb.RequestPasswordResetResponse:
        """Has a link mailed that resets a password."""
        login = parse_login(request.login)
        await request_link(self._database, self._key, Purpose.RESET_PASSWORD, login, call.peer_ip)
        return pb.RequestPasswordResetResponse()

    async def ResetPassword(
        self, request: pb.ResetPasswordRequest, call: Call
    ) -> pb.ResetPasswordResponse:
        """Gives the account of a link a new password."""
        return await self._password_changes.reset(request, call)

    async def ChangePassword(
        self, request: pb.ChangePasswordRequest, call: Call
    ) -> pb.ChangePasswordResponse:
        """Changes the caller's password, and ends the other sessions."""
        return pb.ChangePasswordResponse(session=await self._password_changes.change(request, call))

    async def GetMe(self, request: pb.GetMeRequest, call: Call) -> pb.GetMeResponse:
        """Returns the caller's own account."""
        del request
        return pb.GetMeResponse(user=await read_user(self._database, call.caller.user_id))

    async def GetUser(self, request: pb.GetUserRequest, call: Call) -> pb.GetUserResponse:
        """Returns what an account shows to others."""
        del call
        return pb.GetUserResponse(user=await find_profile(self._database, request.user))

    async def UpdateProfile(
        self, request: pb.UpdateProfileRequest, call: Call
    ) -> pb.UpdateProfileResponse:
        """Changes fields of the caller's account, and begins to change its address."""
        change, user_id = ProfileChange.parse(request), call.caller.user_id
        if change.email is not None:
            call.require_sudo()

        async def update(connection: Connection) -> None:
            await update_profile(connection, call, change)
            if change.email is not None:
                await begin_address_change(connection, call, self._key, change.email)

        await self._database.transaction(update)
        return pb.UpdateProfileResponse(user=await read_user(self._database, user_id))

    async def DeleteAccount(
        self, request: pb.DeleteAccountRequest, call: Call
    ) -> pb.DeleteAccountResponse:
        """Deletes the caller's account."""
        deletion = Deletion.parse(request, call)

        async def delete(connection: Connection) -> None:
            await delete_account(connection, call, self._key, deletion)

        await self._database.transaction(delete)
        return pb.DeleteAccountResponse()
