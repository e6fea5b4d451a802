"""Watch: what happens to the locks of a repository, in order and without gaps.

A position is (transaction, event id), in the order of the outbox, and only what has settled is read: no
event can turn up behind a position any more. A cursor is a signed position.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import lru_cache
from uuid import UUID

from dits.common.v1.event_pb2 import LockPayload
from dits.lock.v1 import lock_service_pb2 as pb
from google.protobuf import json_format

from services.lock.locks.change_signal import Feed
from shared.db import sql
from shared.db.pool import Database, Row
from shared.errors import DomainError, cursor_too_old, invalid_field
from shared.records.events import TYPES
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

CHECKPOINT_SECONDS = 15.0
BATCH = 100
_MAC_BYTES = 16

Position = tuple[str, int]


class Watching:
    """Follows the outbox."""

    def __init__(
        self,
        database: Database,
        key: ServerKey,
        feed: Feed,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self._database = database
        self._key = key
        self._feed = feed
        self._checkpoint_seconds = checkpoint_seconds

    async def Watch(
        self, request: pb.WatchRequest, call: Call
    ) -> AsyncGenerator[pb.WatchResponse, None]:
        """Events as they settle, and a sign of life at the beginning and in the silence between."""
        repo_id = call.repository.id
        position = self._open(request.cursor, repo_id) if request.cursor else None
        silent_since = float("-inf")
        with self._feed.watching(repo_id) as signal:
            while True:
                signal.clear()
                rows = await self._database.fetch(
                    Q.lock_events, repo_id, *(position or (None, None))
                )
                if rows[0]["is_lost"]:
                    raise cursor_too_old()
                events = [row for row in rows if row["id"] is not None]
                for row in events:
                    position = (row["xid"], row["id"])
                    yield self._response(repo_id, position, row, _event(row, call.caller_id))
                    silent_since = time.monotonic()
                if len(events) == BATCH:
                    continue
                position = (rows[0]["settled"], 0)
                if time.monotonic() - silent_since >= self._checkpoint_seconds:
                    yield self._response(repo_id, position, rows[0], None)
                    silent_since = time.monotonic()
                await _wait(signal, silent_since + self._checkpoint_seconds - time.monotonic())

    def _response(
        self, repo_id: UUID, position: Position, row: Row, event: pb.LockEvent | None
    ) -> pb.WatchResponse:
        return pb.WatchResponse(
            event=event, cursor=self._cursor(position, repo_id), server_time=row["server_time"]
        )

    def _cursor(self, position: Position, repo_id: UUID) -> str:
        payload = json.dumps(position, separators=(",", ":")).encode()
        mac = self._key.mac(b"watch", repo_id.bytes, payload)
        return base64.urlsafe_b64encode(mac + payload).decode()

    def _open(self, cursor: str, repo_id: UUID) -> Position:
        try:
            raw = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
        except binascii.Error:
            raise _bad_cursor() from None
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._key.mac(b"watch", repo_id.bytes, payload)):
            raise _bad_cursor()
        xid, event_id = json.loads(payload)
        return xid, event_id


async def _wait(signal: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(signal.wait(), seconds)


def _event(row: Row, caller_id: UUID | None) -> pb.LockEvent:
    """An event with its locks, each with what they have in common."""
    payload = _payload(row["payload"])
    holder_id = payload.holder_id
    locks = [
        pb.Lock(
            id=lock.lock_id,
            path=lock.path,
            type=payload.type,
            holder_id=holder_id,
            holder=payload.holder,
            ours=holder_id == str(caller_id),
            reason=payload.reason,
            fence=lock.fence,
            lock_time=payload.lock_time,
            expire_time=payload.expire_time,
            release_on_push=payload.release_on_push,
            base_commit=payload.base_commit,
        )
        for lock in payload.locks
    ]
    return pb.LockEvent(
        type=TYPES[row["type"]],
        time=row["created_at"],
        actor_id=str(row["actor_id"] or ""),
        locks=locks,
        reason=payload.cause,
    )


# All watchers of a repository read the same events at the same time.
@lru_cache(maxsize=64)
def _payload(text: str) -> LockPayload:
    return json_format.Parse(text, LockPayload(), ignore_unknown_fields=True)


def _bad_cursor() -> DomainError:
    return invalid_field("cursor", "was not issued by this server for this repository")
