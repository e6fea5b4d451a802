"""Wiring of the lock service."""

from __future__ import annotations

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.background.expiry import INTERVAL_SECONDS, Reaper
from services.lock.locks.base_commit import Bases
from services.lock.locks.change_signal import POLL_SECONDS, Feed
from services.lock.locks.mutex import Turns
from services.lock.rpc.lock_service import LockService
from shared.db.pool import Database
from shared.records.idempotency import IdempotentWrites
from shared.rpc.access import RemoteAccess
from shared.rpc.peers import Peer, Peers
from shared.rpc.server import Runtime, ServiceServer
from shared.runtime.background import BackgroundTask

NEEDS = ("auth", "repo")

# An index answers every question about locks, row by row. The planner, left alone, reads everything where
# statistics are missing or old, and they are old every morning: all locks of the day before are gone.
PLANNER = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


async def build(runtime: Runtime) -> ServiceServer:
    """The lock service, ready to start."""
    settings = runtime.settings
    database = await Database.connect(
        runtime.dsn, service="lock", size=settings.pool_size, settings=PLANNER
    )
    peers = Peers(runtime.addresses, NEEDS)
    access = RemoteAccess(peers.channel("auth"))
    access.listen(runtime.listener)
    feed = Feed(database)
    feed.listen(runtime.listener)
    turns = Turns(database, feed)
    writes = IdempotentWrites(database, runtime.key)
    servicer = LockService(database, turns, writes, runtime.key, Bases(Peer(peers, "repo")), feed)
    reaper = Reaper(database, turns)
    return ServiceServer(
        "lock",
        runtime,
        database,
        access,
        [(pb.DESCRIPTOR.services_by_name["LockService"], servicer)],
        background=[
            BackgroundTask("poll lock events", feed.poll, POLL_SECONDS),
            BackgroundTask("hint at lock changes", feed.tell, 0),
            BackgroundTask("end expired locks", reaper.reap, INTERVAL_SECONDS),
        ],
        peers=peers,
    )
