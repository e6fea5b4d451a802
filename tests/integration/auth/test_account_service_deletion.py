"""AccountService: deleting an account."""

from __future__ import annotations

from dits.auth.v1 import account_service_pb2 as pb
from dits.auth.v1.session_service_pb2 import LoginRequest
from google.rpc.error_details_pb2 import PreconditionFailure
from grpc import StatusCode

from shared.runtime.server_key import ServerKey
from tests.support.accounts import PASSWORD, registration
from tests.support.api import Api, refused
from tests.support.mailed_links import (
    delete_account,
    log_in,
    read_mails,
    read_me,
    register,
    request_reset,
)
from tests.support.organizations import Studio

# Whatever else refers to an account stays: the history, the audit log, who invited whom.
_OWN_TABLES = """
    sessions api_tokens ssh_keys user_keys user_credentials one_time_tokens notifications inboxes
    notification_preferences branch_follows organization_members team_members
""".split()


async def test_nothing_is_left_of_a_deleted_account(api: Api, key: ServerKey) -> None:
    ada = await register(api)
    studio = await Studio.open(api)
    await studio.join("member", ada)
    await studio.invite(studio.people["owner"], "x@example.com")
    # Whoever goes need not be let in.
    await api.fetch("UPDATE organizations SET settings = settings || '{\"require_mfa\": true}'")
    await api.api_token(ada, "user:read")
    token = await api.api_token(ada, "user:read")
    await request_reset(api, "ada")
    await read_mails(api, key, "reset_password")
    await delete_account(api, ada, validate_only=True)
    assert (await read_me(api, ada)).username == "ada"
    await delete_account(api, ada, username="ADA")
    for who in (ada, token):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            await read_me(api, who)
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.sessions.Login(LoginRequest(login="ada", password=PASSWORD))
    for table in _OWN_TABLES:
        assert await api.value(f"SELECT count(*) FROM {table} WHERE user_id = $1", ada.id) == 0
    [row] = await api.fetch("SELECT * FROM users WHERE id = $1", ada.id)
    assert (row["status"], row["username"], row["email"]) == (
        "deleted", f"deleted.{ada.id}", f"deleted.{ada.id}",
    )  # fmt: skip
    assert row["deleted_at"] is not None
    assert "ada" not in str(row).replace(str(ada.id), "")
    rows = await api.fetch("SELECT * FROM audit_log WHERE actor_id = $1", ada.id)
    actions = sorted(row["action"] for row in rows)
    assert actions == ["member.removed", "session.opened", "user.deleted", "user.registered"]
    assert await api.value("SELECT count(*) FROM events WHERE type = 'member.removed'") == 1
    assert [address for address, _ in await read_mails(api, key, "account_deleted")] == [
        "ada@example.com"
    ]
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        request = pb.GetUserRequest(user=str(ada.id))
        await api.accounts.GetUser(request, metadata=studio.people["owner"].auth)
    # Name and address are free.
    await api.accounts.Register(registration())
    await log_in(api, "ada")


async def test_the_last_owner_stays_and_is_told_of_all_organisations(api: Api) -> None:
    studio = await Studio.open(api, "admin")
    owner, admin = studio.people["owner"], studio.people["admin"]
    other = await Studio.open(api)
    await other.join("owner", owner)
    third = await Studio.open(api)
    await third.join("owner", owner)
    await third.change_role(owner, third.people["owner"], "member")
    with refused(StatusCode.FAILED_PRECONDITION, "LAST_OWNER") as refusal:
        await delete_account(api, owner)
    named = {each.subject for each in refusal.detail(PreconditionFailure).violations}
    assert named == {studio.name, third.name}
    assert refusal.metadata["count"] == "2"
    await studio.change_role(owner, admin, "owner")
    await third.change_role(owner, third.people["owner"], "owner")
    await delete_account(api, owner)
    assert await studio.roles() == {admin.username: "owner"}


async def test_an_owner_of_repositories_stays_and_is_told_of_them(api: Api) -> None:
    ada = await api.account()
    for name in ("film", "game"):
        await api.repository(ada, name)
    for is_trial in (True, False):
        with refused(StatusCode.FAILED_PRECONDITION, "OWNS_REPOSITORIES") as refusal:
            await delete_account(api, ada, validate_only=is_trial)
    named = [each.subject for each in refusal.detail(PreconditionFailure).violations]
    assert named == [f"{ada.username}/film", f"{ada.username}/game"]


async def test_who_may_not_delete(api: Api) -> None:
    ada = await api.account()
    for who in (await api.session(ada, sudo=False), await api.api_token(ada, "user:write")):
        with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
            await delete_account(api, who)
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await delete_account(api, await api.api_token(ada, "user:read"))
    for username in ("", "somebody"):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await delete_account(api, ada, username=username)
