"""Wiring of the lock service."""

from __future__ import annotations

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.background.expiry import Reaper
from services.lock.locks.base_commit import Bases
from services.lock.locks.change_signal import Feed
from services.lock.locks.mutex import Turns
from services.lock.rpc.lock_service import LockService
from shared.db.pool import Database
from shared.rpc.access import RemoteAccess
from shared.rpc.server import Runtime, ServiceServer, channel

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
    auth, repo = channel(runtime.addresses["auth"]), channel(runtime.addresses["repo"])
    access = RemoteAccess(auth)
    feed = Feed(database)
    turns = Turns(database, feed)
    servicer = LockService(database, turns, runtime.key, Bases(repo), feed)
    return ServiceServer(
        "lock",
        runtime,
        database,
        access,
        [(pb.DESCRIPTOR.services_by_name["LockService"], servicer)],
        background=[
            lambda: access.listen(runtime.dsn),
            lambda: feed.listen(runtime.dsn),
            feed.poll,
            feed.tell,
            Reaper(database, turns).run,
        ],
        channels=[auth, repo],
    )
