"""GetUsage, ExportUsage and ListBillingSnapshots: who sees what, and what is shown."""

from __future__ import annotations

import csv
from typing import Any
from uuid import UUID

import pytest
from dits.repo.v1 import usage_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest, Repository
from grpc import StatusCode

from services.repo.usage import csv_export
from tests.support.api import Account, Api, refused
from tests.support.cells import move_to
from tests.support.usage import add_organization, add_usage

FIRST, LAST = "2026-01-30", "2026-02-02"


@pytest.fixture
async def ada(api: Api) -> Account:
    return await api.account("ada")


async def get(api: Api, who: Account, **request: Any) -> pb.GetUsageResponse:
    """GetUsage, of FIRST to LAST unless the request says otherwise."""
    asked = pb.GetUsageRequest(**{"first_day": FIRST, "last_day": LAST, **request})
    response: pb.GetUsageResponse = await api.usage.GetUsage(asked, metadata=who.auth)
    return response


async def export(api: Api, who: Account, **request: Any) -> list[list[str]]:
    """ExportUsage of FIRST to LAST: the cells of all lines."""
    asked = pb.ExportUsageRequest(first_day=FIRST, last_day=LAST, **request)
    parts = [part.csv async for part in api.usage.ExportUsage(asked, metadata=who.auth)]
    text = b"".join(parts).decode()
    assert text.count("\r\n") == text.count("\n")
    return list(csv.reader(text.splitlines()))


async def add_repository(api: Api, owner: Account, name: str) -> Repository:
    """A repository of the organisation `studio`."""
    request = CreateRepositoryRequest(name=name, owner="studio")
    response = await api.repositories.CreateRepository(request, metadata=owner.auth)
    repository: Repository = response.repository
    return repository


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


async def test_csv_of_an_organization(
    api: Api, ada: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_export, "REPOSITORIES_PER_PAGE", 2)
    org_id = await add_organization(api, ada)
    repositories = {UUID((await add_repository(api, ada, name)).id): name for name in "abcde"}
    await add_usage(api, "organization", org_id, FIRST, 1)
    used = sorted(repositories)[1:]
    for repository_id in used:
        await add_usage(api, "repository", repository_id, FIRST, 1, stored=10)
        await add_usage(api, "repository", repository_id, LAST, 2)
        await add_usage(api, "repository", repository_id, "2026-02-03", 3)
    lines = await export(api, ada, organization="studio")
    assert lines[0] == list(csv_export.HEADINGS)
    assert lines[1] == [
        FIRST,
        "organization",
        str(org_id),
        "studio",
        *"1 2 3 4 5 1".split(),
        "",
        "",
        "",
    ]
    expected = []
    for repository_id in used:
        name = ["repository", str(repository_id), f"studio/{repositories[repository_id]}"]
        expected.append([FIRST, *name, *"1 2 3 4 5 1 20 10 5".split()])
        expected.append([LAST, *name, *"2 4 6 8 10 2".split(), "", "", ""])
    assert lines[2:] == expected


async def test_csv_of_an_account_and_of_a_repository(api: Api, ada: Account) -> None:
    repository = await api.repository(ada, "film")
    await add_usage(api, "user", ada.id, FIRST, 1)
    await add_usage(api, "repository", UUID(repository.id), FIRST, 2)
    lines = await export(api, ada)
    assert [line[1:5:2] for line in lines[1:]] == [["user", "ada"], ["repository", "ada/film"]]
    assert await export(api, ada, repository="ada/film") == [lines[0], lines[2]]


async def test_snapshots_are_listed_by_pages(api: Api, ada: Account) -> None:
    org_id = await add_organization(api, ada)
    await api.fetch(
        """INSERT INTO billing_snapshots
               (org_id, snapshot_date, storage_bytes, bandwidth_bytes, active_users, repo_count)
           SELECT $1, date '2026-01-01' + n, n, 10 * n, 1, 2 FROM generate_series(0, 4) n""",
        org_id,
    )
    request = pb.ListBillingSnapshotsRequest(organization="studio", page_size=2)
    found: list[pb.BillingSnapshot] = []
    while True:
        page = await api.usage.ListBillingSnapshots(request, metadata=ada.auth)
        found += page.snapshots
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [snapshot.day for snapshot in found] == [f"2026-01-0{n}" for n in (5, 4, 3, 2, 1)]
    assert (found[0].stored_bytes, found[0].bandwidth_bytes) == (4, 40)
    assert (found[0].active_users, found[0].repository_count) == (1, 2)
    other = pb.ListBillingSnapshotsRequest(organization="Studio", page_token=request.page_token)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await api.usage.ListBillingSnapshots(other, metadata=ada.auth)
