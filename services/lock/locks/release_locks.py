"""How holders end their locks."""

from __future__ import annotations

from datetime import datetime

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks.mutex import LockMutex
from shared.db import sql
from shared.rpc.call import Call

Q = sql.load(__file__)


async def release_locks(
    mutex: LockMutex, call: Call, ids: list[str]
) -> tuple[list[pb.ReleaseResult], datetime]:
    """Ends locks of the caller; returns the outcomes, in the order of `ids`, and when they were judged."""
    repository_id = call.repository.id
    first, *rows = await mutex.execute_change(
        repository_id, Q.release_locks, repository_id, call.caller.user_id, ids
    )
    ended, released = pb.RELEASE_OUTCOME_ALREADY_ENDED, pb.RELEASE_OUTCOME_RELEASED
    outcomes = {str(row["lock_id"]): released if row["released"] else ended for row in rows}
    results = [
        pb.ReleaseResult(
            lock_id=lock_id, outcome=outcomes.get(lock_id, pb.RELEASE_OUTCOME_NOT_FOUND)
        )
        for lock_id in ids
    ]
    return results, first["server_time"]
