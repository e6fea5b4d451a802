"""What `dits-server store` does: whether a store can be used, and which one the database means."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from datetime import timedelta

import structlog

from services.chunk.catalog.presence import Presence
from services.chunk.collection.store_move import Moved, StoreMove
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.placement.evacuation import Evacuation, count_wanting
from services.chunk.stores.blob_store import BlobStore, is_archive
from services.chunk.stores.opening import forget_store, list_known, open_known_store
from services.chunk.stores.ownership import require_owner
from services.chunk.stores.paired_store import PairedStore
from services.chunk.stores.tiers import adopt_place, open_places
from shared.db.pool import Database, Databases
from shared.errors import DomainError
from shared.runtime.config import ConfigError, Settings

log = structlog.get_logger(__name__)

_CHECK_BYTES = 1000
# Seconds between two lines about a copy that goes on.
_TELL_SECONDS = 30.0


async def check_stores(database: Database, settings: Settings) -> Sequence[str]:
    """Tries all stores of the settings; returns what to tell. Raises ConfigError if one cannot be used."""
    lines, failed = list[str](), list[str]()
    for store in (await open_places(database, settings)).values():
        lines += [
            f"store  {store.location}, {store.bucket}",
            f"id     {store.expected_id}, as in the database",
        ]
        try:
            lines += await check_store(store, settings.cell)
            await require_owner(database, store, settings.cell)
            lines.append("owner  this database")
        except (DomainError, ConfigError) as error:
            failed.append(store.bucket)
            lines.append(f"fails  {getattr(error, 'message', error)}")
    if failed:
        raise ConfigError("\n".join([f"{', '.join(failed)} cannot be used:", *lines]))
    return lines


async def adopt_store(database: Database, settings: Settings, place: str | None) -> Sequence[str]:
    """Takes the store of a place, the server's region by default, for the one the database means."""
    bucket = place or settings.region
    known = {
        str(store_id): where for store_id, where in (await list_known(database, bucket)).items()
    }
    store = await adopt_place(database, settings, bucket)
    if store.expected_id in known:
        return [
            f"the store {store.expected_id} at {store.location}, that of {store.bucket} as before, is this "
            "database's now"
        ]
    before = "".join(
        f", instead of {store_id}, once at {where}" for store_id, where in known.items()
    )
    finder = "the weekly inventory" if is_archive(store.storage_class) else "dits verify"
    return [
        f"the store {store.expected_id} at {store.location} is that of {store.bucket} now{before}",
        f"{finder} finds which chunks are not in it; pushes fill them",
    ]


async def move_store(database: Database, settings: Settings) -> Sequence[str]:
    """Copies packs from the second store; returns what to tell. Raises ConfigError if there is none."""
    store = await open_known_store(database, settings)
    if not isinstance(store, PairedStore):
        raise ConfigError(
            "Set store to where the packs shall be, and second_store to where they are."
        )
    return await move_packs(database, store)


async def evacuate_region(
    database: Database, settings: Settings, region: str, target: str
) -> list[str]:
    """Empties a region; returns what to tell. Raises ConfigError if repositories want chunks there."""
    stores = await open_places(database, settings)
    for name in (region, target):
        if name not in stores or stores[name].region != name:
            raise ConfigError(f"There is no region {name}: name its store in stores.")
    if region == target:
        raise ConfigError("A region cannot be moved into itself.")
    if count := await count_wanting(database, region):
        raise ConfigError(
            f"{count:,} repositories want their chunks in {region}: change their regions first."
        )
    databases, grace = Databases(database), timedelta(seconds=settings.reader_grace_seconds)
    presence = Presence(databases, timedelta(seconds=settings.claim_lease_seconds))
    writer = PackWriter(databases, stores[target], presence, cell=settings.cell, reader_grace=grace)
    work = Evacuation(database, stores, writer, pack_bytes=settings.pack_bytes, reader_grace=grace)
    chunks = size = copies = 0
    async with aclosing(work.move_chunks(region, target)) as passes:
        async for done in passes:
            chunks, size, copies = chunks + done.chunks, size + done.bytes, copies + done.copies
            log.info("chunks evacuated", chunks=chunks, bytes=size, copies=copies)
    told = f"moved {chunks:,} chunks ({size:,} bytes) out of {region}, dropped {copies:,} copies"
    return [told, *await _tell_left(work, region)]


