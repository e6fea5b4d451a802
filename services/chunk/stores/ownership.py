"""Which database may delete in a store: the one that wrote the stamp which the store holds.

Copies of a database mean the same stores, and each would delete packs that only another one needs. A dump
as restored has another id. What has the same id, a snapshot or a standby, knows the stamps up to its
moment, and no newer one (docs/decisions/0033-owners-of-stores.md).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple

import structlog

from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.paired_store import split_store
from shared.db import sql
from shared.db.pool import Database
from shared.errors import dependency_unavailable
from shared.records.deployment import require_cell
from shared.runtime import metrics
from shared.runtime.config import ConfigError

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

STAMP_PERIOD = timedelta(minutes=1)
# An owner that has written nothing for so long does not run: its reaper looks each minute.
_QUIET_PERIOD = 3 * STAMP_PERIOD


class Standing(Enum):
    """What a database is to a store.

    VACANT: the store has no owner. OUTDATED: it is owned by a newer state of this database. FOREIGN: by
    another database.
    """

    OWNER = auto()
    VACANT = auto()
    OUTDATED = auto()
    FOREIGN = auto()


class Owner(NamedTuple):
    """What a store says of its owner, and what the database knows of that.

    Attributes:
        text: `<database_id> <stamp> <time of the stamp>`; None = nothing.
        stamps: of this database, the newest last.
        newest: the text with the newest stamp.
        is_due: whether that is a minute old.
        is_noted: whether this database uses the store.
        now: by the clock of this database.
    """

    text: str | None
    store_id: uuid.UUID
    database_id: str
    stamps: Sequence[str]
    newest: str
    is_due: bool
    is_noted: bool
    now: datetime

    @property
    def standing(self) -> Standing:
        """What this database is to the store."""
        if self.text is None:
            return Standing.VACANT
        if self.text.split()[:1] != [self.database_id]:
            return Standing.FOREIGN
        return Standing.OWNER if self.stamp in self.stamps else Standing.OUTDATED

    @property
    def stamp(self) -> str | None:
        """The one that the store holds."""
        return next(iter((self.text or "").split()[1:]), None)

    @property
    def runs(self) -> bool:
        """Whether whoever wrote the text did that just now, by clocks that may differ."""
        with suppress(ValueError):
            written_at = datetime.fromisoformat((self.text or "").rpartition(" ")[2])
            return abs(self.now - written_at) < _QUIET_PERIOD
        return False


async def find_owner(database: Database, store: BlobStore, cell: int) -> Owner:
    """Returns who may delete the objects of a cell in a store, which is no pair."""
    text = await store.read_owner(cell)
    # What has answered has the id that it must have.
    store_id = store.expected_id or await store.read_id()
    if store_id is None:
        raise dependency_unavailable("object store")
    # After the text: nobody writes a stamp that the database does not have.
    [row] = await database.fetch(Q.find_stamps, uuid.UUID(store_id), STAMP_PERIOD)
    return Owner(
        text,
        uuid.UUID(store_id),
        row["database_id"],
        row["stamps"],
        row["text"],
        row["is_due"],
        row["is_noted"],
        row["now"],
    )


async def admit_owner(database: Database, store: BlobStore, cell: int) -> None:
    """Makes the database the owner of a store that has none; logs an error if it is of another moment.

    Raises ConfigError if the store is another database's, or nobody's and full of packs, or if the database
    is of another cell.
    """
    await require_cell(database, cell)
    owner = await find_owner(database, store, cell)
    if owner.standing is Standing.VACANT:
        if not owner.is_noted and await _has_objects(store, cell):
            raise ConfigError(
                f"The store {store.location} has packs of cell {cell} that this new database does not "
                "know, and would delete. Set store to another place, or restore the database of before."
                f" If nothing needs them, `dits-server store adopt {store.bucket}` takes the store."
            )
        owner = await _take_vacant(database, store, cell, owner)
    if owner.standing is Standing.FOREIGN:
        raise ConfigError(
            f"The store {store.location} is another database's: it says {owner.text!r}, and this one is "
            f"{owner.database_id}. Each would delete packs that the other needs. If the other one is still "
            "needed, and these are its packs, give this one packs of its own: copy them without "
            "dits-owner-*, and set store, stores and tiers to the copy. If the other one is gone for good, "
            "as after the restoring of its dump or pg_upgrade, or has taken these by mistake, stop its "
            f"servers, and `dits-server store adopt {store.bucket}`."
        )
    if owner.standing is Standing.OUTDATED:
        _report(store, owner)


async def take_store(
    database: Database, store: BlobStore, cell: int, *, is_renamed: bool = False
) -> None:
    """Makes the database the owner of a store, whoever was.

    Raises ConfigError if its cell is another, or if the servers of the owner seem to run; those of this
    database, too, if the store is to go by another name: they would write packs under the old one.
    """
    await require_cell(database, cell)
    owner = await find_owner(database, store, cell)
    if is_renamed and owner.standing is Standing.OWNER and owner.runs:
        raise ConfigError(
            f"Servers under the old name of the store {store.location} run, or ran a moment ago: stop them,"
            " and try again three minutes later."
        )
    if owner.standing in (Standing.FOREIGN, Standing.OUTDATED):
        if owner.runs:
            raise ConfigError(
                f"The servers of the owner of the store {store.location} run, or ran a moment ago: it says "
                f"{owner.text!r}. Two databases on the same packs lose some. Stop those servers for good, "
                "and try again three minutes later."
            )
        log.warning("a store is taken from its owner", location=store.location, held=owner.text)
    await store.write_owner(cell, await _add_stamp(database, owner), is_first=False)


async def require_owner(database: Database, store: BlobStore, cell: int) -> None:
    """Raises DEPENDENCY_UNAVAILABLE, and logs why, unless the database may delete in a store, or a pair."""
    for each in split_store(store):
        _require(each, await find_owner(database, each, cell))


async def renew_stamp(database: Database, store: BlobStore, cell: int) -> None:
    """Writes a new stamp if the last one is a minute old. Raises like require_owner.

    Any number of replicas may do that at once, and each be killed at any moment: what the store holds is
    one of the stamps of the database.
    """
    for each in split_store(store):
        owner = await find_owner(database, each, cell)
        if owner.standing is Standing.VACANT and owner.is_noted:
            owner = await _take_vacant(database, each, cell, owner)
        _require(each, owner)
        is_newest = owner.stamp == owner.stamps[-1]
        if is_newest and not owner.is_due:
            continue
        newest = await _add_stamp(database, owner) if is_newest else owner.newest
        await each.write_owner(cell, newest, is_first=False)


async def _take_vacant(database: Database, store: BlobStore, cell: int, owner: Owner) -> Owner:
    await store.write_owner(cell, await _add_stamp(database, owner), is_first=True)
    return await find_owner(database, store, cell)


async def _add_stamp(database: Database, owner: Owner) -> str:
    """Adds a stamp behind the newest, unless another replica just has; returns the text with the newest."""
    newest = uuid.UUID(owner.stamps[-1]) if owner.stamps else None
    await database.statement(Q.add_stamp, owner.store_id, newest)
    [row] = await database.fetch(Q.find_stamps, owner.store_id, STAMP_PERIOD)
    text: str = row["text"]
    return text


def _require(store: BlobStore, owner: Owner) -> None:
    is_owner = owner.standing is Standing.OWNER
    metrics.FOREIGN_STORES.labels(store.bucket).set(not is_owner)
    if not is_owner:
        _report(store, owner)
        raise dependency_unavailable(
            "object store",
            f"the store of {store.bucket} is another database's, or that of a newer state of this one: "
            "nothing is deleted",
        )


def _report(store: BlobStore, owner: Owner) -> None:
    log.error(
        "a store is that of another database, or of a newer state of this one: nothing is deleted, and "
        "the other one may delete what this one writes; `dits-server store adopt` takes it",
        bucket=store.bucket,
        location=store.location,
        holds=owner.text,
        database=owner.database_id,
    )


async def _has_objects(store: BlobStore, cell: int) -> bool:
    async with aclosing(store.list_objects(cell)) as batches:
        async for keys in batches:
            if keys:
                return True
    return False
