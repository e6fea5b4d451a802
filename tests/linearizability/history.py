"""Random concurrent histories of locks, recorded through real calls, and what must be true of them."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from tests.linearizability.checker import Operation, check, partition
from tests.linearizability.lock_model import LockModel, compatible, overlap
from tests.linearizability.operations import Held
from tests.linearizability.players import Player
from tests.linearizability.push_questions import PushQuestions
from tests.support.locks import Studio

if TYPE_CHECKING:
    from dits.lock.v1.lock_service_pb2_grpc import LockServiceAsyncStub as LockStub


async def record_history(
    studio: Studio, replicas: Sequence[LockStub], seed: int, *, players: int, calls: int
) -> list[Operation]:
    """Lets several players play at once; returns what they asked and were answered."""
    history: list[Operation] = []
    known: dict[str, list[Held]] = {}
    connections = [await asyncpg.connect(studio.api.dsn) for _ in range(players)]
    try:
        seats = [
            Player(
                studio,
                replicas,
                PushQuestions(connection, studio.repo.id),
                random.Random(f"{seed}/{i}"),
                f"p{i}",
                history,
                known,
            )
            for i, connection in enumerate(connections)
        ]
        await asyncio.gather(*(player.play(calls) for player in seats))
    finally:
        for connection in connections:
            await connection.close()
    return history


def find_faults(history: Sequence[Operation]) -> list[str]:
    """Returns what no sequence of calls explains, a text per tree."""
    parts = partition(history, lambda op: op.client.partition(" ")[2])
    verdicts = {tree: check(LockModel(), part) for tree, part in sorted(parts.items())}
    return [f"{tree}\n{found}" for tree, found in verdicts.items() if not found.is_linearizable]


async def find_written_faults(studio: Studio) -> list[str]:
    """Returns what the history in the database must never say: overlaps, falling fences, two ends."""
    rows = await studio.api.fetch(
        """SELECT a.lock_id, a.path, a.lock_type, a.owner_id, a.fence, a.action_at AS since,
                  coalesce(e.action_at, l.expires_at, 'infinity') AS until,
                  (SELECT count(*) FROM lock_history h WHERE h.lock_id = a.lock_id) AS entries,
                  l.id IS NULL AS is_gone
           FROM lock_history a
           LEFT JOIN lock_history e ON e.lock_id = a.lock_id AND e.action <> 'acquired'
           LEFT JOIN locks l ON l.id = a.lock_id
           WHERE a.repo_id = $1::uuid AND a.action = 'acquired' ORDER BY a.fence""",
        studio.repo.id,
    )
    found = [f"{row}: begun and ended?" for row in rows if row["entries"] != 1 + row["is_gone"]]
    for one, other in itertools.pairwise(rows):
        if not (one["fence"] < other["fence"] and one["since"] <= other["since"]):
            found.append(f"{one} and {other}: fences against the order of time")
    for one, other in itertools.combinations(rows, 2):
        if (
            overlap(one["path"], other["path"])
            and not compatible(one["lock_type"], other["lock_type"])
            and (one["owner_id"] != other["owner_id"] or one["path"] == other["path"])
            and one["since"] < other["until"]
            and other["since"] < one["until"]
        ):
            found.append(f"{one} and {other}: at the same time")
    return found
