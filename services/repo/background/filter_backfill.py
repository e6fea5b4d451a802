"""Computes the filters of changed paths that pushes have left to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from uuid import UUID

import structlog

from services.repo.history.filter_computation import TreeChange, compute_filters
from services.repo.history.path_filters import MATCHES_ALL
from shared.db import sql
from shared.db.pool import Database, Databases
from shared.errors import DomainError, Reason
from shared.runtime.background import BackgroundTask

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

PAUSE_SECONDS = 5.0
BATCH = 100


class FilterBackfill:
    """Looks for commits without a filter, and computes theirs."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    def task(self) -> BackgroundTask:
        """Returns the task that does it for as long as the service runs."""
        return BackgroundTask("changed-path filters", self.fill_all, PAUSE_SECONDS)

    async def fill_all(self) -> None:
        """Works until every commit has its filter; rests for as long as it works."""
        for database in self._databases.every():
            while True:
                started = time.monotonic()
                if await _fill_some(database) < BATCH:
                    break
                await asyncio.sleep(time.monotonic() - started)


async def _fill_some(database: Database) -> int:
    """Gives up to BATCH commits their filters; returns how many."""
    rows = await database.fetch(Q.commits_without_filter, BATCH)
    for repository_id, some in groupby(rows, itemgetter("repo_id")):
        changes = {row["hash"]: TreeChange(row["parent_tree"], row["tree_hash"]) for row in some}
        filters = await _compute_readable(database, repository_id, changes)
        # A commit whose trees are not all there is looked into every time, and not computed again.
        values = [filters.get(commit, MATCHES_ALL) for commit in changes]
        await database.statement(Q.store_filters, repository_id, list(changes), values)
    return len(rows)


async def _compute_readable(
    database: Database, repository_id: UUID, changes: Mapping[str, TreeChange]
) -> dict[str, bytes]:
    """Returns the filters of those of some commits whose manifests are not damaged."""
    try:
        return await compute_filters(database, repository_id, {}, changes)
    except DomainError as error:
        if error.reason != Reason.ERROR_REASON_MANIFEST_CORRUPT:
            raise
        if len(changes) == 1:
            log.warning("a damaged manifest", repository=repository_id, hash=error.metadata["hash"])
            return {}
    commits = list(changes.items())
    filters: dict[str, bytes] = {}
    for some in (commits[: len(commits) // 2], commits[len(commits) // 2 :]):
        filters |= await _compute_readable(database, repository_id, dict(some))
    return filters
