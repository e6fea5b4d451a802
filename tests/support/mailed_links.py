"""Accounts with a password, and the links that are mailed to them."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Mapping
from typing import Any

from dits.auth.v1 import account_service_pb2 as pb
from dits.auth.v1.session_service_pb2 import LoginRequest

from services.auth.mail.parameters import unseal_parameters
from shared.runtime.server_key import ServerKey
from tests.support.accounts import PASSWORD, registration
from tests.support.api import Account, Api
from tests.support.waiting import PATIENCE_SECONDS

NEW = "another long secret"
REQUESTED = """SELECT NOT EXISTS (SELECT FROM jobs WHERE job_type = 'send_account_link'
                                  AND status IN ('pending', 'running'))"""


async def read_mails(
    api: Api, key: ServerKey, template: str
) -> list[tuple[str, Mapping[str, str]]]:
    """Returns address and parameters of the mails of a template, oldest first, once all are made."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await api.value(REQUESTED):
            pass
    rows = await api.fetch(
        """SELECT payload ->> 'address' AS address, payload ->> 'sealed_parameters' AS sealed FROM jobs
           WHERE payload ->> 'template' = $1 ORDER BY created_at, id""",
        template,
    )
    found = [
        (row["address"], unseal_parameters(key, base64.b64decode(row["sealed"]))) for row in rows
    ]
    return [(address, unsealed.values) for address, unsealed in found if unsealed is not None]


async def read_tokens(api: Api, key: ServerKey, template: str) -> list[str]:
    """Returns the tokens of the mails of a template, oldest first, once all are made."""
    return [values["token"] for _, values in await read_mails(api, key, template)]


async def register(api: Api, username: str = "ada") -> Account:
    """Returns a new account with a password, logged in."""
    await api.accounts.Register(registration(username=username, email=f"{username}@example.com"))
    return await log_in(api, username)


async def log_in(api: Api, login: str, password: str = PASSWORD) -> Account:
    """Returns an account with another session."""
    request = LoginRequest(login=login, password=password)
    session = (await api.sessions.Login(request)).session
    return Account(uuid.UUID(session.user_id), session.username, session.token)


async def request_reset(api: Api, login: str) -> None:
    """Asks for a link that resets a password."""
    await api.accounts.RequestPasswordReset(pb.RequestPasswordResetRequest(login=login))


async def reset(api: Api, token: str, password: str = NEW, request_id: str = "") -> None:
    """Resets a password by a link."""
    request = pb.ResetPasswordRequest(token=token, new_password=password, request_id=request_id)
    await api.accounts.ResetPassword(request)


async def change_password(
    api: Api, who: Account, new: str = NEW, current: str = PASSWORD
) -> Account:
    """Changes a password; returns the account with the new token of its session."""
    request = pb.ChangePasswordRequest(current_password=current, new_password=new)
    answer = await api.accounts.ChangePassword(request, metadata=who.auth)
    return Account(who.id, who.username, answer.session.token)


async def verify(api: Api, token: str, request_id: str = "") -> bool:
    """Opens a link that verifies an address; returns whether a change waits for another one."""
    request = pb.VerifyEmailRequest(token=token, request_id=request_id)
    answer = await api.accounts.VerifyEmail(request)
    return bool(answer.waits_for_other_address)


async def resend(api: Api, login: str) -> None:
    """Asks for another link that verifies an address."""
    await api.accounts.ResendVerification(pb.ResendVerificationRequest(login=login))


async def read_me(api: Api, who: Account) -> pb.User:
    """Returns the account as its owner sees it."""
    answer = await api.accounts.GetMe(pb.GetMeRequest(), metadata=who.auth)
    user: pb.User = answer.user
    return user


async def update(api: Api, who: Account, *paths: str, **values: Any) -> pb.User:
    """Changes fields of an account, those of `values` or the paths that are named."""
    request = pb.UpdateProfileRequest(values=pb.User(**values))
    request.update_mask.paths.extend(paths or values)
    answer = await api.accounts.UpdateProfile(request, metadata=who.auth)
    user: pb.User = answer.user
    return user


async def delete_account(api: Api, who: Account, **fields: Any) -> None:
    """Deletes an account."""
    request = pb.DeleteAccountRequest(**{"username": who.username, **fields})
    await api.accounts.DeleteAccount(request, metadata=who.auth)
