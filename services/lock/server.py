"""Wiring of the lock service."""

from __future__ import annotations

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.background.expiry import INTERVAL_SECONDS, LockExpiry
from services.lock.locks.acquisition import LockAcquisition
from services.lock.locks.base_commit import BaseCommitCheck
from services.lock.locks.mutex import LockMutex
from services.lock.rpc.lock_service import LockService
from shared.db.pool import Databases
from shared.jobs.background import Background
from shared.outbox.change_signal import ChangeSignal
from shared.outbox.event_stream import EventStream
from shared.records.idempotency import IdempotentWrites
from shared.rpc.access import RemoteAccess
from shared.rpc.peers import Peer, Peers
from shared.runtime.background import BackgroundTask
from shared.server import Runtime, ServiceServer

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
    """Returns the lock service, ready to start."""
    database = await runtime.connect("lock", PLANNER)
    databases = Databases(database)
    peers = Peers(runtime.addresses, NEEDS)
    access = RemoteAccess(peers.channel("auth"))
    access.listen(runtime.listener)
    signal = ChangeSignal(databases)
    signal.receive_hints(runtime.listener)
    mutex = LockMutex(databases)
    expiry = LockExpiry(databases, mutex)
    servicer = LockService(
        databases,
        mutex,
        IdempotentWrites(database, runtime.key),
        runtime.key,
        LockAcquisition(mutex, BaseCommitCheck(Peer(peers, "repo"))),
        EventStream(signal),
    )
    server = ServiceServer(
        "lock",
        runtime,
        database,
        access,
        [(pb.DESCRIPTOR.services_by_name["LockService"], servicer)],
        background=Background(
            [
                signal.task(),
                BackgroundTask("end expired locks", expiry.process_due_locks, INTERVAL_SECONDS),
            ]
        ),
        peers=peers,
    )
    server.end_streams = signal.stop
    return server
