"""Accounts with SSH keys, through the API."""

from __future__ import annotations

from pathlib import Path

from dits.auth.v1.key_service_pb2 import AddSshKeyRequest, CreateKeyChallengeRequest, SshKey
from dits.auth.v1.session_service_pb2 import (
    CreateSshChallengeRequest,
    IssuedSession,
    LoginWithSshRequest,
)

from tests.support.api import Account, Api
from tests.support.ssh import make_key, public_line, sign


async def key_challenge(api: Api, account: Account) -> str:
    """Returns a challenge for a key that the account wants to add."""
    issued = await api.keys.CreateKeyChallenge(CreateKeyChallengeRequest(), metadata=account.auth)
    text: str = issued.challenge
    return text


async def key_request(
    api: Api, account: Account, key: Path, name: str = "desk"
) -> AddSshKeyRequest:
    """Returns a good request to add a key."""
    challenge = await key_challenge(api, account)
    return AddSshKeyRequest(
        name=name,
        public_key=public_line(key),
        challenge=challenge,
        signature=sign(key, challenge, "dits-key-v1"),
    )


async def add_key(
    api: Api, account: Account, key: Path | None = None, name: str = "desk"
) -> SshKey:
    """Adds a key to an account, by default one of ed25519."""
    request = await key_request(api, account, key or make_key("ed25519"), name)
    response = await api.keys.AddSshKey(request, metadata=account.auth)
    added: SshKey = response.key
    return added


async def login_request(api: Api, login: str, key: Path | None = None) -> LoginWithSshRequest:
    """Returns a request to log in with a key."""
    issued = await api.sessions.CreateSshChallenge(CreateSshChallengeRequest(login=login))
    signature = sign(key or make_key("ed25519"), issued.challenge, issued.namespace)
    return LoginWithSshRequest(challenge=issued.challenge, signature=signature, device_name="desk")


async def log_in_with_key(api: Api, login: str, key: Path | None = None) -> IssuedSession:
    """Opens a session."""
    response = await api.sessions.LoginWithSsh(await login_request(api, login, key))
    session: IssuedSession = response.session
    return session
