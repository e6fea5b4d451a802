"""The RPCs of dits.lock.v1.LockService, and where each is."""

from __future__ import annotations

from services.lock.locks.acquire import Acquiring
from services.lock.locks.base_commit import Bases
from services.lock.locks.change_signal import Feed
from services.lock.locks.changes import Changing
from services.lock.locks.handover import HandingOver
from services.lock.locks.history import Remembering
from services.lock.locks.mutex import Turns
from services.lock.locks.reading import Reading
from services.lock.locks.watch import Watching
from shared.db.pool import Database
from shared.records.idempotency import IdempotentWrites
from shared.runtime.server_key import ServerKey


class LockService:
    """A handler per RPC."""

    def __init__(
        self,
        database: Database,
        turns: Turns,
        writes: IdempotentWrites,
        key: ServerKey,
        bases: Bases,
        feed: Feed,
    ) -> None:
        changing = Changing(turns)
        handing_over = HandingOver(turns, writes)
        reading = Reading(database, turns, key)
        self.AcquireLocks = Acquiring(turns, bases).AcquireLocks
        self.RenewLocks = changing.RenewLocks
        self.ReleaseLocks = changing.ReleaseLocks
        self.ForceReleaseLock = handing_over.ForceReleaseLock
        self.TransferLock = handing_over.TransferLock
        self.GetLock = reading.GetLock
        self.ListLocks = reading.ListLocks
        self.CheckPaths = reading.CheckPaths
        self.ListHistory = Remembering(database, turns, key).ListHistory
        self.Watch = Watching(database, key, feed).Watch
