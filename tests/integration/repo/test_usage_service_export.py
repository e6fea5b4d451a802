"""ExportUsage and ListBillingSnapshots: what is in the file and in the list."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from dits.repo.v1 import usage_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest, Repository
from grpc import StatusCode

from services.repo.usage import csv_export
from tests.support.api import Account, Api, refused
from tests.support.rivals import other_transaction
from tests.support.rpcs import rpcs
from tests.support.usage import FIRST, LAST, add_organization, add_usage, export


@pytest.fixture
async def ada(api: Api) -> Account:
    return await api.account("ada")


async def add_repository(api: Api, owner: Account, name: str) -> Repository:
    """A repository of the organisation `studio`."""
    request = CreateRepositoryRequest(name=name, owner="studio")
    response = await api.repositories.CreateRepository(request, metadata=owner.auth)
    repository: Repository = response.repository
    return repository


def test_the_comment_lists_the_columns() -> None:
    [rpc] = [rpc for rpc in rpcs() if rpc.path.endswith("/ExportUsage")]
    columns = rpc.sentence.partition("The columns: ")[2].partition(". Later")[0]
    assert re.findall(r"`(\w+)`", columns) == list(csv_export.HEADINGS)


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


async def test_a_limited_token_gets_its_repository(api: Api, ada: Account) -> None:
    repository_id = UUID((await api.repository(ada, "film")).id)
    await add_usage(api, "repository", repository_id, FIRST, 2)
    token = await api.api_token(ada, "user:read", "repo:read", repositories=[repository_id])
    lines = await export(api, token, repository="ada/film")
    assert [line[3] for line in lines] == ["name", "ada/film"]
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_LIMITED"):
        await export(api, token)


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


async def test_an_export_ends_for_who_leaves_the_organization(
    api: Api, ada: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_export, "REPOSITORIES_PER_PAGE", 1)
    await add_organization(api, ada)
    for name in "ab":
        repository = await add_repository(api, ada, name)
        await add_usage(api, "repository", UUID(repository.id), FIRST, 1)
    leave = "LOCK TABLE repositories IN ACCESS EXCLUSIVE MODE; DELETE FROM organization_members"
    async with other_transaction(api, leave, commits=True):
        with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
            await export(api, ada, organization="studio")
