"""A repository is transferred, archived or deleted: who changes it does so before that, or is refused."""

from __future__ import annotations

import asyncio
import re
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import grpc
import pytest
from dits.repo.v1.transfer_service_pb2 import ForceTransferRequest

from services.repo.repositories import holding
from shared.records import ownership
from tests.support.api import Api, read_error
from tests.support.organizations import Studio
from tests.support.repositories import Holding
from tests.support.repository_changes import Call, Scene
from tests.support.rpcs import rpcs
from tests.support.waiting import PATIENCE_SECONDS, until_blocked
from tests.support.webhooks import Hooks

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
# RPCs about a repository that change nothing of it, or nothing that is its owner's.
OTHERS = {
    "DirectTransferService/CreateDownloadUrls": "reads",
    "DirectTransferService/ConfirmPackUpload": "needs S3, and ends as UploadChunks does",
    "LockService/ReleaseLocks": "ends own locks, whoever owns the repository",
    "NotificationService/FollowBranch": "is about the caller's inbox",
}
# These ask anew for the caller's right on all that the owner has.
ASKS_AGAIN = {"RepositoryService/DeleteRepository", "TransferService/RequestTransfer"}
_READS = re.compile(
    r"\w+/(Check|Compare|Diff|Download|Export|Find|Get|List|Locate|Stat|Stream|Watch)([A-Z]|$)"
)


@pytest.fixture
async def scene(api: Api) -> Scene:
    owner = await api.account()
    return await Scene.open(Holding(api, owner, await api.repository(owner)))


async def test_who_waited_for_the_transfer_is_refused(api: Api, scene: Scene) -> None:
    studio, calls = await Studio.open(api), scene.list_calls()
    # By the descriptors, so that a new RPC is not forgotten.
    named = {rpc.path.split(".")[-1] for rpc in rpcs() if rpc.access.repository_field}
    assert {rpc for rpc in named if not _READS.match(rpc)} == calls.keys() | OTHERS.keys()
    move = f"owner_type = 'organization', owner_id = '{studio.id}'"
    back = f"owner_type = 'user', owner_id = '{scene.films.owner.id}'"
    told = {rpc: await call_during(scene, call, move, back) for rpc, call in calls.items()}
    refused = dict.fromkeys(told, "CONTENTION") | dict.fromkeys(ASKS_AGAIN, "PERMISSION_MISSING")
    assert told == refused


async def test_who_waited_for_the_archiving_is_refused(scene: Scene) -> None:
    mutating = {rpc.path.split(".")[-1] for rpc in rpcs() if rpc.access.mutates}
    calls = {rpc: call for rpc, call in scene.list_calls().items() if rpc in mutating}
    for column in ("archived", "disabled"):
        told = {
            rpc: await call_during(scene, call, f"{column} = true", f"{column} = false")
            for rpc, call in calls.items()
        }
        assert told == dict.fromkeys(told, "REPOSITORY_READ_ONLY")


async def test_who_waited_for_the_deletion_does_not_find_it(scene: Scene) -> None:
    told = {
        rpc: await call_during(scene, call, "deleted_at = now()", "deleted_at = NULL")
        for rpc, call in scene.list_calls().items()
    }
    assert told == dict.fromkeys(told, "NOT_FOUND")


async def test_who_comes_after_a_change_that_waits_is_behind_it(scene: Scene) -> None:
    """Else a change would never come to its turn while others keep coming."""
    told = {
        rpc: await call_during(scene, call, "deleted_at = now()", "deleted_at = NULL", is_held=True)
        for rpc, call in scene.list_calls().items()
    }
    assert told == dict.fromkeys(told, "NOT_FOUND")


async def call_during(
    scene: Scene, call: Call, change: str, back: str, *, is_held: bool = False
) -> str:
    """How a call ends that is let in before a change of the repository and goes on after it.

    Then that is taken back. If the repository is held by somebody, the change waits, too.
    """
    api, repository_id = scene.films.api, UUID(scene.films.id)
    update = f"UPDATE repositories SET {{}} WHERE id = '{repository_id}'"
    async with api.connected() as holder, api.connected() as changer, api.connected() as observer:
        async with changer.transaction():
            async with holder.transaction():
                if is_held:
                    await holder.execute(ownership.Q.hold_repository, repository_id)
                locked = asyncio.ensure_future(changer.execute(holding.Q.lock_alone, repository_id))
                await until_waiting(locked, observer)
                waiting = asyncio.ensure_future(call())
                await until_waiting(waiting, observer, 1 + is_held)
            await locked
            await changer.execute(update.format(change))
        try:
            await waiting
        except grpc.aio.AioRpcError as error:
            return read_error(error).reason
        finally:
            await changer.execute(update.format(back))
        return "OK"


async def until_waiting(call: asyncio.Future[Any], observer: Connection, times: int = 1) -> None:
    """Returns when so many wait for a lock, a call is the last of them, or that has ended without one."""
    blocked: asyncio.Future[Any] = asyncio.ensure_future(until_blocked(observer, times))
    await asyncio.wait(
        [call, blocked], timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
    )
    blocked.cancel()
    await asyncio.wait([blocked])


@pytest.mark.parametrize("change", ["UpdateWebhook", "RotateSecret", "DeleteWebhook"])
async def test_the_transfer_waits_for_a_change_of_webhooks(
    api: Api, scene: Scene, change: str
) -> None:
    films = scene.films
    # One without deliveries: the job that sends them would wait for its row, too.
    scene.webhook = await Hooks(api, films.owner, {"repository": films.id}).create()
    operator, other = await api.api_token(films.owner, "site:admin"), await api.account()
    request = ForceTransferRequest(repository_id=films.id, new_owner=other.username, reason="test")
    async with api.connected() as connection, api.connected() as observer:
        async with connection.transaction():
            await connection.execute(
                "SELECT FROM webhooks WHERE id = $1::uuid FOR UPDATE", scene.webhook.id
            )
            changing = asyncio.ensure_future(scene.list_calls()[f"WebhookService/{change}"]())
            await until_blocked(observer)
            moving = asyncio.ensure_future(
                api.transfers.ForceTransfer(request, metadata=operator.auth)
            )
            await until_blocked(observer, 2)
        await changing
        await moving
