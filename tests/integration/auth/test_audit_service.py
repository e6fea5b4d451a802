"""AuditService: who may read which audit events, filters, pages, export."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dits.auth.v1 import audit_service_pb2 as pb
from dits.auth.v1.session_service_pb2 import LogoutRequest
from dits.auth.v1.token_service_pb2 import CreateTokenRequest
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from services.auth.audit_log import listing
from shared.rpc.paging import PAGE_BYTES
from tests.support.api import Account, Api, refused
from tests.support.audit import add_organization, add_rows, export_events, list_events


def actions(found: list[pb.AuditEvent]) -> list[str]:
    return [event.action for event in found]


async def create_token(api: Api, who: Account, name: str = "ci") -> str:
    request = CreateTokenRequest(name=name, scopes=["user:read"])
    response = await api.tokens.CreateToken(request, metadata=who.auth)
    return str(response.token.id)


async def test_an_account_sees_what_it_did_and_nothing_else(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    first, other = await create_token(api, ada), await create_token(api, bob)
    await api.sessions.Logout(LogoutRequest(), metadata=(await api.session(ada)).auth)
    found = await list_events(api, ada)
    assert actions(found) == ["session.ended", "token.created"]
    token = found[1]
    assert (token.actor_id, token.actor) == (str(ada.id), ada.username)
    assert token.actor_type == pb.AUDIT_ACTOR_TYPE_USER
    assert (token.resource_type, token.resource_id, token.resource_name) == (
        "api_token",
        first,
        "ci",
    )
    assert MessageToDict(token.details) == {"scopes": ["user:read"]}
    assert token.ip_address == "127.0.0.1"
    assert token.user_agent.startswith("grpc-python")
    assert token.request_id
    assert abs(token.event_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    assert [event.resource_id for event in await list_events(api, bob)] == [other]


async def test_administrators_see_their_repository_without_addresses(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    repository, _ = await api.repository(ada, "film"), await api.repository(ada)
    for name in (repository.id, f"{ada.username}/Film"):
        [event] = await list_events(api, ada, repository=name)
        assert (event.action, event.repository_id) == ("repository.created", repository.id)
        assert (event.ip_address, event.user_agent) == ("", "")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await list_events(api, bob, repository=repository.id)
    await api.grant(repository, bob, "write")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await list_events(api, bob, repository=repository.id)
    await api.grant(repository, bob, "admin")
    assert len(await list_events(api, bob, repository=repository.id)) == 1


async def test_administrators_see_their_organisation(api: Api) -> None:
    ada, bob, cyn, eve = [await api.account() for _ in range(4)]
    roles = {str(ada.id): "owner", str(bob.id): "admin", str(cyn.id): "member"}
    org_id = await add_organization(api, "acme", **roles)
    await add_organization(api, "other")
    request = CreateRepositoryRequest(name="film", owner="acme")
    created = await api.repositories.CreateRepository(request, metadata=bob.auth)
    for admin in (ada, bob):
        [event] = await list_events(api, admin, organization="Acme")
        assert (event.actor, event.repository_id) == (bob.username, created.repository.id)
        assert event.organization_id == str(org_id)
        assert event.ip_address == ""
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING") as refusal:
        await list_events(api, cyn, organization="acme")
    assert refusal.metadata == {"required": "ADMIN", "held": "member"}
    for name in ("acme", "nobody"):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await list_events(api, eve, organization=name)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await list_events(api, ada, organization="other")


async def test_the_site_is_for_the_token_of_the_operator_alone(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    operator = await api.api_token(ada, "site:admin")
    await create_token(api, bob)
    [event] = await list_events(api, operator, site=True)
    assert (event.actor, event.ip_address) == (bob.username, "127.0.0.1")
    token = await api.api_token(ada, "repo:admin", "org:admin", "user:write", "key:write")
    for who in (ada, token):
        with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
            await list_events(api, who, site=True)
        assert refusal.metadata == {"required": "site:admin"}
        says_token, says_session = (
            "this API token" in refusal.message,
            "no session" in refusal.message,
        )
        assert (says_token, says_session) == (who is token, who is ada)


@pytest.mark.parametrize(
    ("scope", "fields"),
    [
        ("user:read", {}),
        ("user:read", {"site": False}),
        ("repo:admin", {"repository": "film"}),
        ("org:admin", {"organization": "acme"}),
    ],
)
async def test_api_tokens_need_a_scope(api: Api, scope: str, fields: dict[str, Any]) -> None:
    ada = await api.account()
    await api.repository(ada, "film")
    await add_organization(api, "acme", **{str(ada.id): "owner"})
    if fields.get("repository"):
        fields = {"repository": f"{ada.username}/film"}
    others = {"user:read", "repo:write", "org:write"} - {scope}
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
        await list_events(api, await api.api_token(ada, *others), **fields)
    assert refusal.metadata == {"required": scope}
    await list_events(api, await api.api_token(ada, scope), **fields)


async def test_a_token_of_some_repositories_sees_no_others(api: Api) -> None:
    ada = await api.account()
    await add_organization(api, "acme", **{str(ada.id): "owner"})
    mine, other = await api.repository(ada), await api.repository(ada)
    scopes = ("repo:admin", "org:admin")
    token = await api.api_token(ada, *scopes, repositories=[uuid.UUID(mine.id)])
    assert len(await list_events(api, token, repository=mine.id)) == 1
    hidden: list[dict[str, Any]] = [{"repository": other.id}, {"organization": "acme"}]
    for fields in hidden:
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await list_events(api, token, **fields)


async def test_filters_meet(api: Api) -> None:
    ada, bob = await api.account(), await api.account()
    operator = await api.api_token(ada, "site:admin")
    first = await create_token(api, ada)
    await create_token(api, bob)
    await api.sessions.Logout(LogoutRequest(), metadata=(await api.session(bob)).auth)
    everything = await list_events(api, operator, site=True)
    assert actions(everything) == ["session.ended", "token.created", "token.created"]
    for name in (str(bob.id), bob.username.upper()):
        assert await list_events(api, operator, site=True, actor=name) == everything[:2]
    assert await list_events(api, operator, site=True, action="token.created") == everything[1:]
    both: dict[str, Any] = {"resource_type": "api_token", "resource_id": first}
    assert await list_events(api, operator, site=True, **both) == everything[2:]
    assert await list_events(api, operator, site=True, actor="nobody-at-all") == []
    assert await list_events(api, operator, site=True, actor=bob.username, **both) == []
    middle = everything[1].event_time
    assert await list_events(api, operator, site=True, start_time=middle) == everything[:2]
    assert await list_events(api, operator, site=True, end_time=middle) == everything[2:]
    assert await list_events(api, operator, site=True, start_time=middle, end_time=middle) == []


async def test_pages_hold_each_event_once_across_months(api: Api) -> None:
    """Rows of one time, too, and whichever partition they are in."""
    ada = await api.account()
    now = await api.value("SELECT now()")
    for days in (0, 0, 0, 31, 62):
        await add_rows(api, ada.id, now - timedelta(days=days), 3)
    await api.fetch("SELECT ensure_month_partitions(0)")
    everything = await list_events(api, ada, 1000)
    assert len({event.event_id for event in everything}) == len(everything) == 15
    times = [event.event_time.ToNanoseconds() for event in everything]
    assert times == sorted(times, reverse=True)
    for size in (1, 4, 15):
        assert await list_events(api, ada, size) == everything


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("filter.repository", {"repository": "film"}),
        ("filter.organization", {"organization": "a/b"}),
        ("filter.organization", {"organization": ""}),
        ("filter.actor", {"actor": "ada"}),
        ("filter.actor", {"site": False, "actor": "ada"}),
        ("filter.actor", {"site": True, "actor": "a b"}),
        ("filter.action", {"action": "token.*"}),
        ("filter.action", {"action": "nothing"}),
        ("filter.resource_type", {"resource_type": "a\0"}),
        ("filter.resource_type", {"resource_type": "a" * 65}),
        ("filter.resource_id", {"resource_type": "lock", "resource_id": "x"}),
        ("filter.resource_id", {"resource_id": str(uuid.uuid4())}),
        ("filter.start_time", {"start_time": Timestamp(seconds=1 << 60)}),
        ("filter.end_time", {"end_time": Timestamp(nanos=-1)}),
    ],
)
async def test_wrong_fields_are_named(api: Api, field: str, wanted: dict[str, Any]) -> None:
    operator = await api.api_token(await api.account(), "site:admin", "user:read")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await list_events(api, operator, **wanted)
    assert refusal.message.startswith(f"{field}: ")
    request = pb.ExportAuditEventsRequest(filter=pb.AuditFilter(**wanted))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await export_events(api, operator, request)


async def test_events_with_long_details_are_read_as_far_as_they_fit(api: Api) -> None:
    ada = await api.account()
    await api.fetch(
        """INSERT INTO audit_log ("timestamp", actor_id, actor_type, action, resource_type, resource_id,
                                  details)
           SELECT now() - n / 2 * interval '1 second', $1, 'user', 'token.created', 'api_token', n::text,
                  CASE WHEN n % 4 > 0 THEN jsonb_build_object('rules', repeat('x', 60000)) END
           FROM generate_series(1, 130) n""",
        ada.id,
    )
    found = await list_events(api, ada, 1000)
    assert len({event.event_id for event in found}) == 130
    # No more than fills a message, but for the last one.
    query, *arguments = listing.Q.bind.list_events(
        actor_id=ada.id, repository_id=None, organization_id=None, action=None, resource_type=None,
        resource_id=None, start=datetime(2000, 1, 1, tzinfo=UTC), at=datetime(3000, 1, 1, tzinfo=UTC),
        last_id=uuid.UUID(int=0), refused_by=[], count=1001, bytes=PAGE_BYTES,
    )  # fmt: skip
    rows = await api.fetch(query, *arguments)
    size = sum(len(row["details"]) for row in rows if row["details"])
    assert PAGE_BYTES < size <= PAGE_BYTES + 61_000
