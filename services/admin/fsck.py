"""`dits-server fsck`: everything that is stored, held against everything that names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from services.chunk.collection.consistency import (
    CatalogFaults,
    check_catalog,
    check_references,
    count_released,
    read_contents,
    repair_catalog,
)
from services.chunk.collection.inventory import Inventory
from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.tiers import open_places
from services.repo.history.consistency import check_history, list_repositories
from shared.db.pool import Database
from shared.runtime.config import Settings


@dataclass(slots=True)
class Report:
    """What was found.

    Attributes:
        faults: a sentence for each.
        repairable: how many of them `--repair` mends.
        repositories, directories, lost_chunks: how many there are. Lost chunks are known, and no fault.
    """

    faults: list[str] = field(default_factory=list)
    repairable: int = 0
    repositories: int = 0
    directories: int = 0
    lost_chunks: int = 0

    def __str__(self) -> str:
        """Returns what the command prints."""
        looked = (
            f"checked {self.repositories:,} repositories with {self.directories:,} directories: "
            f"{len(self.faults):,} faults, of which {self.repairable:,} can be repaired; "
            f"{self.lost_chunks:,} lost chunks"
        )
        return "\n".join([*self.faults, looked])


async def check_everything(database: Database, settings: Settings, *, repair: bool) -> Report:
    """Checks the rows at one moment, then that each pack has its object; counts wrong counters again.

    Raises ConfigError if the store is not there.
    """
    stores = await open_places(database, settings, for_reading=True)
    report = Report()
    catalog = await _check_rows(database, stores, report)
    reader_grace = timedelta(seconds=settings.reader_grace_seconds)
    for store in stores.values():
        inventory = Inventory(store, settings.cell, reader_grace)
        async for keys in inventory.find_incomplete_packs(database):
            report.faults += [f"pack {key}: its object is missing or cut short" for key in keys]
    if repair:
        grace = timedelta(seconds=settings.chunk_grace_seconds)
        await repair_catalog(database, catalog, grace, reader_grace)
    return report


async def _check_rows(
    database: Database, stores: Mapping[str, BlobStore], report: Report
) -> CatalogFaults:
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        catalog = await check_catalog(connection)
        report.faults += catalog.sentences()
        report.repairable, report.lost_chunks = len(report.faults), catalog.lost_count
        report.faults += catalog.misplaced
        for repository_id in await list_repositories(connection):
            read = partial(read_contents, database, stores, repository_id)
            found = await check_history(connection, repository_id, read)
            report.repositories += 1
            report.directories += found.manifest_count
            report.faults += found.faults
            await count_released(connection, repository_id, read, found.chunks)
            references = check_references(connection, repository_id, found.chunks)
            report.faults += [fault async for fault in references]
    return catalog
