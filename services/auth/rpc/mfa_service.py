"""The second factor of the caller: enrolled, confirmed, taken away, and its recovery codes."""

from __future__ import annotations

from functools import partial

from dits.auth.v1 import mfa_service_pb2 as pb

from services.auth.credentials import second_factors
from shared.db.pool import Connection, Database
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey


class MfaService:
    """The RPCs of dits.auth.v1.MfaService."""

    def __init__(self, database: Database, writes: IdempotentWrites, key: ServerKey) -> None:
        self._database = database
        self._writes = writes
        self._key = key

    async def GetMfa(self, request: pb.GetMfaRequest, call: Call) -> pb.GetMfaResponse:
        """Tells whether the account has a second factor."""
        del request
        async with self._database.connection() as connection:
            return await second_factors.describe_factor(connection, call.caller.user_id)

    async def EnrollTotp(self, request: pb.EnrollTotpRequest, call: Call) -> pb.EnrollTotpResponse:
        """Makes a secret for an authenticator."""
        del request
        return await self._database.transaction(
            partial(second_factors.enroll_totp, call=call, key=self._key)
        )

    async def ConfirmTotp(
        self, request: pb.ConfirmTotpRequest, call: Call
    ) -> pb.ConfirmTotpResponse:
        """Makes the authenticator the second factor."""
        code = second_factors.parse_totp_code("code", request.code)

        async def confirm(connection: Connection) -> pb.ConfirmTotpResponse:
            codes = await second_factors.confirm_totp(connection, call, self._key, code)
            return pb.ConfirmTotpResponse(recovery_codes=codes)

        return await self._writes.once(
            call, Repeatable.of(request), pb.ConfirmTotpResponse, confirm
        )

    async def DisableTotp(
        self, request: pb.DisableTotpRequest, call: Call
    ) -> pb.DisableTotpResponse:
        """Takes the second factor away."""
        del request
        await self._database.transaction(
            partial(second_factors.disable_totp, call=call, key=self._key)
        )
        return pb.DisableTotpResponse()

    async def RegenerateRecoveryCodes(
        self, request: pb.RegenerateRecoveryCodesRequest, call: Call
    ) -> pb.RegenerateRecoveryCodesResponse:
        """Makes other recovery codes."""

        async def replace(connection: Connection) -> pb.RegenerateRecoveryCodesResponse:
            codes = await second_factors.replace_recovery_codes(connection, call, self._key)
            return pb.RegenerateRecoveryCodesResponse(recovery_codes=codes)

        return await self._writes.once(
            call, Repeatable.of(request), pb.RegenerateRecoveryCodesResponse, replace
        )
