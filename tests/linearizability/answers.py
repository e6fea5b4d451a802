"""What the service answers, as the model knows it."""

from __future__ import annotations

import grpc
from dits.common.v1.lock_type_pb2 import LockType
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from tests.linearizability.operations import ADVISORY, EXCLUSIVE, SHARED, Blocked, Held
from tests.support.api import read_error

SECOND = 1_000_000
LOCK_TYPES = {
    name: LockType.Value(f"LOCK_TYPE_{name.upper()}") for name in (EXCLUSIVE, SHARED, ADVISORY)
}
_NAMES = {value: name for name, value in LOCK_TYPES.items()}


def to_micros(time: Timestamp) -> int:
    """A time in microseconds."""
    return time.seconds * SECOND + time.nanos // 1000


def to_held(lock: pb.Lock) -> Held:
    """A lock as the model knows it."""
    return Held(
        lock.id,
        lock.path,
        _NAMES[lock.type],
        lock.holder,
        lock.fence,
        to_micros(lock.lock_time),
        to_micros(lock.expire_time),
    )


def read_blocked(error: grpc.aio.AioRpcError) -> Blocked:
    """Which lock conflicts; raises errors that are not LOCK_HELD."""
    refusal = read_error(error)
    if refusal.reason != "LOCK_HELD":
        raise error
    return Blocked(refusal.metadata["lock_id"])
