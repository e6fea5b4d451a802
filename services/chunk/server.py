"""Wiring of the chunk service."""

from __future__ import annotations

from datetime import timedelta

from dits.chunk.v1 import chunk_service_pb2

from services.chunk.background.access_times import FLUSH_SECONDS, Touches
from services.chunk.background.janitor import ROUND_SECONDS, Janitor
from services.chunk.catalog.extents import Places
from services.chunk.catalog.presence import Presence
from services.chunk.packs.chunk_reader import Reader
from services.chunk.packs.pack_writer import Packs
from services.chunk.rpc.chunk_service import ChunkService
from services.chunk.rpc.download_chunks import Downloads
from services.chunk.rpc.upload_chunks import Uploads
from services.chunk.runtime.memory import keep_freed_memory
from services.chunk.runtime.threads import cpu_threads
from services.chunk.stores.local_store import LocalStore
from shared.db.pool import Database
from shared.rpc.access import RemoteAccess
from shared.rpc.peers import Peers
from shared.rpc.server import Runtime, ServiceServer
from shared.runtime.background import BackgroundTask

NEEDS = ("auth",)


async def build(runtime: Runtime) -> ServiceServer:
    """The chunk service, ready to start."""
    keep_freed_memory()
    settings = runtime.settings
    database = await Database.connect(runtime.dsn, service="chunk", size=settings.pool_size)
    peers = Peers(runtime.addresses, NEEDS)
    access = RemoteAccess(peers.channel("auth"))
    access.listen(runtime.listener)
    store = LocalStore(
        settings.data_dir / "chunks" / settings.region, settings.region, settings.region
    )
    stores = {store.bucket: store}
    presence = Presence(database, timedelta(seconds=settings.claim_lease_seconds))
    places = Places(database)
    touches = Touches(database)
    packs = Packs(database, store, presence)
    uploads = Uploads(packs, presence, cpu_threads(), settings.pack_bytes)
    downloads = Downloads(places, Reader(stores, places), touches)
    service = ChunkService(settings, presence, uploads, downloads)
    return ServiceServer(
        "chunk",
        runtime,
        database,
        access,
        [(chunk_service_pb2.DESCRIPTOR.services_by_name["ChunkService"], service)],
        background=[
            BackgroundTask("flush access times", touches.flush, FLUSH_SECONDS),
            BackgroundTask(
                "clear up after uploads", Janitor(database, stores).clear, ROUND_SECONDS
            ),
        ],
        peers=peers,
        await_ends=[uploads.linger],
    )
