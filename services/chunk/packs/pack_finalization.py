"""The transaction that finalizes a pack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from services.chunk.catalog.presence import Presence, join_hashes
from services.chunk.catalog.repository_hold import require_repository
from services.chunk.catalog.storage_quota import settle_storage
from services.chunk.packs.live_counts import release_packs
from services.chunk.packs.pack import Pack, PackEntry
from services.chunk.packs.pack_sealing import end_pack, hold_open_pack
from services.chunk.stores.blob_store import BlobStore
from shared.db import sql
from shared.db.pool import Connection

Q = sql.load(__file__)


class StoredChunks(NamedTuple):
    """Chunks that are new to a repository, or whole again: their number, and their bytes as they were sent.

    Whether another repository has them must not show: see docs/chunks.md. `conflicts` are those that this
    repository has under another key.
    """

    chunk_count: int
    byte_count: int
    conflicts: Collection[bytes] = ()


class PackFinalization:
    """The finalizing transaction of one pack.

    Attributes:
        added: the hashes of the chunks that are new to the repository.
        additions: how often chunks were added to the repository, these included.
        copy_seconds: after which time these are to be copied into other regions; None = they are not.
    """

    def __init__(
        self,
        pack: Pack,
        repository_id: UUID,
        store: BlobStore,
        presence: Presence,
        reader_grace: timedelta,
    ) -> None:
        self._pack = pack
        self._repository_id = repository_id
        self._store = store
        self._presence = presence
        self._reader_grace = reader_grace
        self._left: Counter[str] = Counter()
        self.added: Sequence[str] = ()
        self.additions = 0
        self.copy_seconds: int | None = None
        self._hashes = join_hashes(pack.entries)
        columns = zip(*pack.entries.values(), strict=True)
        joined = (",".join(map(str, column)) for column in columns)
        self._columns = dict(zip(PackEntry._fields, joined, strict=True))
        self._stored = StoredChunks(0, 0)

    async def apply_steps(self, connection: Connection) -> StoredChunks:
        """Does steps U1 to U7; can be repeated, and finds out if it succeeded before."""
        repository_id = self._repository_id
        await require_repository(connection, repository_id)
        if not await hold_open_pack(connection, self._pack):
            return self._stored
        live = await self._count_chunks(connection)
        await end_pack(connection, self._pack, live, self._hashes)
        if self._left:
            await release_packs(connection, self._left, self._reader_grace)
        return self._stored

    async def _count_chunks(self, connection: Connection) -> int:
        """Does steps U3 to U6; returns how many chunks lie in this pack from now on."""
        repository_id = self._repository_id
        hashes = await self._insert_chunks(connection)
        lengths, key_ids = self._columns["length"], self._columns["encryption_key_id"]
        new = await connection.fetchval(
            Q.insert_references, repository_id, self._hashes, lengths, key_ids
        )
        total = len(self._pack.entries)
        if len(hashes) < total and (others := set(new) - set(hashes)):
            await connection.execute(Q.count_references, ",".join(others))
        if new:
            added = sum(self._pack.entries[bytes.fromhex(name)].size for name in new)
            await settle_storage(connection, repository_id, added, self._pack.reservation)
            await self._note_additions(connection, new)
        self.added = new
        conflicts = set(self._pack.conflicts)
        if len(new) < total:
            await self._presence.renew_claims(connection, repository_id, self._hashes)
            rows = await connection.fetch(Q.other_keys, repository_id, self._hashes, key_ids)
            conflicts.update(row["digest"] for row in rows)
        self._left = Counter()
        restored: list[str] = []
        warmed: list[str] = []
        if len(hashes) < total:
            lost, restored = await self._restore_chunks(connection)
            warmed = [*lost, *await self._warm_references(connection)]
        stored = {*new, *warmed}
        length = sum(self._pack.entries[bytes.fromhex(name)].length for name in stored)
        self._stored = StoredChunks(len(stored), length, conflicts)
        return len(hashes) + len(restored)

    async def _note_additions(self, connection: Connection, new: Sequence[str]) -> None:
        """Counts what is new to the repository, and queues copies of it."""
        [row] = await connection.fetch(Q.count_additions, self._repository_id)
        self.additions, self.copy_seconds = row["additions"], row["copy_seconds"]
        if self.copy_seconds is not None:
            await connection.execute(Q.queue_copies, self._repository_id, new)

    async def _warm_references(self, connection: Connection) -> list[str]:
        """Makes archived chunks hot for the repository; returns those that were archived for it."""
        rows = await connection.fetch(Q.warm_references, self._repository_id, self._hashes)
        return [row["chunk_hash"] for row in rows]

    async def _restore_chunks(self, connection: Connection) -> tuple[list[str], list[str]]:
        """Gives lost and cold chunks, which U3 has locked, their place in this pack.

        Returns which were lost, and which they were in all.
        """
        rows = await connection.fetch(Q.lost_and_cold_chunks, self._hashes)
        if not rows:
            return [], []
        entries = [self._pack.entries[bytes.fromhex(row["hash"])] for row in rows]
        hashes = [row["hash"] for row in rows]
        form = {
            "hashes": hashes,
            "compressions": [entry.compression for entry in entries],
            "lengths": [entry.length for entry in entries],
        }
        dropped = await connection.fetch(*Q.bind.drop_copies(region=self._store.region, **form))
        self._left.update(row["pack_key"] for row in [*rows, *dropped])
        await connection.execute(
            *Q.bind.restore_chunks(
                pack_key=self._pack.key,
                bucket=self._store.bucket,
                storage_class=self._store.storage_class,
                offsets=[entry.offset for entry in entries],
                **form,
            )
        )
        await connection.execute(Q.queue_copies_for_all, hashes)
        self.copy_seconds = 0
        return [row["hash"] for row in rows if row["is_lost"]], hashes

    async def _insert_chunks(self, connection: Connection) -> list[str]:
        """Does step U3; returns the hashes of the chunks that no repository had."""
        columns = self._columns
        new: list[str] = await connection.fetchval(
            *Q.bind.insert_chunks(
                pack_key=self._pack.key,
                bucket=self._store.bucket,
                hashes=self._hashes,
                sizes=columns["size"],
                compressions=columns["compression"],
                offsets=columns["offset"],
                lengths=columns["length"],
                key_ids=columns["encryption_key_id"],
            )
        )
        return new
