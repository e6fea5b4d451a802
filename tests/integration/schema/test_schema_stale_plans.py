"""Statements about some chunks go through these, also where PostgreSQL believes that there are none at all.

That is so when it has looked at tables that were just emptied. A plan for a table without rows goes through
the whole list for each row that there is.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from services.chunk.background import access_times
from services.chunk.catalog import chunk_copy, presence, tiers
from services.chunk.collection import (
    claim_sweep,
    compaction,
    consistency,
    inventory,
    restore_work,
)
from services.chunk.packs import chunk_move, copy_placement, live_counts
from services.chunk.placement import repository_regions, wanted_places
from tests.integration.schema.rows import Connection, add_repo, add_user, digest

# Each with each would be three million, and the least that is read wrongly is every row for each of some.
STORED, ASKED = 8_000, 400
MOST = 20 * ASKED + ASKED * ASKED
# What goes through a table page by page reads a page, and not each time the table.
WALKS, PAGE = ("to copy", "copied", "homes"), 10 * ASKED
DAY = timedelta(days=1)
LATER = datetime(2100, 1, 1, tzinfo=UTC)

HASHES = [digest(n) for n in range(1, STORED, STORED // ASKED)]
PACKED = b"".join(map(bytes.fromhex, HASHES))
PACKS = [f"0/{each}" for each in HASHES]

Statement: TypeAlias = tuple[Any, ...]
QUESTIONS: dict[str, Callable[[UUID, UUID], Statement]] = {
    "renew claims": lambda repo, _: (presence.Q.renew_claims, repo, ",".join(HASHES), DAY),
    "copy": lambda repo, other: (chunk_copy.Q.copy_references, other, repo, HASHES),
    "cool": lambda repo, _: (tiers.Q.cool_chunks, repo, PACKED, "glacier"),
    "restored": lambda repo, _: (restore_work.Q.note_restored, repo, HASHES, DAY),
    "note reads": lambda repo, _: (access_times.Q.record_access, repo, PACKED),
    "drop claims": lambda _repo, _: (claim_sweep.Q.drop_claims, HASHES, LATER),
    "subtract": lambda _repo, _: (claim_sweep.Q.subtract_references, HASHES, [1] * ASKED, DAY),
    "lower": lambda _repo, _: (live_counts.Q.lower_live_counts, PACKS, [1] * ASKED),
    "recount": lambda _repo, _: (live_counts.Q.recount_packs, PACKS),
    "erasures": lambda _repo, _: (compaction.Q.packs_to_erase, "local", "", ASKED),
    "unknown": lambda _repo, _: (
        inventory.Q.queue_unknown_objects, "local", [*PACKS[::2], *HASHES[::2]], DAY,
    ),
    "move copies": lambda _repo, _: chunk_move.Q.bind.move_copies(
        bucket="far", pack_key=PACKS[0], hashes=HASHES, old_keys=PACKS,
        offsets=[1] * ASKED, lengths=[1] * ASKED,
    ),
    "note copies": lambda _repo, _: copy_placement.Q.bind.insert_copies(
        region="third", bucket="third", pack_key=PACKS[0], hashes=HASHES,
        compressions=["none"] * ASKED, offsets=[1] * ASKED, lengths=[200] * ASKED,
    ),
    "where they are": lambda repo, _: (repository_regions.Q.list_placed, repo, PACKED),
    "to copy": lambda repo, _: wanted_places.Q.bind.queue_page(
        repository_id=repo, hash=digest(9), count=ASKED, due_at=LATER, all=False,
    ),
    "copied": lambda repo, _: (wanted_places.Q.list_copied_chunks, repo, digest(9), ASKED),
    "all copied": lambda _repo, _: (wanted_places.Q.list_copied_chunks, None, digest(9), ASKED),
    "homes": lambda _repo, _: (wanted_places.Q.move_homes, HASHES),
    "in enough regions": lambda repo, _: (
        "SELECT * FROM chunks_below_regions($1, $2, 1)", repo, HASHES,
    ),
}  # fmt: skip

FILL = """
    INSERT INTO packs (key, bucket, region, state, live, bytes)
    SELECT '0/' || hash, 'local', 'local', 'sealed', 2, 1 FROM digests;
    INSERT INTO chunks (hash, size, storage_bucket, storage_key, ref_count)
    SELECT hash, 200, 'local', '0/' || hash || '@1+1', 1 FROM digests;
    INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size, claimed_at)
    SELECT id, hash, 1, now() - interval '9 days' FROM digests, repositories WHERE name = 'film';
    INSERT INTO chunk_locations (chunk_hash, region, bucket, storage_key)
    SELECT hash, 'far', 'far', '0/' || hash || '@1+1' FROM digests;
    INSERT INTO due_copies (region, chunk_hash, repo_id, due_at)
    SELECT 'far', hash, id, now() FROM digests, repositories WHERE name = 'film';
    INSERT INTO object_deletions (bucket, key, not_before) SELECT 'local', '1/' || hash, now() FROM digests;
    INSERT INTO chunk_erasures (chunk_hash, deleted_at) SELECT hash, now() FROM digests LIMIT 40;
    INSERT INTO repository_settings (repo_id, regions) SELECT id, '{local,far}' FROM repositories
    ON CONFLICT (repo_id) DO UPDATE SET regions = '{local,far}';
