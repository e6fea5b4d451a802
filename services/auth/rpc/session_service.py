"""Sessions: logging in and out."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from dits.auth.v1 import session_service_pb2 as pb

from services.auth.access.credential_uses import CredentialUses
from services.auth.credentials import devices
from services.auth.credentials.challenges import MAX_CHARACTERS, Challenges
from services.auth.credentials.elevation import Elevation, parse_proof
from services.auth.credentials.mfa_login import MfaAttempt, MfaLogin
from services.auth.credentials.one_time_tokens import Purpose
from services.auth.credentials.password_login import LoginAttempt, PasswordLogin
from services.auth.credentials.passwords import Hasher
from services.auth.credentials.session_refresh import SessionRefresh
from services.auth.credentials.sessions import (
    describe_session,
    end_all_sessions,
    end_session,
    list_sessions,
)
from services.auth.credentials.ssh_keys import parse_signature_field
from services.auth.credentials.ssh_login import SshAttempt, SshLogin
from services.auth.logins import fold_login
from shared.db.pool import Database
from shared.errors import invalid_field
from shared.formats.sshsig import LOGIN_NAMESPACE
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey


class SessionService:
    """The RPCs of dits.auth.v1.SessionService."""

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        key: ServerKey,
        challenges: Challenges,
        uses: CredentialUses,
    ) -> None:
        self._database = database
        self._key = key
        self._refresh = SessionRefresh(database, key)
        self._devices = devices.DeviceTokens(key)
        self._challenges = challenges
        self._mfa = MfaLogin(database, key, challenges, self._devices)
        self._passwords = PasswordLogin(
            database, hasher, self._devices, self._mfa, uses.add_failure
        )
        self._ssh = SshLogin(database, challenges, self._devices, uses.add_ssh_key)
        self._elevation = Elevation(database, key, hasher, challenges, uses.add_ssh_key)

    async def Login(self, request: pb.LoginRequest, call: Call) -> pb.LoginResponse:
        """Opens a session for a username or e-mail address and its password, or asks for a code."""
        return await self._passwords.log_in(LoginAttempt.parse(request), call)

    async def CompleteMfa(
        self, request: pb.CompleteMfaRequest, call: Call
    ) -> pb.CompleteMfaResponse:
        """Opens the session of a login by a code of the second factor."""
        attempt = MfaAttempt.parse(request)
        return pb.CompleteMfaResponse(session=await self._mfa.complete(attempt, call))

    async def CreateSshChallenge(
        self, request: pb.CreateSshChallengeRequest, call: Call
    ) -> pb.CreateSshChallengeResponse:
        """Returns a text for an SSH key to sign; nobody looks whether there is such an account."""
        del call
        login = fold_login(validation.text("login", request.login, least=1, most=254))
        issued = await self._challenges.issue(Purpose.SSH_CHALLENGE, login)
        return pb.CreateSshChallengeResponse(
            challenge=issued.text, expire_time=issued.expires, namespace=LOGIN_NAMESPACE
        )

    async def LoginWithSsh(
        self, request: pb.LoginWithSshRequest, call: Call
    ) -> pb.LoginWithSshResponse:
        """Opens a session for an SSH key of the account that has signed a challenge."""
        attempt = SshAttempt(
            validation.text("challenge", request.challenge, least=1, most=MAX_CHARACTERS),
            parse_signature_field(request.signature),
            validation.text("device_name", request.device_name, most=255),
            validation.text("device_token", request.device_token, most=devices.MAX_CHARACTERS),
        )
        return pb.LoginWithSshResponse(session=await self._ssh.open_session(attempt, call))

    async def Elevate(self, request: pb.ElevateRequest, call: Call) -> pb.ElevateResponse:
        """Gives the session that the call came with sudo."""
        if not call.caller.is_session:
            raise invalid_field("authorization", "an API token cannot get sudo; use a session")
        return await self._elevation.elevate(call, parse_proof(request))

    async def Logout(self, request: pb.LogoutRequest, call: Call) -> pb.LogoutResponse:
        """Ends the session that the call came with."""
        del request
        caller = call.caller
        if not caller.is_session:
            raise invalid_field("authorization", "an API token cannot log out; revoke it instead")

        await self._database.transaction(
            partial(end_session, call=call, user_id=caller.user_id, session_id=caller.credential_id)
        )
        return pb.LogoutResponse()

    async def RefreshSession(
        self, request: pb.RefreshSessionRequest, call: Call
    ) -> pb.RefreshSessionResponse:
        """Replaces the token of a session."""
        token = validation.text("session_token", request.session_token, least=1, most=255)
        return pb.RefreshSessionResponse(session=await self._refresh.refresh(token, call))

    async def ListSessions(
        self, request: pb.ListSessionsRequest, call: Call
    ) -> pb.ListSessionsResponse:
        """Lists the caller's sessions."""
        page = Page(self._key, request, call)
        after = (datetime.fromisoformat(page.after[0]), UUID(page.after[1])) if page.after else None
        found = await list_sessions(
            self._database,
            call.caller.user_id,
            after,
            page.size + 1,
            include_ended=request.include_ended,
        )
        rows, token = page.answer(
            found, lambda row: (row["created_at"].isoformat(), str(row["id"]))
        )
        current = call.caller.credential_id
        return pb.ListSessionsResponse(
            sessions=[describe_session(row, current) for row in rows], next_page_token=token
        )

    async def RevokeSession(
        self, request: pb.RevokeSessionRequest, call: Call
    ) -> pb.RevokeSessionResponse:
        """Ends a session of the caller."""
        session_id = validation.uuid("session_id", request.session_id)
        await self._database.transaction(
            partial(end_session, call=call, user_id=call.caller.user_id, session_id=session_id)
        )
        return pb.RevokeSessionResponse()

    async def RevokeAllSessions(
        self, request: pb.RevokeAllSessionsRequest, call: Call
    ) -> pb.RevokeAllSessionsResponse:
        """Ends the sessions of the caller."""
        caller = call.caller
        kept = caller.credential_id if request.keep_current else None
        ended = await self._database.transaction(
            partial(end_all_sessions, call=call, user_id=caller.user_id, kept=kept)
        )
        return pb.RevokeAllSessionsResponse(revoked_count=ended)
