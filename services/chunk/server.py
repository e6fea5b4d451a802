"""Wiring of the chunk service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from dits.chunk.v1 import chunk_service_pb2

from services.chunk.background.access_times import STORE_SECONDS, AccessTimeStore
from services.chunk.background.object_reaper import REAP_SECONDS, ObjectReaper
from services.chunk.background.open_pack_sweep import SWEEP_SECONDS, OpenPackSweep
from services.chunk.catalog.access_times import AccessTimes
from services.chunk.catalog.extents import Extents
from services.chunk.catalog.presence import Presence
from services.chunk.packs.chunk_reader import ChunkReader
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.rpc.chunk_service import ChunkService
from services.chunk.rpc.download_chunks import Downloads
from services.chunk.rpc.open_calls import OpenCalls
from services.chunk.rpc.upload_chunks import Uploads
from services.chunk.runtime.memory import keep_freed_memory
from services.chunk.runtime.threads import make_cpu_threads
from services.chunk.stores.blob_store import BlobStore
from services.chunk.stores.local_store import LocalStore
from shared.db.pool import Database, Databases
from shared.jobs.background import Background
from shared.rpc.access import RemoteAccess
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.peers import Peers
from shared.runtime.background import BackgroundTask
from shared.runtime.config import Settings
from shared.server import Runtime, ServiceServer

NEEDS = ("auth",)


async def build(runtime: Runtime) -> ServiceServer:
    """Returns the chunk service, ready to start."""
    keep_freed_memory()
    settings = runtime.settings
    database = await Database.connect(runtime.dsn, service="chunk", size=settings.pool_size)
    databases = Databases(database)
    peers = Peers(runtime.addresses, NEEDS)
    access = RemoteAccess(peers.channel("auth"))
    access.listen(runtime.listener)
    store = open_store(settings)
    stores = {store.bucket: store}
    access_times = AccessTimes(databases)
    presence = Presence(databases, timedelta(seconds=settings.claim_lease_seconds))
    extents = Extents(databases)
    calls = OpenCalls()
    budget = ByteBudget(settings.held_bytes)
    budget.export("chunks")
    writer = PackWriter(databases, store, presence, settings.cell)
    uploads = Uploads(writer, presence, make_cpu_threads(), settings.pack_bytes, calls, budget)
    downloads = Downloads(extents, ChunkReader(stores, extents), access_times, budget)
    service = ChunkService(settings, presence, uploads, downloads)
    return ServiceServer(
        "chunk",
        runtime,
        database,
        access,
        [(chunk_service_pb2.DESCRIPTOR.services_by_name["ChunkService"], service)],
        background=Background(list_background_tasks(databases, stores, access_times)),
        peers=peers,
        await_ends=[calls.wait_for_ends],
    )


def open_store(settings: Settings) -> LocalStore:
    """Returns the store of the region that this server stores into."""
    region = settings.region
    return LocalStore(settings.data_dir / "chunks" / region, bucket=region, region=region)


def list_background_tasks(
    databases: Databases, stores: Mapping[str, BlobStore], access_times: AccessTimes
) -> list[BackgroundTask]:
    """Returns the background tasks of the service."""
    times = AccessTimeStore(access_times)
    sweep = OpenPackSweep(databases)
    reaper = ObjectReaper(databases, stores)
    return [
        BackgroundTask("store access times", times.store_times, STORE_SECONDS),
        BackgroundTask("sweep open packs", sweep.sweep_packs, SWEEP_SECONDS),
        BackgroundTask("reap objects", reaper.reap_objects, REAP_SECONDS),
    ]
