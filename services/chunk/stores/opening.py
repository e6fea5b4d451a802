"""Opens the store of the settings, and makes sure that it is the one that the database means."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

import structlog

from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.local_store import LocalStore
from services.chunk.stores.paired_store import PairedStore
from services.chunk.stores.s3_store import S3Store
from services.chunk.stores.spool import spool_folder
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import DomainError
from shared.runtime.config import ConfigError, Settings
from shared.runtime.store_url import S3Location, parse_store_url

Q = sql.load(__file__)
log = structlog.get_logger(__name__)

# Ids of stores, and where they were when they were first used.
_Known: TypeAlias = Mapping[uuid.UUID, str]


async def open_known_stores(database: Database, settings: Settings) -> dict[str, BlobStore]:
    """Returns the stores of all regions by the names of their buckets, first that of this server.

    Raises ConfigError like open_known_store, and if the database has packs in a region that has no store.
    The store of another region may be away if it has been used before.
    """
    regions = [settings.region, *(name for name in settings.stores if name != settings.region)]
    cold = [tier_bucket(name, each) for name, tier in settings.tiers.items() for each in tier]
    for row in await database.fetch(Q.find_other_buckets, [*regions, *cold]):
        raise ConfigError(
            f"The database has packs in the region {row['bucket']}, once at {row['location']}: name its "
            f"store in {'tiers' if '.' in row['bucket'] else 'stores'}."
        )
    stores = {settings.region: await open_known_store(database, settings)}
    for region in regions[1:]:
        stores[region] = await admit_far_store(database, open_stores(settings, region), stores)
    return stores


async def open_known_store(database: Database, settings: Settings) -> BlobStore:
    """Returns the store, which is the one of the database; the first one becomes that.

    Raises ConfigError if it is another one, or cannot be used.
    """
    return await _admit_stores(database, _open_stores(settings), {})


async def _admit_stores(
    database: Database, stores: Sequence[BlobStore], others: Mapping[str, BlobStore]
) -> BlobStore:
    bucket = stores[0].bucket
    rows = await database.fetch(Q.list_stores, bucket)
    known = {row["id"]: row["location"] for row in rows}
    try:
        ids = [await _read_id(store) for store in stores]
        _refuse_shared(bucket, ids, others)
        _refuse_others(stores, known, ids)
        found = [await _make(store) for store in stores]
    except DomainError as error:
        raise _cannot_be_used(stores) from error

    async def note(connection: Connection) -> _Known:
        """Notes the stores unless another server has noted others just now; returns those noted before."""
        await connection.execute(Q.hold_stores, bucket)
        rows = await connection.fetch(Q.list_stores, bucket)
        if {row["id"] for row in rows} <= set(found):
            await _note_stores(connection, stores, found)
        return {row["id"]: row["location"] for row in rows}

    if not set(found) <= known.keys():
        _refuse_others(stores, await database.transaction(note), found)
    return _pair(stores)


async def admit_far_store(
    database: Database, stores: Sequence[BlobStore], others: Mapping[str, BlobStore]
) -> BlobStore:
    """Returns a store that other servers need more than this one; it may be away if its id is known.

    `others`: those that are open already. Raises ConfigError if it is one of them: copies in it are none.
    """
    store, *more = stores
    rows = await database.fetch(Q.list_stores, store.bucket)
    if len(rows) == 1 and not more:
        with suppress(DomainError):
            if await _read_id(store) is not None:
                return await _admit_stores(database, stores, others)
        log.warning("a store is away", store=store.location)
        store.expected_id = str(rows[0]["id"])
        return store
    return await _admit_stores(database, stores, others)


async def adopt_stores(database: Database, stores: Sequence[BlobStore]) -> BlobStore:
    """Makes the stores of a bucket the database's, in place of those before.

    Raises ConfigError, also if there is no such directory: a typing error is not to become the store.
    """
    bucket = stores[0].bucket
    for store in stores:
        if isinstance(store, LocalStore) and not store.is_there():
            raise ConfigError(
                f"There is no directory {store.location}: make it if this is where packs shall lie."
            )
    try:
        found = [await _make(store) for store in stores]
    except DomainError as error:
        raise _cannot_be_used(stores) from error

    async def replace(connection: Connection) -> None:
        await connection.execute(Q.hold_stores, bucket)
        await connection.execute(Q.forget_stores, bucket)
        await _note_stores(connection, stores, found)

    await database.transaction(replace)
    return _pair(stores)


async def forget_store(database: Database, bucket: str, store_id: str | None) -> None:
    """Notes that no object of a bucket lies in a store any more."""
    await database.statement(Q.forget_store, bucket, store_id and uuid.UUID(store_id))


def tier_bucket(region: str, storage_class: str) -> str:
    """Returns the name of the bucket in which chunks of a region and class lie."""
    return region if storage_class == "standard" else f"{region}.{storage_class}"


def open_store(settings: Settings) -> BlobStore:
    """Returns the store of the settings, whichever it is. Raises ConfigError."""
    return _pair(_open_stores(settings))


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


async def _read_id(store: BlobStore) -> uuid.UUID | None:
    text = await store.read_id()
    try:
        return None if text is None else uuid.UUID(text)
    except ValueError:
        raise ConfigError(f"The id of the store {store.location} is damaged: {text!r}.") from None


async def _make(store: BlobStore) -> uuid.UUID:
    """Returns the id of a store, which gets one if it has none."""
    store_id = await _read_id(store) or uuid.UUID(await store.create(str(uuid.uuid4())))
    store.expected_id = str(store_id)
    return store_id


def _refuse_shared(
    bucket: str, found: Sequence[uuid.UUID | None], others: Mapping[str, BlobStore]
) -> None:
    """Raises ConfigError if a store is that of another region, or of another class."""
    for name, other in others.items():
        places = (other.first, other.second) if isinstance(other, PairedStore) else (other,)
        for place in places:
            if place.expected_id is not None and uuid.UUID(place.expected_id) in found:
                raise ConfigError(
                    f"{bucket} and {name} are the same store, {place.location}: each region and each "
                    "class needs a place of its own."
                )


def _refuse_others(
    stores: Sequence[BlobStore], known: _Known, found: Sequence[uuid.UUID | None]
) -> None:
    """Raises ConfigError if a store is not there in which there are objects, or one is there twice."""
    ids = [store_id for store_id in found if store_id is not None]
    if len(set(ids)) < len(ids):
        raise ConfigError(f"The settings store and second_store mean the same store, {ids[0]}.")
    if known.keys() <= set(ids):
        return
    meant = " and ".join(f"the store {store_id} (once at {known[store_id]})" for store_id in known)
    holds = " and ".join(
        f"{store.location} holds {'no store' if store_id is None else f'the store {store_id}'}"
        for store, store_id in zip(stores, found, strict=True)
    )
    remedy = "mount it, or set store or data_dir to where it is"
    if known.keys() & set(ids):
        remedy = (
            "they are moving, so name the other one as second_store until `dits-server store move` says "
            "that all is there"
        )
    raise ConfigError(
        f"The chunks of region {stores[0].bucket} lie in {meant}, but {holds}: {remedy}. Nothing is lost "
        "by that. If it is gone for good, `dits-server store adopt` takes what is there in its place."
    )


def _cannot_be_used(stores: Sequence[BlobStore]) -> ConfigError:
    where = " or ".join(store.location for store in stores)
    return ConfigError(
        f"The store {where} cannot be used; the log says why. Is it there, and may this server use it?"
    )


async def _note_stores(
    connection: Connection, stores: Sequence[BlobStore], found: Sequence[uuid.UUID]
) -> None:
    for store, store_id in zip(stores, found, strict=True):
        await connection.execute(Q.note_store, store.bucket, store_id, store.location)
