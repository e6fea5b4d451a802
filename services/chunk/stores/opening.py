"""Opens the store of the settings, and makes sure that it is the one that the database means."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog

from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.local_store import LocalStore
from services.chunk.stores.meant_stores import find_unnamed
from services.chunk.stores.ownership import admit_owner, take_store
from services.chunk.stores.paired_store import PairedStore
from services.chunk.stores.region_names import find_other_name, refuse_renamed, rename_unused
from services.chunk.stores.s3_store import S3Store
from services.chunk.stores.spool import spool_folder
from services.chunk.stores.store_ids import (
    Known,
    cannot_be_used,
    make_store_id,
    read_store_id,
    refuse_others,
    refuse_shared,
)
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import DomainError
from shared.runtime.config import ConfigError, Settings
from shared.runtime.store_url import S3Location, parse_store_url

Q = sql.load(__file__)
log = structlog.get_logger(__name__)


async def open_known_stores(
    database: Database, settings: Settings, *, for_reading: bool = False
) -> dict[str, BlobStore]:
    """Returns the stores of all regions by the names of their buckets, first that of this server.

    `for_reading`: they may be another database's, and none becomes this one's. Raises ConfigError like
    open_known_store, and if the database has packs in a region that has no store. The store of another
    region may be away if it has been used before.
    """
    regions = [settings.region, *(name for name in settings.stores if name != settings.region)]
    cold = [tier_bucket(name, each) for name, tier in settings.tiers.items() for each in tier]
    if row := await find_unnamed(database, [*regions, *cold]):
        raise ConfigError(
            f"The database has packs in the region {row['bucket']}, once at {row['location']}: name its "
            f"store in {'tiers' if '.' in row['bucket'] else 'stores'}."
        )
    cell = None if for_reading else settings.cell
    stores = {settings.region: await _admit_stores(database, _open_stores(settings), {}, cell)}
    for region in regions[1:]:
        places = open_stores(settings, region)
        stores[region] = await admit_far_store(database, places, stores, cell)
    return stores


async def open_known_store(database: Database, settings: Settings) -> BlobStore:
    """Returns the store, which is the one of the database; the first one becomes that.

    Raises ConfigError if it is another one, or another database's, or cannot be used.
    """
    return await _admit_stores(database, _open_stores(settings), {}, settings.cell)


async def _admit_stores(
    database: Database,
    stores: Sequence[BlobStore],
    others: Mapping[str, BlobStore],
    cell: int | None,
) -> BlobStore:
    try:
        return await _admit(database, stores, others, cell)
    except DomainError as error:
        raise cannot_be_used(stores, error) from error


async def _admit(
    database: Database,
    stores: Sequence[BlobStore],
    others: Mapping[str, BlobStore],
    cell: int | None,
) -> BlobStore:
    bucket = stores[0].bucket
    known = await list_known(database, bucket)
    ids = [await read_store_id(store) for store in stores]
    refuse_shared(bucket, ids, others)
    await refuse_renamed(database, stores[0], ids)
    refuse_others(stores, known, ids)
    found = [await make_store_id(store) for store in stores]
    if cell is None:
        return _pair(stores)
    for store in stores:
        await admit_owner(database, store, cell)

    async def note(connection: Connection) -> Known:
        """Notes the stores unless another server has noted others just now; returns those noted before."""
        await connection.execute(Q.hold_stores, bucket)
        rows = await connection.fetch(Q.list_stores, bucket)
        if {row["id"] for row in rows} <= set(found):
            await _note_stores(connection, stores, found)
        # Another name may just have been noted.
        await refuse_renamed(connection, stores[0], found)
        return {row["id"]: row["location"] for row in rows}

    if not set(found) <= known.keys():
        refuse_others(stores, await database.transaction(note), found)
    return _pair(stores)


async def admit_far_store(
    database: Database,
    stores: Sequence[BlobStore],
    others: Mapping[str, BlobStore],
    cell: int | None,
) -> BlobStore:
    """Returns a store that other servers need more than this one; it may be away if its id is known.

    `others`: those that are open already. Raises ConfigError if it is one of them: copies in it are none.
    `cell`: whose objects are the database's to delete; None = nobody's, they are only read.
    """
    store, *more = stores
    rows = await database.fetch(Q.list_stores, store.bucket)
    if len(rows) == 1 and not more:
        with suppress(DomainError):
            if await read_store_id(store) is not None:
                return await _admit(database, stores, others, cell)
        log.warning("a store is away", store=store.location)
        store.expected_id = str(rows[0]["id"])
        return store
    return await _admit_stores(database, stores, others, cell)


async def adopt_stores(database: Database, stores: Sequence[BlobStore], cell: int) -> BlobStore:
    """Makes the stores of a bucket the database's, in place of those before, whoever they were.

    Raises ConfigError, also if there is no such directory: a typing error is not to become the store.
    """
    bucket = stores[0].bucket
    for store in stores:
        if isinstance(store, LocalStore) and not store.is_there():
            raise ConfigError(
                f"There is no directory {store.location}: make it if this is where packs shall lie."
            )
    try:
        found = [await make_store_id(store) for store in stores]
        is_renamed = await find_other_name(database, stores[0], found) is not None
        for store in stores:
            await take_store(database, store, cell, is_renamed=is_renamed)
    except DomainError as error:
        raise cannot_be_used(stores, error) from error

    async def replace(connection: Connection) -> None:
        await connection.execute(Q.hold_stores, bucket)
        await rename_unused(connection, stores[0], found)
        await connection.execute(Q.forget_stores, bucket)
        await _note_stores(connection, stores, found)

    await database.transaction(replace)
    return _pair(stores)


async def list_known(database: Database, bucket: str) -> Known:
    """Returns the stores of a bucket that the database means."""
    return {row["id"]: row["location"] for row in await database.fetch(Q.list_stores, bucket)}


async def forget_store(database: Database, bucket: str, store_id: str | None) -> None:
    """Notes that no object of a bucket lies in a store any more."""
    await database.statement(Q.forget_store, bucket, store_id and uuid.UUID(store_id))


def tier_bucket(region: str, storage_class: str) -> str:
    """Returns the name of the bucket in which chunks of a region and class lie."""
    return region if storage_class == "standard" else f"{region}.{storage_class}"


def open_stores(settings: Settings, region: str) -> list[BlobStore]:
    """Returns the stores of a region, as the settings say, whichever they are. Raises ConfigError."""
    if region != settings.region:
        if region not in settings.stores:
            raise ConfigError(f"There is no region {region}: name its store in stores.")
        first, second, *_ = (*settings.stores[region], None)
        change = {"region": region, "store": first, "second_store": second}
        settings = settings.model_copy(update=change)
    return _open_stores(settings)


def _open_stores(settings: Settings) -> list[BlobStore]:
    region = settings.region
    default = str(settings.data_dir / "chunks" / region)
    if settings.store is None and region in settings.stores:
        urls = [*settings.stores[region]]
    else:
        urls = [settings.store or default]
    if settings.second_store is not None:
        urls.append(settings.second_store)
    return [_open(url, settings) for url in urls]


def _open(url: str, settings: Settings) -> BlobStore:
    where, region = parse_store_url(url), settings.region
    if not isinstance(where, S3Location):
        return LocalStore(where, bucket=region, region=region)
    try:
        return S3Store(where, region, spool_folder(settings), settings.store_seconds)
    except ValueError as error:
        raise ConfigError(f"The store {where} cannot be used: {error}.") from error


def _pair(stores: Sequence[BlobStore]) -> BlobStore:
    return stores[0] if len(stores) == 1 else PairedStore(*stores)


async def _note_stores(
    connection: Connection, stores: Sequence[BlobStore], found: Sequence[uuid.UUID]
) -> None:
    for store, store_id in zip(stores, found, strict=True):
        await connection.execute(Q.note_store, store.bucket, store_id, store.location)
