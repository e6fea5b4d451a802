"""EventService.Watch: what happens in one repository, of an owner, or wherever the caller has a right."""

from __future__ import annotations

from uuid import UUID

import pytest
from dits.common.v1.event_pb2 import BranchPayload, EventType
from dits.repo.v1.repository_service_pb2 import Repository, Visibility
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.branches import Branches
from tests.support.event_watcher import tell, watch_events
from tests.support.locks import Studio


async def add_organization(api: Api, name: str, *members: tuple[Account, str]) -> UUID:
    """An organisation with members in their roles."""
    org: UUID = await api.value(
        "INSERT INTO organizations (name, display_name) VALUES ($1, $1) RETURNING id", name
    )
    for who, role in members:
        await api.fetch(
            "INSERT INTO organization_members (org_id, user_id, role) VALUES ($1, $2, $3)",
            org,
            who.id,
            role,
        )
    return org


async def move_to(api: Api, repository: Repository, org: UUID) -> None:
    """Gives a repository to an organisation."""
    await api.fetch(
        "UPDATE repositories SET owner_type = 'organization', owner_id = $2 WHERE id = $1::uuid",
        repository.id,
        org,
    )


async def test_a_repository_tells_everything_with_all_that_an_event_has(api: Api) -> None:
    branches = await Branches.open(api)
    who, repo = branches.who, branches.repository
    async with watch_events(api, who, repository=f"{who.username}/{repo.name}") as watcher:
        first = await watcher.next()
        assert not first.HasField("event")
        assert first.server_time.seconds
        head = await branches.save("1")
        await branches.create("side", head)
        await branches.delete("side", head)
        pushed = await watcher.event()
        created, deleted = await watcher.event(), await watcher.event()
    assert (pushed.type, pushed.push.new_commit_count) == (EventType.EVENT_TYPE_PUSH, 1)
    assert list(pushed.push.branches) == [BranchPayload(branch="main", after=head)]
    assert created.type == EventType.EVENT_TYPE_BRANCH_CREATED
    assert deleted.branch == BranchPayload(branch="side", before=head)
    assert len({pushed.id, created.id, deleted.id}) == 3
    for event in (pushed, created, deleted):
        assert (event.repository_id, event.actor_id) == (repo.id, str(who.id))
        assert event.actor == who.username
        assert event.time.seconds
        UUID(event.id)


async def test_patterns_select(api: Api) -> None:
    studio = await Studio.open(api)
    request = {"repository": studio.repo.id, "patterns": ["lock.released", "branch.*"]}
    async with watch_events(api, studio.dan, **request) as watcher:
        await watcher.next()
        lock = await studio.take(studio.bob, "a")
        await studio.release(studio.bob, lock)
        await tell(api, studio.repo, "b")
        assert [await watcher.name() for _ in range(2)] == ["lock.released", "branch.created"]


@pytest.mark.parametrize(
    "pattern", ["lock", "lock.", "lock.*.x", "", "Push", "films.*", "*.*", "push.*"]
)
async def test_a_pattern_that_selects_nothing_is_refused(api: Api, pattern: str) -> None:
    who = await api.account()
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        async with watch_events(api, who, patterns=["*", pattern]) as watcher:
            await watcher.next()
    assert refusal.detail(BadRequest).field_violations[0].field == "patterns"


async def test_requests_that_make_no_sense_are_refused(api: Api) -> None:
    studio = await Studio.open(api)
    wrong = {"repository": studio.repo.id, "owner": studio.ada.username}
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        async with watch_events(api, studio.ada, **wrong) as watcher:
            await watcher.next()
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        async with watch_events(api, studio.ada, patterns=["*"] * 51) as watcher:
            await watcher.next()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        async with watch_events(api, studio.ada, owner="nobody") as watcher:
            await watcher.next()


