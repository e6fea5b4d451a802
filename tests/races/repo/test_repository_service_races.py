"""A repository is archived, deleted or renamed at the moment of another call, in both orders."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from dits.chunk.v1.chunk_service_pb2 import CopyChunksRequest
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.common.v1.permission_pb2 import Permission
from dits.lock.v1.lock_service_pb2 import AcquireLocksRequest, RenewLocksRequest
from dits.repo.v1.grant_service_pb2 import SetGrantRequest
from dits.repo.v1.repository_service_pb2 import UpdateRepositorySettingsRequest
from dits.repo.v1.transfer_service_pb2 import ForceTransferRequest
from dits.repo.v1.webhook_service_pb2 import CreateWebhookRequest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.chunks import Shelf, digest, some
from tests.support.organizations import Studio
from tests.support.repositories import Holding
from tests.support.rivals import other_transaction, together
from tests.support.trees import push, save, update
from tests.support.waiting import until_blocked


async def begin(films: Holding, change: str) -> None:
    """Changes the repository so that no push that began before goes on."""
    if change == "archive":
        await films.update(archived=True)
    elif change == "delete":
        await films.delete()
    else:
        operator = await films.api.api_token(films.owner, "site:admin")
        other = await films.api.account()
        request = ForceTransferRequest(
            repository_id=films.id, new_owner=other.username, reason="test"
        )
        await films.api.transfers.ForceTransfer(request, metadata=operator.auth)


@pytest.mark.parametrize("change", ["archive", "delete", "transfer"])
async def test_the_answer_comes_when_no_push_is_under_way(api: Api, change: str) -> None:
    films = await Holding.open(api)
    pusher = await asyncpg.connect(api.dsn)
    observer = await asyncpg.connect(api.dsn)
    try:
        transaction = pusher.transaction()
        await transaction.start()
        # What a push, and an upload, do first.
        await pusher.execute(
            "SELECT FROM repositories WHERE id = $1::uuid AND deleted_at IS NULL FOR KEY SHARE",
            films.id,
        )
        waiting = asyncio.ensure_future(begin(films, change))
        await until_blocked(observer)
        await transaction.commit()
        await waiting
    finally:
        await pusher.close()
        await observer.close()


@pytest.mark.parametrize("change", ["archive", "delete"])
async def test_a_push_that_waited_for_the_change_is_refused(api: Api, change: str) -> None:
    films = await Holding.open(api)
    changer = await asyncpg.connect(api.dsn)
    observer = await asyncpg.connect(api.dsn)
    try:
        transaction = changer.transaction()
        await transaction.start()
        await changer.execute("SELECT FROM repositories WHERE id = $1::uuid FOR UPDATE", films.id)
        column = "archived = true" if change == "archive" else "deleted_at = clock_timestamp()"
        await changer.execute(f"UPDATE repositories SET {column} WHERE id = $1::uuid", films.id)
        waiting = asyncio.ensure_future(save(api, films.owner, films.repository, {"a": b"1"}))
        await until_blocked(observer)
        await transaction.commit()
        told = {
            "archive": (StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"),
            "delete": (StatusCode.NOT_FOUND, "NOT_FOUND"),
        }
        with refused(*told[change]):
            await waiting
    finally:
        await changer.close()
        await observer.close()


async def make_changes(api: Api, films: Holding) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Changes that the owner of a repository may make; there is a commit, and a lock."""
    auth, other = films.owner.auth, await api.account()
    head = await save(api, films.owner, films.repository, {"a": b"1"})
    settings = UpdateRepositorySettingsRequest(
        repository=films.id, update_mask=FieldMask(paths=["max_file_size_bytes"])
    )
    grant = SetGrantRequest(
        repository=films.id, user=other.username, permission=Permission.PERMISSION_READ
    )
    hook = CreateWebhookRequest(repository=films.id, url="https://ci.example/", events=["*"])
    one, two = (AcquireLocksRequest(repository=films.id, paths=[path]) for path in ("a", "b"))
    held = (await api.locks.AcquireLocks(two, metadata=auth)).results[0].lock
    fence = LockFence(lock_id=held.id, fence=held.fence)
    other_shelf, data = Shelf(api, films.owner, await api.repository(films.owner)), some()
    await other_shelf.put(data)
    copy = CopyChunksRequest(
        repository=films.id, source_repository=other_shelf.repo.id, hashes=digest(data)
    )
    renewal = RenewLocksRequest(repository=films.id, locks=[fence])
    return {
        "push": lambda: push(api, films.owner, films.repository, [], [update("b", "", head)]),
        "settings": lambda: api.repositories.UpdateRepositorySettings(settings, metadata=auth),
        "grant": lambda: api.grants.SetGrant(grant, metadata=auth),
        "lock": lambda: api.locks.AcquireLocks(one, metadata=auth),
        "renewal": lambda: api.locks.RenewLocks(renewal, metadata=auth),
        "webhook": lambda: api.webhooks.CreateWebhook(hook, metadata=auth),
        "upload": lambda: Shelf(api, films.owner, films.repository).put(some()),
        "copy": lambda: api.chunks.CopyChunks(copy, metadata=auth),
    }


