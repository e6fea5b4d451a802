"""docs/permissions.md: each RPC of its table, called as each role, answers as the table says."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from tests.support.api import Account, Api, read_error
from tests.support.organizations import ROLES, Studio

PAGE = Path(__file__).parents[3] / "docs/permissions.md"
ROW = re.compile(
    r"^\| (\w+(?:: [^|]+)?) \| (yes|no) \| (yes|no) \| (yes|no) \| (yes|no) \|$", re.MULTILINE
)
TABLE = {match[1]: match.groups()[1:] for match in ROW.finditer(PAGE.read_text())}

Attempt = Callable[[Studio, Account], Awaitable[object]]


async def _change_another(studio: Studio, who: Account) -> object:
    return await studio.change_role(who, await studio.join("member"), "billing")


async def _change_an_owner(studio: Studio, who: Account) -> object:
    await studio.change_role(who, await studio.join("owner"), "member")
    return await studio.change_role(who, await studio.join("member"), "owner")


async def _remove_another(studio: Studio, who: Account) -> None:
    await studio.remove(who, await studio.join("member"))


async def _remove_an_owner(studio: Studio, who: Account) -> None:
    await studio.remove(who, await studio.join("owner"))


async def _leave(studio: Studio, who: Account) -> None:
    await studio.join("owner")
    await studio.leave(who)


async def _resend(studio: Studio, who: Account) -> object:
    return await studio.resend(who, await studio.invite(studio.people["owner"], "a@example.com"))


async def _revoke(studio: Studio, who: Account) -> None:
    await studio.revoke(who, await studio.invite(studio.people["owner"], "a@example.com"))


ATTEMPTS: dict[str, Attempt] = {
    "GetOrganization": lambda studio, who: studio.get(who),
    "ListMembers": lambda studio, who: studio.list_members(who),
    "UpdateOrganization: `name`": lambda studio, who: studio.update(who, name=f"{studio.name}x"),
    "UpdateOrganization: `billing_email`": lambda studio, who: studio.update(
        who, billing_email="a@example.com"
    ),
    "UpdateOrganization: everything else": lambda studio, who: studio.update(
        who, display_name="x", description="x", avatar_url="", email="", website=""
    ),
    "DeleteOrganization": lambda studio, who: studio.delete(who),
    "UpdateMemberRole": _change_another,
    "UpdateMemberRole: to or from owner": _change_an_owner,
    "RemoveMember": _remove_another,
    "RemoveMember: an owner": _remove_an_owner,
    "ListInvitations": lambda studio, who: studio.list_invitations(who),
    "CreateInvitation": lambda studio, who: studio.invite(who, "a@example.com"),
    "CreateInvitation: of an owner": lambda studio, who: studio.invite(
        who, "a@example.com", "owner"
    ),
    "ResendInvitation": _resend,
    "RevokeInvitation": _revoke,
    "LeaveOrganization": _leave,
}


def test_each_row_is_tried() -> None:
    assert TABLE.keys() == ATTEMPTS.keys()


async def test_the_table_is_true(api: Api, subtests: pytest.Subtests) -> None:
    for row, answers in TABLE.items():
        for role, answer in zip(ROLES, answers, strict=True):
            with subtests.test(f"{row} as {role}"):
                studio = await Studio.open(api, *ROLES[1:])
                assert await _end_of(ATTEMPTS[row](studio, studio.people[role])) == (
                    "" if answer == "yes" else "PERMISSION_MISSING"
                )


async def test_strangers_find_nothing(api: Api, subtests: pytest.Subtests) -> None:
    for row, attempt in ATTEMPTS.items():
        with subtests.test(row):
            studio = await Studio.open(api)
            assert await _end_of(attempt(studio, await api.account())) == "NOT_FOUND"


async def _end_of(call: Awaitable[object]) -> str:
    """Returns the reason with which a call was refused; empty = it was not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return read_error(error).reason
    return ""
