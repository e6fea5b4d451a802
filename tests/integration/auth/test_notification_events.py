"""What events tell, and to whom: only those who may read the repository when they are told, and once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from dits.auth.v1 import notification_service_pb2 as pb
from dits.repo.v1.ref_service_pb2 import UpdateBranchRequest
from dits.repo.v1.repository_service_pb2 import Repository

from services.auth.notifications import audience
from services.auth.notifications.consumer import NotificationConsumer
from shared.db.pool import Connection, Database
from shared.formats.commits import commit_hash
from shared.outbox.stored_event import StoredEvent
from shared.runtime.config import Settings
from shared.runtime.server_key import ServerKey
from tests.support.api import Account, Api, running_suite
from tests.support.locks import Studio
from tests.support.notifications import CAUGHT_UP, list_inbox, list_told, until
from tests.support.trees import build, commit, push, save, update, upload


@pytest.fixture
async def studio(api: Api) -> Studio:
    """A repository with an administrator, two writers and a reader."""
    return await Studio.open(api)


@asynccontextmanager
async def paused_consumer(api: Api) -> AsyncIterator[None]:
    """Keeps the consumer from handling anything, as if its process had stopped."""
    connection = await asyncpg.connect(api.dsn)
    try:
        await connection.execute("SET idle_in_transaction_session_timeout = 0")
        async with connection.transaction():
            await connection.execute("SELECT FROM event_cursors FOR UPDATE")
            yield
    finally:
        await connection.close()


async def follow(api: Api, user: Account, repository: Repository, *branches: str) -> None:
    for branch in branches:
        request = pb.FollowBranchRequest(repository=repository.id, branch=branch)
        await api.notifications.FollowBranch(request, metadata=user.auth)


async def push_message(studio: Studio, user: Account, message: str, branch: str = "main") -> str:
    """Pushes a commit with a message to a new branch."""
    return await save(studio.api, user, studio.repo, {"a": b"1"}, branch=branch, message=message)


async def test_followers_are_told_of_pushes_of_others(studio: Studio) -> None:
    api, where = studio.api, f"{studio.ada.username}/{studio.repo.name}"
    await follow(api, studio.bob, studio.repo, "main", "dev")
    await follow(api, studio.dan, studio.repo, "main")
    await follow(api, studio.cyn, studio.repo, "other")
    await follow(api, studio.ada, studio.repo, "main")
    tree = build({"a": b"1"})
    await upload(api, studio.ada, studio.repo, tree.chunks)
    made = commit(tree)
    moves = [update(branch, "", commit_hash(made)) for branch in ("dev", "main")]
    await push(api, studio.ada, studio.repo, [made], moves, [tree])
    who = studio.ada.username
    [told] = await list_inbox(api, studio.bob)
    assert told.type == pb.NOTIFICATION_TYPE_PUSH
    assert told.title == f"{who} pushed to dev and main in {where}"
    assert (told.message, told.link) == (
        "The push brought 1 new commit.",
        f"/{where}/branches/dev",
    )
    assert told.repository_id == studio.repo.id
    assert await list_told(api, studio.dan) == [("push", f"{who} pushed to main in {where}")]
    assert await list_told(api, studio.ada) == await list_told(api, studio.cyn) == []
    # What moves nothing is told to nobody; a branch that is moved back is.
    move = UpdateBranchRequest(
        repository=studio.repo.id,
        name="main",
        expected_head=commit_hash(made),
        new_head=commit_hash(made),
    )
    await api.refs.UpdateBranch(move, metadata=studio.ada.auth)
    assert len(await list_told(api, studio.dan)) == 1


async def test_all_followers_are_told_of_a_push_to_many_branches_with_long_names(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One is told with the event, the others by jobs: their payloads are bounded.
    monkeypatch.setattr(audience, "BATCH", 1)
    api = studio.api
    branches = [f"{number:03}" + "\N{EURO SIGN}" * 84 for number in range(200)]
    await follow(api, studio.bob, studio.repo, branches[0])
    await follow(api, studio.cyn, studio.repo, branches[100])
    await follow(api, studio.dan, studio.repo, branches[0], branches[-1])
    tree = build({"a": b"1"})
    await upload(api, studio.ada, studio.repo, tree.chunks)
    made = commit(tree)
    moves = [update(branch, "", commit_hash(made)) for branch in branches]
    await push(api, studio.ada, studio.repo, [made], moves, [tree])
    for follower in (studio.bob, studio.cyn, studio.dan):
        assert [kind for kind, _ in await list_told(api, follower)] == ["push"]
    assert await api.value("SELECT count(*) FROM dead_events") == 0


async def test_who_is_mentioned_is_told_once_for_each_commit(studio: Studio) -> None:
    api, where = studio.api, f"{studio.ada.username}/{studio.repo.name}"
    bob, cyn, stranger = studio.bob, studio.cyn, await api.account()
    names = f"@{bob.username.upper()} @{cyn.username} @{stranger.username} @nobody-at-all"
    tree = build({"a": b"1"})
    await upload(api, cyn, studio.repo, tree.chunks)
    made = commit(tree, message=f"Graded\n\nfor {names} and @{bob.username}")
    name = commit_hash(made)
    await push(api, cyn, studio.repo, [made], [update("main", "", name)], [tree])
    [told] = await list_inbox(api, bob)
    assert told.type == pb.NOTIFICATION_TYPE_MENTION
    assert told.title == f"{cyn.username} pushed a commit that mentions you to {where}"
    assert (told.message, told.link) == (f"{name[:12]} Graded", f"/{where}/commits/{name}")
    assert await list_told(api, cyn) == await list_told(api, stranger) == []
    # The same commit comes to another branch.
    await push(api, studio.ada, studio.repo, [made], [update("second", "", name)], [tree])
    assert len(await list_told(api, bob)) == 1
    # Its author is not told, whoever pushes.
    await api.fetch("UPDATE users SET email = 'Ada@Example.com' WHERE id = $1", bob.id)
    await push_message(studio, cyn, f"@{bob.username} wrote this", "third")
    assert len(await list_told(api, bob)) == 1


async def test_who_lost_the_right_before_is_told_nothing(studio: Studio) -> None:
    api = studio.api
    await follow(api, studio.bob, studio.repo, "main")
    await follow(api, studio.dan, studio.repo, "main")
    lock = await studio.take(studio.bob, "z")
    async with paused_consumer(api):
        await push_message(studio, studio.ada, f"@{studio.bob.username} @{studio.dan.username}")
        await studio.force(studio.ada, lock, "confidential")
        await api.fetch("DELETE FROM repository_collaborators WHERE user_id = $1", studio.bob.id)
    assert await list_told(api, studio.bob) == []
    assert [kind for kind, _ in await list_told(api, studio.dan)] == ["mention", "push"]


async def test_suspended_users_and_lost_repositories_are_left_out(studio: Studio) -> None:
    api, dan = studio.api, studio.dan
    await follow(api, dan, studio.repo, "main", "dev")
    await api.fetch("UPDATE users SET status = 'suspended' WHERE id = $1", dan.id)
    await push_message(studio, studio.ada, f"@{dan.username}")
    assert await list_told(api, dan) == []
    await api.fetch("UPDATE users SET status = 'active' WHERE id = $1", dan.id)
    async with paused_consumer(api):
        await push_message(studio, studio.ada, f"@{dan.username} again", "dev")
        await api.fetch("UPDATE repositories SET deleted_at = now()")
    assert await list_told(api, dan) == []


async def test_everyone_with_an_account_may_read_what_is_internal(studio: Studio) -> None:
    stranger = await studio.api.account()
    await studio.api.fetch("UPDATE repositories SET visibility = 'internal'")
    await push_message(studio, studio.ada, f"@{stranger.username}")
    assert [kind for kind, _ in await list_told(studio.api, stranger)] == ["mention"]


async def test_a_lock_that_is_given_is_told_to_both(studio: Studio) -> None:
    where = f"{studio.ada.username}/{studio.repo.name}"
    lock = await studio.take(studio.bob, "a")
    await studio.transfer(studio.ada, lock, studio.cyn)
    [lost] = await list_inbox(studio.api, studio.bob)
    [given] = await list_inbox(studio.api, studio.cyn)
    who = studio.ada.username
    assert lost.title == f"{who} transferred the lock on a in {where} to another user"
    assert given.title == f"{who} transferred the lock on a in {where} to you"
    assert (given.message, given.link) == ("a", f"/{where}/locks")


async def test_events_that_are_taken_twice_change_nothing(studio: Studio) -> None:
    api = studio.api
    await follow(api, studio.bob, studio.repo, "main")
    await push_message(studio, studio.ada, f"@{studio.bob.username}")
    lock = await studio.take(studio.bob, "b")
    await studio.force(studio.ada, lock, "now")
    told = await list_told(api, studio.bob)
    assert len(told) == 3
    database = await Database.connect(api.dsn, service="test", size=2)
    rows = await database.fetch(
        """SELECT database_id() AS database_id, xid::text AS xid, id, type, repo_id, org_id, actor_id,
                  payload, created_at FROM events ORDER BY xid, id"""
    )
    events = [StoredEvent.of(row) for row in rows]

    handle = NotificationConsumer(ServerKey(b"k" * 32)).handle

    async def take_again(connection: Connection) -> None:
        await handle(connection, events)

    try:
        for _ in range(2):
            await database.transaction(take_again)
    finally:
        await database.close()
    assert await list_told(api, studio.bob) == told
    assert await api.value("SELECT last_number FROM inboxes WHERE user_id = $1", studio.bob.id) == 3


async def test_a_stopped_server_tells_everything_later(dsn: str, settings: Settings) -> None:
    async with running_suite(dsn, settings) as api:
        studio = await Studio.open(api)
        await follow(api, studio.bob, studio.repo, *(f"b{n}" for n in range(20)))
        async with paused_consumer(api):
            for n in range(10):
                await push_message(studio, studio.ada, "now", f"b{n}")
        for n in range(10, 20):
            await push_message(studio, studio.ada, "now", f"b{n}")
    async with running_suite(dsn, settings) as api:
        told = [title.split()[3] for _, title in await list_told(api, studio.bob)]
        assert told == [f"b{n}" for n in range(20)]


async def test_one_push_is_told_to_thousands(studio: Studio) -> None:
    api = studio.api
    await api.fetch("UPDATE repositories SET visibility = 'internal'")
    await api.fetch(
        """WITH u AS (INSERT INTO users (username, email, name, status, email_verified)
                      SELECT 'f' || n, 'f' || n || '@example.com', 'f', 'active', true
                      FROM generate_series(1000, 3500) n RETURNING id),
                p AS (INSERT INTO notification_preferences (user_id, email_on_push)
                      SELECT id, true FROM u)
           INSERT INTO branch_follows (user_id, repo_id, branch) SELECT id, $1::uuid, 'main' FROM u""",
        studio.repo.id,
    )
    await push_message(studio, studio.ada, "now")
    await until(api, CAUGHT_UP)
    assert await api.value("SELECT count(*) FROM notifications WHERE type = 'push'") == 2501
    assert await api.value("SELECT count(*) FROM jobs WHERE job_type = 'send_mail'") == 2501
    assert await api.value("SELECT count(*) FROM dead_events") == 0
