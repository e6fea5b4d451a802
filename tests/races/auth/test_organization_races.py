"""Two callers and one organisation: in each order it keeps an owner, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import asyncpg
import pytest
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest

from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from tests.support.api import Account, Api
from tests.support.organizations import Studio, accept, decline, read_mailed_tokens
from tests.support.rivals import together
from tests.support.waiting import until_blocked


@pytest.mark.parametrize("way", ["leave", "demote each other", "remove each other"])
async def test_an_owner_stays_whoever_goes_at_once(api: Api, way: str) -> None:
    studio = await Studio.open(api)
    for _ in range(5):
        owners = [await studio.join("owner") for _ in range(4)]
        for former in set(await studio.roles()) - {owner.username for owner in owners}:
            await api.fetch(
                """DELETE FROM organization_members
                   WHERE user_id = (SELECT id FROM users WHERE username = $1)""",
                former,
            )
        calls: list[Awaitable[object]] = []
        for place, owner in enumerate(owners):
            other = owners[(place + 1) % len(owners)]
            if way == "leave":
                calls.append(studio.leave(owner))
            elif way == "remove each other":
                calls.append(studio.remove(owner, other))
            else:
                calls.append(studio.change_role(owner, other, "member"))
        done, reasons = await together(*calls)
        roles = list((await studio.roles()).values())
        assert roles.count("owner") == len(owners) - done >= 1
        assert set(reasons) <= {"LAST_OWNER", "NOT_FOUND", "PERMISSION_MISSING"}


@pytest.mark.parametrize("deletion_first", [True, False])
async def test_no_repository_of_a_deleted_organisation(api: Api, deletion_first: bool) -> None:
    studio = await Studio.open(api, "admin")

    async def create(who: Account) -> object:
        return await api.repositories.CreateRepository(
            CreateRepositoryRequest(owner=studio.name, name="film"), metadata=who.auth
        )

    rivals = [studio.delete(studio.people["owner"]), create(studio.people["admin"])]
    if not deletion_first:
        rivals.reverse()
    ends = await _in_order(api, rivals)
    loser = "NOT_FOUND" if deletion_first else "OWNS_REPOSITORIES"
    assert ends == [(1, []), (0, [loser])]


async def test_a_former_name_cannot_be_taken_while_it_becomes_one(api: Api) -> None:
    """The rename has not committed when the other one waits for the name."""
    studio = await Studio.open(api, name="before")
    holder, observer = await asyncpg.connect(api.dsn), await asyncpg.connect(api.dsn)
    try:
        async with asyncio.TaskGroup() as tasks, holder.transaction():
            await holder.execute("UPDATE organizations SET name = 'after'")
            await holder.execute(
                """INSERT INTO former_names
                   SELECT 'before', 'organization', id, now() + interval '1 day' FROM organizations"""
            )
            end = tasks.create_task(together(Studio.open(api, name="before")))
            await until_blocked(observer)
    finally:
        await holder.close()
        await observer.close()
    assert end.result() == (0, ["NAME_TAKEN"])
    assert (await studio.get(studio.people["owner"])).name == "after"


async def test_one_seat_is_taken_once(api: Api, settings: Settings) -> None:
    """By two who accept, and by one who accepts while another is invited, in each order."""
    key = ServerKey.load(settings.server_key, settings.data_dir)
    studio = await Studio.open(api)
    owner, people = studio.people["owner"], [await api.account() for _ in range(6)]
    for person in people:
        await studio.invite(owner, f"{person.username}@example.com")
    tokens = await read_mailed_tokens(api, key)
    await api.fetch("UPDATE organizations SET plan_seats = 2")
    done, reasons = await together(
        *(accept(api, who, token=token) for who, token in zip(people, tokens, strict=True))
    )
    assert (done, set(reasons)) == (1, {"LIMIT_REACHED"})
    assert len(await studio.roles()) == 2


async def test_an_invitation_is_accepted_once(api: Api, settings: Settings) -> None:
    key = ServerKey.load(settings.server_key, settings.data_dir)
    studio = await Studio.open(api)
    for number in range(5):
        ada = await api.account()
        made = await studio.invite(studio.people["owner"], f"{ada.username}@example.com")
        token = (await read_mailed_tokens(api, key))[number]
        calls: list[Awaitable[object]] = [accept(api, ada, token=token) for _ in range(3)]
        calls += [decline(api, ada, token=token), studio.revoke(studio.people["owner"], made)]
        done, reasons = await together(*calls[number:], *calls[:number])
        assert set(reasons) <= {"INVITATION_CLOSED"}
        is_member = ada.username in await studio.roles()
        # One end wins, and is the answer of those who asked for it.
        assert done == (3 if is_member else 1)
    rows = await api.fetch(
        """SELECT num_nonnulls(accepted_at, declined_at, revoked_at) AS ends
           FROM organization_invitations"""
    )
    assert {row["ends"] for row in rows} == {1}


@pytest.mark.parametrize("acceptance_first", [True, False])
async def test_the_last_seat_is_accepted_or_promised(
    api: Api, settings: Settings, acceptance_first: bool
) -> None:
    """The place of an invitation is its own: whoever is invited at that moment finds none."""
    key = ServerKey.load(settings.server_key, settings.data_dir)
    studio, ada = await Studio.open(api), await api.account()
    await studio.invite(studio.people["owner"], f"{ada.username}@example.com")
    [token] = await read_mailed_tokens(api, key)
    await api.fetch("UPDATE organizations SET plan_seats = 2")
    rivals: list[Awaitable[object]] = [
        accept(api, ada, token=token),
        studio.invite(studio.people["owner"], "more@example.com"),
    ]
    outcomes = [(1, []), (0, ["LIMIT_REACHED"])]
    if not acceptance_first:
        rivals.reverse()
        outcomes.reverse()
    assert await _in_order(api, rivals) == outcomes


async def _in_order(api: Api, rivals: Sequence[Awaitable[object]]) -> list[tuple[int, list[str]]]:
    """How calls end that wait for the same organisation, each behind the one before."""
    holder, observer = await asyncpg.connect(api.dsn), await asyncpg.connect(api.dsn)
    try:
        async with asyncio.TaskGroup() as tasks, holder.transaction():
            await holder.execute("SELECT FROM organizations FOR NO KEY UPDATE")
            ends = []
            for count, rival in enumerate(rivals, 1):
                ends.append(tasks.create_task(together(rival)))
                await until_blocked(observer, count)
    finally:
        await holder.close()
        await observer.close()
    return [end.result() for end in ends]
