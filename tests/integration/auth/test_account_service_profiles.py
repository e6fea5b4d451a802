"""AccountService: profiles, and changes of the address."""

from __future__ import annotations

from typing import Any

from dits.auth.v1 import account_service_pb2 as pb
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from shared.runtime.server_key import ServerKey
from tests.support.api import Account, Api, refused
from tests.support.mailed_links import (
    NEW,
    log_in,
    read_mails,
    read_me,
    read_tokens,
    register,
    request_reset,
    reset,
    update,
    verify,
)
from tests.support.organizations import verify_address


async def read_profile(api: Api, who: Account, user: str) -> pb.UserProfile:
    answer = await api.accounts.GetUser(pb.GetUserRequest(user=user), metadata=who.auth)
    profile: pb.UserProfile = answer.user
    return profile


async def test_others_see_a_profile_by_name_or_id(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    await update(api, ada, name="Ada Lovelace", avatar_url="https://example.com/a.png")
    for user in (ada.username.upper(), str(ada.id)):
        profile = await read_profile(api, bob, user)
        assert (profile.name, profile.avatar_url) == ("Ada Lovelace", "https://example.com/a.png")
        assert "example.com'" not in str(profile).replace("a.png", "")
    for status, reason in (("suspended", ""), ("pending_verification", "NOT_FOUND")):
        await api.fetch("UPDATE users SET status = $2 WHERE id = $1", ada.id, status)
        if reason:
            with refused(StatusCode.NOT_FOUND, reason):
                await read_profile(api, bob, ada.username)
        else:
            await read_profile(api, bob, ada.username)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await read_profile(api, bob, "a b")
    [row] = await api.fetch("SELECT * FROM audit_log WHERE action = 'user.updated'")
    assert row["details"] == '{"fields": ["name", "avatar_url"]}'


async def test_preferences_are_set_one_by_one_or_all_at_once(api: Api) -> None:
    ada = await api.account()
    await update(api, ada, preferences={"theme": "dark", "grid": "on"})
    changed = await update(
        api, ada, "preferences.theme", "preferences.grid", "preferences.zoom",
        preferences={"theme": "light", "zoom": "2", "other": "not named"},
    )  # fmt: skip
    assert changed.preferences == {"theme": "light", "zoom": "2"}
    assert (await read_me(api, ada)).preferences == changed.preferences
    assert (await update(api, ada, preferences={"a": ""})).preferences == {"a": ""}
    assert (await update(api, ada, "preferences")).preferences == {}
    many = {f"key{number}": "x" * 1000 for number in range(50)}
    assert len((await update(api, ada, preferences=many)).preferences) == 50
    for more in ({"one_more": ""}, {**many, "one_more": ""}):
        with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"):
            await update(api, ada, "preferences.one_more", preferences=more)
    assert await api.value("SELECT count(*) FROM audit_log") == 0


async def test_bad_profiles(api: Api) -> None:
    ada = await api.account()
    bad: list[tuple[tuple[str, ...], dict[str, Any]]] = [
        ((), {}),
        (("username",), {"username": "eve"}),
        (("status",), {}),
        (("name",) * 101, {"name": "x"}),
        ((), {"name": ""}),
        ((), {"name": "x" * 256}),
        ((), {"name": "a\nb"}),
        ((), {"avatar_url": "ftp://example.com"}),
        ((), {"avatar_url": "javascript:alert(1)"}),
        ((), {"avatar_url": "https://ada:secret@example.com/a.png"}),
        ((), {"email": "nobody"}),
        ((), {"email": "a" * 250 + "@b.de"}),
        ((), {"preferences": {"Theme": "x"}}),
        ((), {"preferences": {"": "x"}}),
        ((), {"preferences": {"a" * 64: "x"}}),
        ((), {"preferences": {"a": "x" * 1001}}),
        ((), {"preferences": {"a": "x\0"}}),
        (("preferences.a.b",), {}),
    ]
    for paths, values in bad:
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await update(api, ada, *paths, **values)
        [violation] = refusal.detail(BadRequest).field_violations
        assert violation.field.startswith(("values.", "update_mask"))


async def test_an_address_changes_once_both_have_confirmed(api: Api, key: ServerKey) -> None:
    ada = await register(api)
    await verify_address(api, ada)
    await request_reset(api, "ada")
    [link] = await read_tokens(api, key, "reset_password")
    for position in ([0, 1], [1, 0]):
        old = (await read_me(api, ada)).email
        email = f"ada{position[0]}@example.org"
        changed = await update(api, ada, email=email)
        assert (changed.email, changed.pending_email) == (old, email)
        # In one transaction: neither is the first.
        mails = dict((await read_mails(api, key, "change_email"))[-2:])
        assert mails.keys() == {email, old}
        first, second = (mails[[email, old][index]]["token"] for index in position)
        assert await verify(api, first)
        assert (await read_me(api, ada)).email == old
        assert not await verify(api, second)
        me = await read_me(api, ada)
        assert (me.email, me.email_verified, me.pending_email) == (email, True, "")
        [*_, (told, values)] = await read_mails(api, key, "email_changed")
        assert (told, values["new_email"]) == (old, email)
        await log_in(api, email)
    # What went to the old address is good no more.
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await reset(api, link, NEW)
    rows = await api.fetch("SELECT action FROM audit_log WHERE action LIKE 'email.%' ORDER BY 1")
    assert [row["action"] for row in rows] == [
        *["email.change_requested"] * 2,
        *["email.changed"] * 2,
    ]


async def test_an_address_that_was_never_verified_confirms_nothing(
    api: Api, key: ServerKey
) -> None:
    ada = await register(api)
    await update(api, ada, email="ada@example.org")
    [(address, values)] = await read_mails(api, key, "change_email")
    assert address == "ada@example.org"
    assert not await verify(api, values["token"])
    assert (await read_me(api, ada)).email_verified


async def test_another_change_ends_the_one_that_is_pending(api: Api, key: ServerKey) -> None:
    ada = await register(api)
    await update(api, ada, email="first@example.org")
    assert (await update(api, ada, email="ada@example.com")).pending_email == ""
    await update(api, ada, email="second@example.org")
    first, second = await read_tokens(api, key, "change_email")
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await verify(api, first)
    await verify(api, second)
    assert (await read_me(api, ada)).email == "second@example.org"


async def test_only_changes_that_mail_links_are_counted(api: Api) -> None:
    ada = await register(api)
    await update(api, ada, preferences={f"key{number}": "" for number in range(50)})
    for _ in range(4):
        with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"):
            await update(
                api, ada, "email", "preferences.b", email="x@example.org", preferences={"b": ""}
            )
        await update(api, ada, email="ada@example.com")
    for number in range(3):
        await update(api, ada, email=f"ada{number}@example.org")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
        await update(api, ada, email="ada3@example.org")
    assert (await read_me(api, ada)).pending_email == "ada2@example.org"


async def test_an_address_of_another_account_is_told_to_its_owner_alone(
    api: Api, key: ServerKey
) -> None:
    ada, _ = await register(api), await register(api, "bob")
    changed = await update(api, ada, email="BOB@example.com")
    assert changed.pending_email == "BOB@example.com"
    [token] = await read_tokens(api, key, "change_email")
    for _ in range(2):
        with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
            await verify(api, token)
    assert (await read_me(api, ada)).email == "ada@example.com"


async def test_a_change_of_address_needs_sudo_and_is_limited(api: Api) -> None:
    ada = await register(api)
    plain = await api.session(ada, sudo=False)
    await update(api, plain, name="Ada")
    token = await api.api_token(ada, "user:write")
    for who in (plain, token):
        with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
            await update(api, who, email="ada@example.org")
    for number in range(3):
        await update(api, ada, email=f"ada{number}@example.org")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
        await update(api, ada, email="ada@example.org")
