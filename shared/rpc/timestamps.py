"""Times in messages."""

from __future__ import annotations

from datetime import datetime
from typing import overload

from google.protobuf.timestamp_pb2 import Timestamp


@overload
def to_timestamp(at: datetime) -> Timestamp: ...


@overload
def to_timestamp(at: datetime | None) -> Timestamp | None: ...


def to_timestamp(at: datetime | None) -> Timestamp | None:
    """Returns the message of a time; None, of which a field stays unset, of none."""
    if at is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(at)
    return timestamp
