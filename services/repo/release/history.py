"""The release of all that no ref of a repository has reached for a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import UUID

from services.repo.release.commits import forget_release, read_release_time, release_commits
from services.repo.release.directories import condemn_unreached, delete_condemned, pardon_reached
from services.repo.release.search import begin_search, search_directories
from shared.db.pool import Database


async def release_history(
    database: Database, repository_id: UUID, age: timedelta
) -> AsyncGenerator[int, None]:
    """Releases what the last ref left `age` ago; yields how many rows each transaction deleted.

    One that was broken off goes on where it was. What others have locked stays until the next time. Raises
    MANIFEST_CORRUPT.
    """
    async for count in release_commits(database, repository_id, age):
        yield count
    released_at = await read_release_time(database, repository_id)
    if released_at is None:
        return
    left = 1
    # What the first search condemns, the second deletes.
    for _ in range(2):
        search = await begin_search(database)
        async for _ in search_directories(database, repository_id, search):
            yield 0
        left = len(search.unreached)
        await pardon_reached(database, repository_id, search)
        async for count in delete_condemned(database, repository_id, search):
            left -= count
            yield count
        async for _ in condemn_unreached(database, repository_id, search):
            yield 0
    if not left:
        await forget_release(database, repository_id, released_at)
