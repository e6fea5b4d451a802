"""The policies of repositories: what nobody has read for long is wanted colder, and goes there."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from services.chunk.collection.tier_moves import Misplaced, TierMoves, parse_chunk
from services.chunk.packs.chunk_move import MovedChunks
from services.chunk.packs.pack_writer import PackWriter
from services.chunk.stores.blob_store import STORAGE_CLASSES, BlobStore
from services.chunk.stores.opening import tier_bucket
from shared.db import sql
from shared.db.pool import Database, Row

Q = sql.load(__file__)

DEFAULT_DAYS = {"infrequent": 30, "glacier": 90, "deep_archive": 365}
_REPOSITORIES = 100
# References that are looked at, and marked, at a time.
_PAGE = 5_000
_FIRST = UUID(int=0)


class Cooled(NamedTuple):
    """What was done: references that are wanted colder now, and chunks that went to a colder place."""

    marked: int
    moved: MovedChunks


class Lifecycle:
    """Applies the policies to the chunks of a database."""

    def __init__(
        self,
        places: Mapping[str, BlobStore],
        classes: Sequence[str],
        writer: PackWriter,
        pack_bytes: int,
    ) -> None:
        """`places`: stores by the names of their buckets. `classes`: those that all regions have."""
        self._places = places
        self._classes = classes
        self._writer = writer
        self._pack_bytes = pack_bytes

    async def apply_policies(self, database: Database) -> AsyncGenerator[Cooled, None]:
        """Marks what is due, and moves what all that have it want colder; yields what each step did.

        Fails at the end if a place was away.
        """
        moves = TierMoves(self._places, self._writer, self._pack_bytes, is_cooling=True)
        try:
            after = _FIRST
            while rows := await database.fetch(Q.list_policies, after, _REPOSITORIES):
                for row in rows:
                    limits = read_policy(row["policy"], self._classes)
                    work = self._apply(database, row["repo_id"], limits, moves)
                    async with aclosing(work) as steps:
                        async for cooled in steps:
                            yield cooled
                after = rows[-1]["repo_id"]
            async with aclosing(moves.finish()) as packs:
                async for moved in packs:
                    yield Cooled(0, moved)
            moves.absences.raise_first()
        finally:
            await moves.abandon()

    async def _apply(
        self,
        database: Database,
        repository_id: UUID,
        limits: Mapping[str, timedelta | None],
        moves: TierMoves,
    ) -> AsyncGenerator[Cooled, None]:
        after = ""
        while True:
            page = {"repository_id": repository_id, "after": after}
            row = await database.fetchrow(Q.next_page, repository_id, after, _PAGE)
            if row is None or row["last"] is None:
                return
            page["last"] = after = row["last"]
            [marked] = await database.statement(*Q.bind.mark_due(**page, **limits))
            yield Cooled(marked[0], MovedChunks(0, 0, 0))
            rows = await database.fetch(*Q.bind.misplaced_chunks(**page))
            async with aclosing(moves.move_chunks(database, self._group(rows))) as packs:
                async for moved in packs:
                    yield Cooled(0, moved)

    def _group(self, rows: Sequence[Row]) -> Iterator[Misplaced]:
        """Yields the chunks that can go somewhere, pack by pack."""
        aims = [(self._find_target(row), row) for row in rows]
        able = sorted(
            (target, row["storage_bucket"], row["pack_key"], parse_chunk(row))
            for target, row in aims
            if target is not None
        )
        for (target, bucket, key), run in groupby(able, key=lambda item: item[:3]):
            yield Misplaced(target, bucket, key, [item[3] for item in run])

    def _find_target(self, row: Row) -> str | None:
        """Returns the bucket of the coldest class up to the wanted one that there is a place for."""
        store = self._places.get(row["storage_bucket"])
        if store is None:
            return None
        now = STORAGE_CLASSES.index(store.storage_class)
        for storage_class in reversed(STORAGE_CLASSES[now + 1 : row["wanted"]]):
            bucket = tier_bucket(store.region, storage_class)
            if bucket in self._places:
                return bucket
        return None


def find_classes(places: Mapping[str, BlobStore]) -> list[str]:
    """Returns the cold classes that every region has a place for."""
    regions = {store.region for store in places.values()}
    return [
        each
        for each in STORAGE_CLASSES[1:]
        if all(tier_bucket(region, each) in places for region in regions)
    ]


def read_policy(text: str | None, classes: Sequence[str]) -> dict[str, timedelta | None]:
    """Returns after how long without a reader chunks move to each class; None = never."""
    stated = json.loads(text) if text else {}
    days = {name: stated.get(f"{name}_days", most) for name, most in DEFAULT_DAYS.items()}
    return {
        name: timedelta(days=most) if most and name in classes else None
        for name, most in days.items()
    }