async def test_who_may_watch(api: Api) -> None:
    studio = await Studio.open(api)
    stranger = await api.account()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        async with watch_events(api, stranger, repository=studio.repo.id) as watcher:
            await watcher.next()
    token = await api.api_token(studio.bob, "lock:write")
    for request in ({"repository": studio.repo.id}, {}):
        with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
            async with watch_events(api, token, **request) as watcher:
                await watcher.next()
    for request in ({}, {"owner": studio.ada.username}, {"repository": studio.repo.id}):
        with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
            async with watch_events(api, None, **request) as watcher:
                await watcher.next()


async def test_everybody_may_watch_a_public_repository(api: Api) -> None:
    who = await api.account()
    repo = await api.repository(who, visibility=Visibility.VISIBILITY_PUBLIC)
    async with watch_events(api, None, repository=repo.id) as watcher:
        await watcher.next()
        await tell(api, repo, "b")
        assert await watcher.branch() == "b"


async def test_own_repositories_are_those_that_one_was_given(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    own, shared_repo, foreign = [await api.repository(who) for who in (ada, bob, bob)]
    public = await api.repository(bob, visibility=Visibility.VISIBILITY_PUBLIC)
    await api.grant(shared_repo, ada, "read")
    async with watch_events(api, ada, patterns=["branch.*"]) as watcher:
        await watcher.next()
        for repo, text in (
            (own, "own"),
            (foreign, "foreign"),
            (public, "public"),
            (shared_repo, "s"),
        ):
            await tell(api, repo, text)
        assert [await watcher.branch() for _ in range(2)] == ["own", "s"]
        new = await api.repository(ada)
        await tell(api, new, "new")
        assert await watcher.branch() == "new"


async def test_an_owner_tells_what_the_caller_may_see(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    org = await add_organization(api, "pixar", (ada, "owner"), (bob, "member"))
    hidden, open_repo = [
        await api.repository(ada, visibility=each)
        for each in (Visibility.VISIBILITY_PRIVATE, Visibility.VISIBILITY_PUBLIC)
    ]
    elsewhere = await api.repository(ada, visibility=Visibility.VISIBILITY_PUBLIC)
    for repo in (hidden, open_repo):
        await move_to(api, repo, org)
    stranger = await api.account()
    async with (
        watch_events(api, bob, owner="Pixar") as member,
        watch_events(api, stranger, owner="pixar") as other,
    ):
        await member.next()
        await other.next()
        await tell(api, elsewhere, "elsewhere")
        await tell(api, hidden, "hidden")
        await tell(api, open_repo, "open")
        assert [await member.branch() for _ in range(2)] == ["hidden", "open"]
        assert await other.branch() == "open"


async def test_a_limited_token_is_told_of_its_repositories_alone(api: Api) -> None:
    ada = await api.account()
    inside, outside = [await api.repository(ada) for _ in range(2)]
    token = await api.api_token(ada, "repo:read", repositories=[UUID(inside.id)])
    for request in ({}, {"owner": ada.username}):
        async with watch_events(api, token, **request) as watcher:
            await watcher.next()
            await tell(api, outside, "outside")
            await tell(api, inside, "inside")
            assert await watcher.branch() == "inside"


async def test_events_of_webhooks_are_for_administrators(api: Api) -> None:
    studio = await Studio.open(api)
    emit = "SELECT emit_event('webhook.disabled', $1::uuid, NULL, NULL, $2::jsonb)"
    payload = f'{{"webhook_id": "{UUID(int=1)}", "host": "example.org"}}'
    reader = await api.api_token(studio.ada, "repo:read")
    for request in ({"repository": studio.repo.id}, {}):
        async with (
            watch_events(api, studio.ada, **request) as admin,
            watch_events(api, studio.bob, **request) as writer,
            watch_events(api, reader, **request) as token,
        ):
            await admin.next()
            await writer.next()
            await token.next()
            await api.fetch(emit, studio.repo.id, payload)
            await tell(api, studio.repo, "after")
            assert await writer.branch() == "after"
            assert await token.branch() == "after"
            assert [await admin.name() for _ in range(2)] == ["webhook.disabled", "branch.created"]
