"""Wiring of the chunk service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from dits.chunk.v1 import (
    chunk_service_pb2,
    direct_transfer_service_pb2,
    maintenance_service_pb2,
    placement_service_pb2,
    tier_service_pb2,
)
from google.protobuf.descriptor import ServiceDescriptor

from services.chunk.background.access_times import STORE_SECONDS, AccessTimeStore
from services.chunk.background.garbage_collection import SCHEDULE as COLLECT_GARBAGE
from services.chunk.background.garbage_collection import GarbageCollection
from services.chunk.background.object_reaper import REAP_SECONDS, ObjectReaper
from services.chunk.background.open_pack_sweep import SWEEP_SECONDS, OpenPackSweep
from services.chunk.background.replication import SCHEDULES as PLACEMENT_SCHEDULES
from services.chunk.background.replication import ChunkReplication
from services.chunk.background.storage_maintenance import SCHEDULES as STORAGE_SCHEDULES
from services.chunk.background.storage_maintenance import StorageMaintenance
from services.chunk.background.tiering import SCHEDULE as APPLY_LIFECYCLE
from services.chunk.background.tiering import Tiering
from services.chunk.catalog.access_times import AccessTimes
from services.chunk.catalog.chunk_copy import ChunkCopy
from services.chunk.catalog.chunk_stats import ChunkStats
from services.chunk.catalog.copy_requests import RepairRequests
from services.chunk.catalog.extents import Extents
from services.chunk.catalog.presence import Presence
from services.chunk.catalog.presence_filters import PresenceFilters
from services.chunk.catalog.storage_quota import StorageQuota
from services.chunk.catalog.tiers import Tiers
from services.chunk.collection.lifecycle import find_classes
from services.chunk.collection.restores import Restores
from services.chunk.packs.chunk_reader import ChunkReader
from services.chunk.packs.direct_downloads import DirectDownloads
from services.chunk.packs.direct_uploads import DirectUploads
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.rpc.chunk_service import Catalog, ChunkService
from services.chunk.rpc.direct_transfer_service import DirectTransferService
from services.chunk.rpc.download_chunks import Downloads
from services.chunk.rpc.maintenance_service import MaintenanceService
from services.chunk.rpc.open_calls import OpenCalls
from services.chunk.rpc.placement_service import PlacementService
from services.chunk.rpc.tier_service import TierService
from services.chunk.rpc.upload_chunks import Uploads
from services.chunk.runtime.memory import keep_freed_memory
from services.chunk.runtime.threads import make_cpu_threads
from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.opening import open_known_stores
from services.chunk.stores.spool import require_spool
from services.chunk.stores.tiers import open_tiers
from shared.db.pool import Database, Databases
from shared.jobs.background import Background
from shared.rpc.access import RemoteAccess
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.peers import Peers
from shared.runtime.background import BackgroundTask
from shared.runtime.config import Settings
from shared.server import Runtime, ServiceServer

NEEDS = ("auth",)

_CHUNKS = chunk_service_pb2.DESCRIPTOR.services_by_name["ChunkService"]
_MAINTENANCE = maintenance_service_pb2.DESCRIPTOR.services_by_name["MaintenanceService"]
_PLACEMENT = placement_service_pb2.DESCRIPTOR.services_by_name["PlacementService"]
_TRANSFERS = direct_transfer_service_pb2.DESCRIPTOR.services_by_name["DirectTransferService"]
_TIERS = tier_service_pb2.DESCRIPTOR.services_by_name["TierService"]


async def build(runtime: Runtime) -> ServiceServer:
    """Returns the chunk service, ready to start."""
    keep_freed_memory()
    settings = runtime.settings
    database = await runtime.connect("chunk")
    databases = Databases(database)
    peers = Peers(runtime.addresses, NEEDS)
    access = RemoteAccess(peers.channel("auth"))
    access.listen(runtime.listener)
    stores = await open_known_stores(database, settings)
    places = await open_tiers(database, settings, stores)
    store = stores[settings.region]
    near = settings.region if len(stores) > 1 else None
    access_times, extents, calls = AccessTimes(), Extents(databases, near), OpenCalls()
    lease, threads = timedelta(seconds=settings.claim_lease_seconds), make_cpu_threads()
    filters = PresenceFilters(lease, settings.presence_filter_bytes, threads)
    presence = Presence(databases, lease, filters)
    catalog = Catalog(presence, ChunkStats(databases, lease), ChunkCopy(databases, presence))
    budget = ByteBudget(settings.held_bytes)
    budget.export("chunks")
    writer, quota = _make_writer(settings, databases, store, presence), StorageQuota(databases)
    uploads = Uploads(writer, presence, quota, threads, settings.pack_bytes, calls, budget)
    reader = ChunkReader(places, extents, RepairRequests(databases))
    downloads = Downloads(extents, reader, access_times, budget)
    service = ChunkService(settings, catalog, access, uploads, downloads)
    puts = DirectUploads(databases, stores, writer, quota, budget, settings.cell)
    gets = DirectDownloads(places, extents, access_times)
    direct = DirectTransferService(databases, runtime.key, puts, gets)
    tiers = TierService(Tiers(databases), Restores(databases, settings), find_classes(places))
    own = [(_CHUNKS, service), (_TIERS, tiers), (_TRANSFERS, direct)]
    return ServiceServer(
        "chunk",
        runtime,
        database,
        access,
        [*own, *_list_services(runtime, database, databases)],
        background=make_background(settings, databases, places, access_times, writer),
        peers=peers,
        await_ends=[calls.wait_for_ends, filters.stop],
    )


def _make_writer(
    settings: Settings, databases: Databases, store: BlobStore, presence: Presence
) -> PackWriter:
    """Returns the writer of the packs of a store. Raises ConfigError if it has no spool that it needs."""
    if store.location.startswith("s3://"):
        require_spool(settings)
    grace = timedelta(seconds=settings.reader_grace_seconds)
    return PackWriter(databases, store, presence, cell=settings.cell, reader_grace=grace)


def _list_services(
    runtime: Runtime, database: Database, databases: Databases
) -> list[tuple[ServiceDescriptor, object]]:
    """Returns the services that tell where chunks are kept."""
    settings = runtime.settings
    return [
        (_MAINTENANCE, MaintenanceService(database, databases, runtime.key, settings)),
        (_PLACEMENT, PlacementService(database, databases, settings.region)),
    ]


def make_background(
    settings: Settings,
    databases: Databases,
    stores: Mapping[str, BlobStore],
    access_times: AccessTimes,
    writer: PackWriter,
) -> Background:
    """Returns what the service does without being called."""
    times = AccessTimeStore(access_times, databases)
    sweep = OpenPackSweep(databases, timedelta(seconds=settings.open_pack_seconds))
    reaper = ObjectReaper(databases, stores, settings.cell)
    return Background(
        [
            BackgroundTask("store access times", times.store_times, STORE_SECONDS),
            BackgroundTask("sweep open packs", sweep.sweep_packs, SWEEP_SECONDS),
            BackgroundTask("reap objects", reaper.reap_objects, REAP_SECONDS),
        ],
        jobs={
            **GarbageCollection(settings, stores).jobs(),
            **StorageMaintenance(settings, stores, writer).jobs(),
            **Tiering(settings, stores, writer).jobs(),
            **ChunkReplication(settings, stores, writer).jobs(),
        },
        schedules=[COLLECT_GARBAGE, *STORAGE_SCHEDULES, APPLY_LIFECYCLE, *PLACEMENT_SCHEDULES],
    )