"""
FORGET = """
    UPDATE pg_class SET reltuples = 0, relpages = greatest(relpages, 20)
    WHERE relnamespace = 'public'::regnamespace
"""


@asynccontextmanager
async def undone(conn: Connection) -> AsyncIterator[None]:
    transaction = conn.transaction()
    await transaction.start()
    yield
    await transaction.rollback()


def count_most_rows(plan: dict[str, Any]) -> int:
    """The rows that one step of a plan gave or left out, in all its rounds."""
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    own = plan["Actual Loops"] * sum(plan.get(name, 0) for name in counts)
    return max([int(own), *map(count_most_rows, plan.get("Plans", ()))])


@pytest.fixture
async def repo(conn: Connection) -> UUID:
    """A repository with chunks in two regions; nothing looks at the tables by itself."""
    repo = await add_repo(conn)
    tables = "packs chunks chunk_refs chunk_locations due_copies object_deletions chunk_erasures"
    for table in tables.split():
        await conn.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = FALSE)")
    await conn.execute(
        "CREATE TEMP TABLE digests AS SELECT lpad(to_hex(n), 64, '0') AS hash"
        f" FROM generate_series(1, {STORED}) AS n"
    )
    await conn.execute(FILL)
    return repo


@pytest.mark.parametrize("state", ["analyzed", "forgotten", "never analyzed"])
async def test_no_statement_goes_through_all_rows_for_each_that_it_is_about(
    conn: Connection, repo: UUID, state: str
) -> None:
    other = await add_repo(conn, await add_user(conn, "bob"), "other")
    if state != "never analyzed":
        await conn.execute("ANALYZE")
    if state == "forgotten":
        await conn.execute(FORGET)
    found = {}
    for mode in ("force_custom_plan", "force_generic_plan"):
        await conn.execute(f"SET plan_cache_mode = {mode}")
        for name, question in QUESTIONS.items():
            query, *arguments = question(repo, other)
            async with undone(conn):
                text = await conn.fetchval(
                    f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}", *arguments
                )
            rows = count_most_rows(json.loads(text)[0]["Plan"])
            if rows > (PAGE if name in WALKS else MOST):
                found[name, mode] = rows
    assert found == {}


async def test_fsck_joins_tables_as_wholes(conn: Connection, repo: UUID) -> None:
    await conn.execute("ANALYZE")
    await conn.execute(FORGET)
    queries = [
        consistency.Q.miscounted_chunks, consistency.Q.miscounted_packs,
        consistency.Q.misplaced_copies, consistency.Q.too_cold_chunks,
        consistency.Q.unplaced_chunks, consistency.Q.queued_packs,
    ]  # fmt: skip
    async with undone(conn):
        await conn.execute(consistency.Q.join_rows, "off")
        for query in queries:
            text = await conn.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}")
            # Two rows for each chunk name a pack; each with each would be 64 million.
            assert count_most_rows(json.loads(text)[0]["Plan"]) <= 4 * STORED, query
