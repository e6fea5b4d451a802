"""Locks of those who may no longer write: they last until they end, and others can end them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from dits.common.v1.permission_pb2 import Permission
from dits.repo.v1.grant_service_pb2 import RemoveGrantRequest, SetGrantRequest
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

from tests.support import organizations
from tests.support.api import refused
from tests.support.locks import Studio
from tests.support.waiting import PATIENCE_SECONDS

Loss = Callable[[Studio], Awaitable[None]]


async def lose_grant(studio: Studio) -> None:
    request = RemoveGrantRequest(repository=studio.repo.id, user=studio.bob.username)
    await studio.api.grants.RemoveGrant(request, metadata=studio.ada.auth)


async def be_reduced(studio: Studio) -> None:
    request = SetGrantRequest(
        repository=studio.repo.id,
        user=studio.bob.username,
        permission=Permission.PERMISSION_READ,
    )
    await studio.api.grants.SetGrant(request, metadata=studio.ada.auth)


async def be_suspended(studio: Studio) -> None:
    await studio.api.fetch("UPDATE users SET status = 'suspended' WHERE id = $1", studio.bob.id)


async def leave_organization(studio: Studio) -> None:
    await studio.api.fetch("DELETE FROM organization_members WHERE user_id = $1", studio.bob.id)


async def join_organization(studio: Studio) -> None:
    """Makes the repository one of an organisation, in which bob is and ada, and takes bob's grant."""
    company = await organizations.Studio.open(studio.api)
    await company.join("admin", studio.bob)
    await company.join("owner", studio.ada)
    await lose_grant(studio)
    await studio.api.fetch(
        """UPDATE repositories SET owner_type = 'organization', owner_id = $1::uuid
           WHERE id = $2::uuid""",
        company.id,
        studio.repo.id,
    )


LOSSES: dict[str, tuple[Loss, StatusCode, str]] = {
    "grant removed": (lose_grant, StatusCode.NOT_FOUND, "NOT_FOUND"),
    "reduced to READ": (be_reduced, StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"),
    "suspended": (be_suspended, StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    "left": (leave_organization, StatusCode.NOT_FOUND, "NOT_FOUND"),
}


async def until_refused(
    code: StatusCode, reason: str, call: Callable[[], Awaitable[object]]
) -> None:
    """Returns when a call is refused: what a service knows of a right it may know for five seconds."""
    with refused(code, reason):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                await call()


@pytest.mark.parametrize("how", LOSSES)
async def test_a_lock_outlives_the_right_of_its_holder(studio: Studio, how: str) -> None:
    lose, code, reason = LOSSES[how]
    if how == "left":
        await join_organization(studio)
    names = ["forced", "stolen", "moved", "late"]
    locks = {name: await studio.take(studio.bob, name) for name in names}
    short = await studio.take(studio.bob, "short", ttl=Duration(seconds=60))
    await lose(studio)
    await until_refused(code, reason, lambda: studio.renew(studio.bob, locks["late"]))
    assert sorted(await studio.paths()) == sorted([*names, "short"])
    with refused(StatusCode.FAILED_PRECONDITION, "LOCK_HELD"):
        await studio.acquire(studio.cyn, "late")
    # Administrators need not wait for the end.
    assert not (await studio.force(studio.ada, locks["forced"], "bob has left")).already_ended
    await studio.take(studio.cyn, "forced")
    await studio.take(
        studio.ada, "stolen", reason="bob has left", steal_lock_ids=[locks["stolen"].id]
    )
    await studio.transfer(studio.ada, locks["moved"], studio.cyn)
    await studio.pass_time(61)
    await studio.take(studio.cyn, "short")
    assert await studio.story(short) == ["acquired", "expired"]


async def test_who_has_lost_write_still_gives_locks_up(studio: Studio) -> None:
    lock, other = await studio.take(studio.bob, "a"), await studio.take(studio.cyn, "b")
    await be_reduced(studio)
    missing = StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"
    await until_refused(*missing, lambda: studio.renew(studio.bob, lock))
    assert await studio.release(studio.bob, lock, other) == ["RELEASED", "NOT_FOUND"]
    assert await studio.paths() == ["b"]
    await lose_grant(studio)
    absent = StatusCode.NOT_FOUND, "NOT_FOUND"
    await until_refused(*absent, lambda: studio.release(studio.bob, lock))
