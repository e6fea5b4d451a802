"""Opens the colder places of regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from services.chunk.stores.blob_store import BlobStore, is_archive
from services.chunk.stores.local_archive import LocalArchive
from services.chunk.stores.local_store import LocalStore
from services.chunk.stores.opening import (
    admit_far_store,
    adopt_stores,
    open_known_stores,
    open_stores,
    tier_bucket,
)
from services.chunk.stores.s3_store import S3Store
from services.chunk.stores.spool import spool_folder
from shared.db.pool import Database
from shared.runtime.config import ConfigError, Settings
from shared.runtime.store_url import S3Location, parse_store_url

# What S3 calls the classes, unless the URL says it.
_S3_CLASSES = {"infrequent": "STANDARD_IA", "glacier": "GLACIER_IR"}


async def open_places(
    database: Database, settings: Settings, *, for_reading: bool = False
) -> dict[str, BlobStore]:
    """Returns the stores of all regions and of their tiers, by the names of their buckets.

    `for_reading` and ConfigError: as in open_known_stores. A tier may be away if it has been used before.
    """
    stores = await open_known_stores(database, settings, for_reading=for_reading)
    return await open_tiers(database, settings, stores, for_reading=for_reading)


async def open_tiers(
    database: Database,
    settings: Settings,
    stores: Mapping[str, BlobStore],
    *,
    for_reading: bool = False,
) -> dict[str, BlobStore]:
    """Returns the stores of regions, which are open, and those of their tiers."""
    cell = None if for_reading else settings.cell
    places = dict(stores)
    for region, tier in settings.tiers.items():
        if region not in stores:
            raise ConfigError(f"tiers names the region {region}: name its store in stores, too.")
        for storage_class, url in tier.items():
            store = _open_tier(url, region, storage_class, settings)
            places[store.bucket] = await admit_far_store(database, [store], places, cell)
    return places


async def adopt_place(database: Database, settings: Settings, bucket: str) -> BlobStore:
    """Makes the place of a region, or of a class in it, that of the settings. Raises ConfigError."""
    region, _, storage_class = bucket.partition(".")
    if not storage_class:
        return await adopt_stores(database, open_stores(settings, region), settings.cell)
    urls = {str(name): url for name, url in settings.tiers.get(region, {}).items()}
    url = urls.get(storage_class)
    if url is None:
        raise ConfigError(f"There is no tier {bucket}: name its place in tiers.")
    place = _open_tier(url, region, storage_class, settings)
    return await adopt_stores(database, [place], settings.cell)


def _open_tier(url: str, region: str, storage_class: str, settings: Settings) -> BlobStore:
    where, bucket = parse_store_url(url), tier_bucket(region, storage_class)
    if isinstance(where, S3Location):
        return _open_bucket(where, region, storage_class, settings)
    if is_archive(storage_class):
        delay = timedelta(seconds=restore_seconds(settings, storage_class))
        return LocalArchive(where, bucket, region, storage_class, delay)
    return LocalStore(where, bucket, region, storage_class)


def _open_bucket(where: S3Location, region: str, storage_class: str, settings: Settings) -> S3Store:
    s3_class = where.storage_class or _S3_CLASSES.get(storage_class)
    if s3_class is None:
        raise ConfigError(
            f"The tier {storage_class} at {where} needs a class of S3 that can be read at once: say "
            "storage_class=GLACIER_IR."
        )
    where = replace(where, storage_class=s3_class)
    try:
        return S3Store(
            where,
            region,
            spool_folder(settings),
            settings.store_seconds,
            bucket=tier_bucket(region, storage_class),
            storage_class=storage_class,
        )
    except ValueError as error:
        raise ConfigError(f"The store {where} cannot be used: {error}.") from error


def restore_seconds(settings: Settings, storage_class: str) -> float:
    """Returns how long it takes to restore what lies in a class."""
    return {
        "glacier": settings.glacier_seconds,
        "deep_archive": settings.deep_archive_seconds,
    }.get(storage_class, 0.0)
