"""What is stored as a delta to a directory that goes is stored in another form."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from services.repo.history.manifest_forms import compress_delta, compress_manifest
from services.repo.history.manifests import load_forms
from shared.db import sql
from shared.db.pool import Connection, Database

Q = sql.load(__file__)


async def release_bases(database: Database, repository_id: UUID, bases: Sequence[str]) -> None:
    """Stores what are deltas to some manifests in another form, but for what others have locked.

    The smallest of the deltas to one base stands alone, and the others become deltas to it: they are
    versions of one directory. Each is stored in a transaction of its own. Raises MANIFEST_CORRUPT.
    """
    for base in bases:
        rows = await database.fetch(Q.list_deltas, repository_id, base)
        rebasing = _Rebasing(database, repository_id, base)
        for row in rows:
            await rebasing.move(row["hash"])


class _Rebasing:
    """What takes the place of a base: the first of its deltas that could be stored alone."""

    def __init__(self, database: Database, repository_id: UUID, base: str) -> None:
        self._database = database
        self._repository_id = repository_id
        self._base = base
        self._first = ""
        self._content = b""

    async def move(self, digest: str) -> None:
        """Stores one of the deltas in another form."""
        async with self._database.connection() as connection:
            forms = await load_forms(connection, self._repository_id, [digest])
        if digest not in forms:
            return
        content = await asyncio.to_thread(forms.open, digest)
        form, base = await asyncio.to_thread(self._choose, content)
        store = partial(self._store, digest=digest, form=form, base=base, size=len(content))
        if await self._database.transaction(store) and not self._first:
            self._first, self._content = digest, content

    def _choose(self, content: bytes) -> tuple[bytes, str | None]:
        """Returns the smaller form: alone, or as a delta to the first."""
        whole = compress_manifest(content)
        if not self._content:
            return whole, None
        delta = compress_delta(content, self._content)
        return (delta, self._first) if len(delta) < len(whole) else (whole, None)

    async def _store(
        self, connection: Connection, digest: str, form: bytes, base: str | None, size: int
    ) -> bool:
        """Stores a form unless a push holds the manifest, which may take the same base."""
        held = await connection.fetchrow(Q.hold_delta, self._repository_id, digest, self._base)
        if held is None:
            return False
        decoded = size + (len(self._content) if base else 0)
        await connection.execute(
            *Q.bind.store_form(
                repository_id=self._repository_id,
                hash=digest,
                content=form,
                base=base,
                depth=1 if base else 0,
                decoded=decoded,
            )
        )
        return True
