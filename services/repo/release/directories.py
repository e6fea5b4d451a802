"""The release of directories that no commit reaches: condemned after one search, deleted after the next.

A push that names a condemned directory makes it stay. A directory can only be condemned while no push holds
it, so the search that begins afterwards sees the commits of all pushes that have named it before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from services.repo.history.batches import split_batches, split_by_size
from services.repo.history.manifests import load_manifests
from services.repo.release.assets import Contents, list_contents, release_contents
from services.repo.release.bases import release_bases
from services.repo.release.search import Search
from shared.db import sql
from shared.db.pool import Connection, Database

Q = sql.load(__file__)

# Directories that one transaction condemns or pardons; how many it deletes, and bytes of them. In memory
# they take several times as much: 50 versions of a folder of 100,000 files took 3 GB.
CONDEMNED = 1_000
DELETED = 50
DELETED_BYTES = 8 << 20


async def pardon_reached(database: Database, repository_id: UUID, search: Search) -> None:
    """Makes condemned directories stay that the search has reached."""
    rows = await database.fetch(Q.list_condemned, repository_id)
    reached = [row["hash"] for row in rows if bytes.fromhex(row["hash"]) in search.reached]
    for batch in split_batches(reached, CONDEMNED):
        await database.transaction(partial(_pardon, repository_id=repository_id, hashes=batch))


async def _pardon(connection: Connection, repository_id: UUID, hashes: Sequence[str]) -> None:
    held = await connection.fetch(Q.hold_manifests, repository_id, hashes)
    await connection.execute(Q.pardon, repository_id, [row["hash"] for row in held])


async def delete_condemned(
    database: Database, repository_id: UUID, search: Search
) -> AsyncGenerator[int, None]:
    """Deletes directories that no commit reached in a search, and that were condemned before it.

    Yields how many each transaction deleted. Those that name others are deleted before these. Below one
    that stays none is deleted: a push may name it without knowing what it names itself. Raises
    MANIFEST_CORRUPT.
    """
    place = attrgetter("depth", "delta_depth")
    depth_of_stayed = 0
    for (depth, _), group in groupby(search.unreached, key=place):
        if depth < depth_of_stayed:
            return
        sized = ((each.hash, each.size) for each in group)
        for batch in split_by_size(sized, DELETED, DELETED_BYTES):
            deletion = _Deletion(repository_id, batch, search.number)
            count = await deletion.apply(database)
            if count < len(batch):
                depth_of_stayed = depth
            yield count


async def condemn_unreached(
    database: Database, repository_id: UUID, search: Search
) -> AsyncGenerator[int, None]:
    """Condemns the directories that no commit reached, but those that pushes hold; yields how many."""
    for batch in split_batches([each.hash for each in search.unreached], CONDEMNED):
        yield await database.transaction(
            partial(_condemn, repository_id=repository_id, hashes=batch)
        )


async def _condemn(connection: Connection, repository_id: UUID, hashes: Sequence[str]) -> int:
    rows = await connection.fetch(Q.hold_manifests, repository_id, hashes)
    held = [row["hash"] for row in rows if row["condemned"] is None]
    # The number is drawn now: who waited for the locks above has committed before.
    await connection.execute(Q.condemn, repository_id, held)
    return len(held)


class _Deletion:
    """The deletion of a few directories, of which none names another."""

    def __init__(self, repository_id: UUID, hashes: Sequence[str], number: int) -> None:
        self._repository_id = repository_id
        self._hashes = hashes
        self._number = number

    async def apply(self, database: Database) -> int:
        """Deletes them; returns how many went. Raises MANIFEST_CORRUPT."""
        condemned = await database.fetch(
            Q.find_condemned, self._repository_id, self._hashes, self._number
        )
        hashes = [row["hash"] for row in condemned]
        if not hashes:
            return 0
        await release_bases(database, self._repository_id, hashes)
        # Before the transaction, and outside of it: directories do not change.
        async with database.connection() as connection:
            manifests = await load_manifests(connection, self._repository_id, hashes)
        files = await asyncio.to_thread(list_contents, manifests)
        return await database.transaction(partial(self._delete, hashes=hashes, files=files))

    async def _delete(self, connection: Connection, hashes: Sequence[str], files: Contents) -> int:
        repository_id = self._repository_id
        if await connection.fetchrow(Q.hold_repository, repository_id) is None:
            return 0
        rows = await connection.fetch(Q.hold_condemned, repository_id, hashes, self._number)
        held = [row["hash"] for row in rows]
        rows = await connection.fetch(Q.delete_manifests, repository_id, held)
        gone = [row["hash"] for row in rows]
        counts = await asyncio.to_thread(files.count, gone)
        await release_contents(connection, repository_id, counts, files)
        return len(gone)
