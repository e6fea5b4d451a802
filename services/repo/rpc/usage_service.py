"""UsageService: usage and billing snapshots."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

from dits.repo.v1 import usage_service_pb2 as pb

from services.repo.usage.csv_export import export_usage
from services.repo.usage.days import Days
from services.repo.usage.figures import add_up_usage, parse_granularity
from services.repo.usage.subjects import Subject, find_organization, find_own
from shared.db import sql
from shared.db.pool import Database, Databases, Row
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


class UsageService:
    """The RPCs of dits.repo.v1.UsageService.

    `database` has the usage of users and of the organisations of `cell`; `databases` that of repositories.
    """

    def __init__(self, database: Database, databases: Databases, key: ServerKey, cell: int) -> None:
        self._database = database
        self._databases = databases
        self._key = key
        self._cell = cell

    async def GetUsage(self, request: pb.GetUsageRequest, call: Call) -> pb.GetUsageResponse:
        """Returns the figures of some days."""
        days = Days.parse(request.first_day, request.last_day)
        unit = parse_granularity(request.granularity)
        subject = await self._find_subject(request.organization, call)
        return await add_up_usage(self._find_database(subject), subject, days, unit)

    async def ExportUsage(
        self, request: pb.ExportUsageRequest, call: Call
    ) -> AsyncIterator[pb.ExportUsageResponse]:
        """Sends the figures of some days as CSV; the right is judged before each part."""
        days = Days.parse(request.first_day, request.last_day)
        subject = await self._find_subject(request.organization, call)
        database = self._find_database(subject)
        async for part in export_usage(database, subject, days):
            yield pb.ExportUsageResponse(csv=part)
            await self._find_subject(request.organization, call)

    async def ListBillingSnapshots(
        self, request: pb.ListBillingSnapshotsRequest, call: Call
    ) -> pb.ListBillingSnapshotsResponse:
        """Lists the snapshots of an organisation."""
        page = Page(self._key, request, call)
        before = date.fromisoformat(page.after[0]) if page.after else None
        async with self._database.connection() as connection:
            organization = await find_organization(
                connection, request.organization, call, self._cell
            )
            found = await connection.fetch(Q.list_snapshots, organization.id, before, page.size + 1)
        rows, token = page.answer(found, lambda row: (row["snapshot_date"].isoformat(),))
        return pb.ListBillingSnapshotsResponse(snapshots=map(_message, rows), next_page_token=token)

    async def _find_subject(self, organization: str, call: Call) -> Subject:
        if not organization:
            return find_own(call)
        async with self._database.connection() as connection:
            return await find_organization(connection, organization, call, self._cell)

    def _find_database(self, subject: Subject) -> Database:
        if subject.type == "repository":
            return self._databases.of(subject.id)
        return self._database


def _message(row: Row) -> pb.BillingSnapshot:
    return pb.BillingSnapshot(
        day=str(row["snapshot_date"]),
        stored_bytes=row["storage_bytes"],
        bandwidth_bytes=row["bandwidth_bytes"],
        active_users=row["active_users"],
        repository_count=row["repo_count"],
        create_time=row["created_at"],
    )
