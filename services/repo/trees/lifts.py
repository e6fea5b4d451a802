"""The chunks of an obliterated large file, taken again batch by batch.

Each batch notes how far it came, in a list that the chunk service knows. A call that is broken off goes on
there when it is repeated. If nobody repeats it within an hour, the chunk service takes back what was taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from dits.repo.v1.manifest_pb2 import File

from services.repo.history.batches import split_batches
from services.repo.push.chunk_counts import (
    USE_BYTES,
    count_chunks,
    count_steps,
    group_chunks,
    wrong_size,
)
from services.repo.push.chunk_lists import ChunkLists
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import DomainError, chunks_missing, contention
from shared.formats.canonical import split_hashes
from shared.records.ownership import require_unchanged
from shared.rpc.call import Call
from shared.runtime.weighed_work import do_weighed

Q = sql.load(__file__)

# Chunks that one transaction takes.
BATCH = 4_000


class Lift(NamedTuple):
    """A lift that is under way: its list, and the last chunk that it has taken, in hex."""

    list_id: int
    taken_to: str


def is_lifted_in_batches(file: File, lists: ChunkLists) -> bool:
    """Returns whether a file has more chunks than one transaction takes."""
    return bool(file.recipe_hashes) and lists.count_chunks(file) > BATCH


async def begin_lift(connection: Connection, call: Call, file: File) -> Lift:
    """Begins a lift of a content that is obliterated, or goes on. The repository is locked alone.

    Raises CHUNKS_MISSING.
    """
    recipes = sorted({recipe.hex() for recipe in split_hashes(file.recipe_hashes)})
    [row] = await connection.fetch(
        Q.begin_lift, call.repository.id, file.recipe_hashes, recipes, file.hash.hex()
    )
    if row["missing"]:
        raise chunks_missing(row["missing"])
    return Lift(row["list_id"], row["taken_to"])


async def take_chunks(
    database: Database, call: Call, file: File, lists: ChunkLists, lift: Lift
) -> Lift:
    """Takes the chunks that a lift has not taken, each batch in a transaction; returns it as it is then.

    Raises CHUNKS_MISSING with all that are, CONTENT_MISMATCH, CONTENTION.
    """
    groups = await do_weighed(count_steps([file], lists), group_chunks, [file], lists)
    recipes = set(split_hashes(file.recipe_hashes))
    missing: list[str] = []
    while groups:
        group = groups.pop()
        _, sizes = await do_weighed(len(group) // USE_BYTES, count_chunks, group)
        named = {chunk.hex(): size for chunk, size in sizes.items() if chunk not in recipes}
        left = sorted(chunk for chunk in named if chunk > lift.taken_to)
        for batch in split_batches(left, BATCH):
            if missing:
                rows = await database.fetch(Q.find_missing_chunks, call.repository.id, batch)
                missing += [row["hash"] for row in rows]
                continue
            work = partial(_take_batch, call=call, lift=lift, batch=batch, sizes=named)
            missing = await database.transaction(work)
            if not missing:
                lift = lift._replace(taken_to=batch[-1])
    if missing:
        raise chunks_missing(missing)
    return lift


async def _take_batch(
    connection: Connection, call: Call, lift: Lift, batch: Sequence[str], sizes: Mapping[str, int]
) -> list[str]:
    """Takes some chunks, or none, and returns those that the repository does not hold."""
    await connection.execute(Q.keep_repository, call.repository.id)
    await require_unchanged(connection, call)
    [row] = await connection.fetch(
        *Q.bind.lift_chunks(
            repository_id=call.repository.id,
            list_id=lift.list_id,
            taken_to=lift.taken_to,
            hashes=batch,
            sizes=[sizes[chunk] for chunk in batch],
        )
    )
    if row["missing"] is None:
        raise _surpassed()
    if row["missized"]:
        raise wrong_size(row["missized"])
    return list(row["missing"])


async def end_lift(connection: Connection, call: Call, lift: Lift) -> None:
    """Gives a content what a lift has taken. Raises CONTENTION."""
    if not await connection.fetchval(Q.end_lift, call.repository.id, lift.list_id, lift.taken_to):
        raise _surpassed()


def _surpassed() -> DomainError:
    return contention("another call lifts the obliteration; repeat this one")
