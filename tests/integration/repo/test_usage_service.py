"""GetUsage: figures by period, bad ranges; who sees whose usage, of all RPCs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from dits.repo.v1 import usage_service_pb2 as pb
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.cells import move_to
from tests.support.usage import FIRST, LAST, add_organization, add_usage, export


@pytest.fixture
async def ada(api: Api) -> Account:
    return await api.account("ada")


async def get(api: Api, who: Account, **request: Any) -> pb.GetUsageResponse:
    """GetUsage, of FIRST to LAST unless the request says otherwise."""
    asked = pb.GetUsageRequest(**{"first_day": FIRST, "last_day": LAST, **request})
    response: pb.GetUsageResponse = await api.usage.GetUsage(asked, metadata=who.auth)
    return response


async def test_figures_by_day_and_in_all(api: Api, ada: Account) -> None:
    await add_usage(api, "user", ada.id, "2026-01-29", 1000)
    await add_usage(api, "user", ada.id, "2026-01-30", 1, stored=40)
    await add_usage(api, "user", ada.id, "2026-02-01", 20, stored=60)
    await add_usage(api, "user", ada.id, "2026-02-02", 3)
    await add_usage(api, "user", ada.id, "2026-02-03", 1000)
    usage = await get(api, ada)
    assert [(p.first_day, p.last_day, p.figures.requests) for p in usage.periods] == [
        ("2026-01-30", "2026-01-30", 1),
        ("2026-01-31", "2026-01-31", 0),
        ("2026-02-01", "2026-02-01", 20),
        ("2026-02-02", "2026-02-02", 3),
    ]
    assert usage.periods[1].figures == pb.UsageFigures()
    assert usage.total == pb.UsagePeriod(
        first_day=FIRST,
        last_day=LAST,
        figures=pb.UsageFigures(
            requests=24,
            received_bytes=48,
            sent_bytes=72,
            pushes=96,
            pulls=120,
            contributors=20,
            storage_day="2026-02-01",
            logical_bytes=120,
            stored_bytes=60,
            apportioned_bytes=30,
        ),
    )


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [
        # 30 January 2026 is a Friday.
        (pb.GRANULARITY_WEEK, [("2026-01-30", "2026-02-01", 3), ("2026-02-02", "2026-02-02", 4)]),
        (pb.GRANULARITY_MONTH, [("2026-01-30", "2026-01-31", 1), ("2026-02-01", "2026-02-02", 6)]),
    ],
)
async def test_weeks_and_months(api: Api, ada: Account, granularity: int, expected: object) -> None:
    for day, requests in (("2026-01-30", 1), ("2026-02-01", 2), ("2026-02-02", 4)):
        await add_usage(api, "user", ada.id, day, requests)
    usage = await get(api, ada, granularity=granularity)
    assert [(p.first_day, p.last_day, p.figures.requests) for p in usage.periods] == expected
    assert usage.total.figures.requests == 7


async def test_by_default_the_last_thirty_days(api: Api, ada: Account) -> None:
    usage = await get(api, ada, first_day="", last_day="")
    assert len(usage.periods) == 30
    today = await api.value("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date::text")
    assert usage.total.last_day == today
    assert len((await get(api, ada, first_day="2025-01-01", last_day="2026-02-04")).periods) == 400


@pytest.mark.parametrize(
    "days",
    [
        {"first_day": "2026-02-03"},
        {"first_day": "2024-12-29"},
        {"first_day": "2026-02-30"},
        {"first_day": "20260130"},
        {"first_day": "2026-W05-5"},
        {"first_day": "2026-01-30\n"},
        {"first_day": "\N{FULLWIDTH DIGIT TWO}026-01-30"},
        {"last_day": "0000-01-01"},
        {"first_day": "1999-12-31", "last_day": "2000-01-01"},
        {"first_day": "9999-12-31", "last_day": "9999-12-31"},
        {"last_day": "tomorrow"},
        {"granularity": 4},
    ],
)
async def test_bad_ranges(api: Api, ada: Account, days: dict[str, Any]) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await get(api, ada, **days)


async def test_the_first_and_the_last_of_all_days(api: Api, ada: Account) -> None:
    assert len((await get(api, ada, first_day="", last_day="2000-01-02")).periods) == 2
    last = await get(api, ada, first_day="2999-12-31", last_day="2999-12-31")
    assert last.total.last_day == "2999-12-31"


async def test_a_repository_needs_write(api: Api, ada: Account) -> None:
    repository = await api.repository(ada)
    await add_usage(api, "repository", UUID(repository.id), FIRST, 5)
    assert (await get(api, ada, repository=repository.id)).total.figures.requests == 5
    eve = await api.account()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await get(api, eve, repository=repository.id)
    await api.grant(repository, eve, "read")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await get(api, eve, repository=repository.id)
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await export(api, eve, repository=repository.id)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await get(api, ada, repository=repository.id, organization="studio")


async def test_an_organization_is_shown_to_some_of_its_members(api: Api, ada: Account) -> None:
    org_id = await add_organization(api, ada)
    await add_usage(api, "organization", org_id, FIRST, 7)
    eve = await api.account()
    for role, may in (("owner", 1), ("admin", 1), ("billing", 1), ("member", 0), (None, 0)):
        await api.fetch("DELETE FROM organization_members WHERE user_id = $1", eve.id)
        if role:
            await api.fetch(
                "INSERT INTO organization_members (org_id, user_id, role) VALUES ($1, $2, $3)",
                org_id,
                eve.id,
                role,
            )
        listing = pb.ListBillingSnapshotsRequest(organization="Studio")
        if may:
            assert (await get(api, eve, organization="Studio")).total.figures.requests == 7
            await api.usage.ListBillingSnapshots(listing, metadata=eve.auth)
            continue
        for call in (
            get(api, eve, organization="studio"),
            export(api, eve, organization="studio"),
            api.usage.ListBillingSnapshots(listing, metadata=eve.auth),
        ):
            with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING") as refusal:
                await call
            assert refusal.metadata == {"required": "billing", "held": role or "none"}
    for name in ("absent", "ada"):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await get(api, ada, organization=name)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.usage.ListBillingSnapshots(pb.ListBillingSnapshotsRequest(), metadata=ada.auth)


async def test_an_organization_of_another_cell(api: Api, ada: Account) -> None:
    org_id = await add_organization(api, ada)
    await move_to(api, Account(org_id, "studio", ""), 1)
    with refused(StatusCode.FAILED_PRECONDITION, "WRONG_CELL"):
        await get(api, ada, organization="studio")


async def test_scopes_of_api_tokens(api: Api, ada: Account) -> None:
    await add_organization(api, ada)
    repository = await api.repository(ada)
    asked = {
        "user:read": {},
        "repo:read": {"repository": repository.id},
        "org:read": {"organization": "studio"},
    }
    for scope, request in asked.items():
        await get(api, await api.api_token(ada, scope), **request)
        others = await api.api_token(ada, *(asked.keys() - {scope}))
        with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
            await get(api, others, **request)
        assert refusal.metadata == {"required": scope}