async def _tell_left(work: Evacuation, region: str) -> list[str]:
    left, lines = await work.count_left(region), list[str]()
    if work.frozen_packs:
        lines.append(
            f"{work.frozen_packs:,} packs lie in archives, which were asked for them: run it again when "
            "they can be read, within 3 days after"
        )
    if left.packs:
        lines.append(
            f"{left.packs:,} packs stay: uploads of servers there, packs in archives, or chunks that are "
            "damaged here or elsewhere, which `dits verify` heals, or notes as lost; stop these servers, "
            "and run it again"
        )
    elif await work.forget_region(region):
        lines.append(f"{region} is empty, and no region any more: leave it out of stores")
    else:
        lines.append(
            f"{region} is empty; {left.objects:,} objects wait for their deletion: run it again when they "
            "are gone"
        )
    return lines


async def move_packs(database: Database, stores: PairedStore) -> list[str]:
    """Copies packs; returns what to tell. If all were there before, the second store is needed no more."""
    moved, told = Moved(), time.monotonic()
    async with aclosing(StoreMove(database, stores).copy_packs()) as passes:
        async for moved in passes:
            if time.monotonic() < told + _TELL_SECONDS:
                continue
            told = time.monotonic()
            log.info(
                "packs copied", there=moved.there, copied=moved.copied, bytes=moved.copied_bytes
            )
    new, old = stores.first.location, stores.second.location
    lines = [
        f"copied {moved.copied:,} packs ({moved.copied_bytes:,} bytes) from {old} to {new}; "
        f"{moved.there:,} were there; {moved.damaged:,} chunks are damaged in the old store"
    ]
    if moved.missing:
        lines.append(f"{moved.missing:,} packs are in neither, or cut short: see `dits verify`")
    elif moved.copied:
        lines.append(
            "run it again when every server and worker has been restarted with these settings"
        )
    else:
        await forget_store(database, stores.bucket, stores.second.expected_id)
        lines.append(f"all is in {new}: second_store may be left out from now on")
    return lines


async def check_store(store: BlobStore, cell: int) -> list[str]:
    """Writes, measures, reads, lists and deletes an object; returns what is to tell of it.

    Raises ConfigError if an answer is wrong, a DomainError if the store does not answer.
    """
    key, data = f"{cell}/check{uuid.uuid4().hex}", os.urandom(_CHECK_BYTES)
    begun = time.perf_counter()
    writer = store.open_writer(key)
    try:
        await writer.write_parts([data])
        await writer.seal()
        size, modified_at = await store.measure_object(key), await store.find_time(key)
        await store.begin_restore(key, timedelta(minutes=1))
        is_readable = await store.is_restored(key)
        read = await _read_parts(store, key) if is_readable else None
        keys = [each async for keys in store.list_objects(cell) for each in keys]
    finally:
        await writer.discard()
        await store.delete_object(key)
    for is_right, what in (
        (size == _CHECK_BYTES, "it says that an object has another size"),
        (
            read in (None, [data, data[500:510]]),
            "it gives other bytes than those that were written",
        ),
        (key in keys, "it does not list an object that is there"),
        (await store.measure_object(key) is None, "an object is there that was deleted"),
    ):
        if not is_right:
            raise ConfigError(f"The store {store.location} does not work: {what}.")
    work = "written, read, listed and deleted" if is_readable else "written, listed and deleted"
    lines = [
        f"works  an object {work} in {time.perf_counter() - begun:.2f} s",
        f"holds  {len(keys) - 1:,} objects of cell {cell}",
    ]
    if not is_readable:
        lines.append("reads  not checked: an archive lets wait")
    if modified_at is not None:
        lines.append(f"clock  {round(modified_at - time.time()):+d} s from this machine's")
    return lines


async def _read_parts(store: BlobStore, key: str) -> list[bytes]:
    """Returns all bytes of the object of a check, and some of them."""
    ranges = [(0, _CHECK_BYTES), (_CHECK_BYTES // 2, 10)]
    return await store.read_ranges(key, ranges, lambda views: [bytes(view) for view in views])