@pytest.mark.parametrize("outcome", ["moved", "moved to the caller's own", "stays"])
@pytest.mark.parametrize(
    "change", ["push", "settings", "grant", "lock", "renewal", "webhook", "upload", "copy"]
)
async def test_who_waited_for_a_transfer_is_judged_by_the_new_owner(
    api: Api, change: str, outcome: str
) -> None:
    studio = await Studio.open(api)
    is_own = outcome == "moved to the caller's own"
    owner = studio.people["owner"] if is_own else await api.account()
    films = Holding(api, owner, await api.repository(owner))
    make = (await make_changes(api, films))[change]
    hold = f"SELECT FROM repositories WHERE id = '{films.id}' FOR UPDATE;"
    move = f"UPDATE repositories SET owner_type = 'organization', owner_id = '{studio.id}'"
    statement = f"{hold} {move} WHERE id = '{films.id}'"
    async with other_transaction(api, statement, commits=outcome != "stays"):
        if outcome == "moved":
            with refused(StatusCode.ABORTED, "CONTENTION"):
                await make()
        else:
            await make()
    left = """SELECT (SELECT count(*) FROM locks) + (SELECT count(*) FROM webhooks)
                     + (SELECT count(*) FROM chunk_refs WHERE repo_id = $1::uuid AND ref_count = 0)"""
    is_more = change in {"lock", "webhook", "upload", "copy"} and outcome != "moved"
    assert await api.value(left, films.id) == 1 + is_more


async def test_of_two_who_take_a_name_one_gets_it(api: Api) -> None:
    ada = await api.account()
    one = Holding(api, ada, await api.repository(ada, "one"))
    two = Holding(api, ada, await api.repository(ada, "two"))
    won, reasons = await together(
        one.update(name="film"), two.update(name="film"), api.repository(ada, "film")
    )
    assert (won, reasons) == (1, ["NAME_TAKEN"] * 2)


async def test_a_name_that_is_given_up_at_this_moment_is_kept(api: Api) -> None:
    films = await Holding.open(api, "films")
    renamer = await asyncpg.connect(api.dsn)
    observer = await asyncpg.connect(api.dsn)
    try:
        transaction = renamer.transaction()
        await transaction.start()
        await renamer.execute(
            "UPDATE repositories SET name = 'movies' WHERE id = $1::uuid", films.id
        )
        await renamer.execute(
            """INSERT INTO former_repository_names
               SELECT owner_type, owner_id, 'films', id, now() + interval '30 days'
               FROM repositories WHERE id = $1::uuid""",
            films.id,
        )
        waiting = asyncio.ensure_future(api.repository(films.owner, "films"))
        await until_blocked(observer)
        await transaction.commit()
        with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
            await waiting
    finally:
        await renamer.close()
        await observer.close()


async def test_of_many_deletions_one_counts(api: Api) -> None:
    films = await Holding.open(api)
    won, reasons = await together(*(films.delete() for _ in range(3)))
    assert (won, reasons) == (1, ["NOT_FOUND"] * 2)
    assert (await films.events()).count("repo.deleted") == 1
