"""What the others learn of a push: its event, and the counters of the repository."""

from __future__ import annotations

from collections.abc import Sequence

from dits.common.v1.event_pb2 import (
    BranchPayload,
    CommitMentions,
    EventType,
    PushPayload,
    TagPayload,
)

from shared.db import sql
from shared.db.pool import Connection
from shared.formats.shelves import is_shelf
from shared.records.events import emit
from shared.rpc.call import Call

Q = sql.load(__file__)


async def announce_push(
    connection: Connection,
    call: Call,
    branches: Sequence[BranchPayload],
    tags: Sequence[TagPayload] = (),
    *,
    commits: int = 0,
    assets: int = 0,
    size: int = 0,
    mentions: Sequence[CommitMentions] = (),
) -> None:
    """Writes the event of a push that moved refs, and counts what was new: commits, assets, bytes.

    Nobody is told of shelves.

    The repository's own row comes last, because all pushes to a repository share it.
    """
    repository_id = call.repository.id
    told = [branch for branch in branches if not is_shelf(branch.branch)]
    if told or tags:
        payload = PushPayload(branches=told, new_commit_count=commits, mentions=mentions, tags=tags)
        await emit(connection, call, EventType.EVENT_TYPE_PUSH, repository_id, payload)
    await connection.execute(Q.count_push, repository_id, commits, assets, size)
