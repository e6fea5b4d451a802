"""The invariants of the counters, checked from outside with plain joins."""

from __future__ import annotations

import asyncpg
import zstandard
from dits.repo.v1.manifest_pb2 import Manifest

_SQL = {
    "chunk_refs without chunks or chunks counted wrongly": """
        SELECT c.hash FROM chunks c
        LEFT JOIN (SELECT chunk_hash, count(*) n FROM chunk_refs GROUP BY 1) r ON r.chunk_hash = c.hash
        WHERE c.ref_count <> coalesce(r.n, 0)""",
    "packs counted wrongly": """
        SELECT p.key FROM packs p
        LEFT JOIN (SELECT pack_key, count(*) n FROM
                     (SELECT pack_key FROM chunks UNION ALL SELECT pack_key FROM chunk_locations) u
                   GROUP BY 1) r ON r.pack_key = p.key
        WHERE p.live <> coalesce(r.n, 0) OR (p.state = 'sealed') <> (p.live > 0)""",
    "queued objects that are packs": """
        SELECT d.key FROM object_deletions d JOIN packs p USING (key)""",
    "repository_storage counted wrongly": """
        SELECT coalesce(r.repo_id, s.repo_id) FROM
          (SELECT repo_id, sum(size) held, sum(stored_size) stored, count(*) n
           FROM chunk_refs JOIN chunks ON hash = chunk_hash GROUP BY 1) r
        FULL JOIN repository_storage s USING (repo_id)
        WHERE (coalesce(r.held, 0), coalesce(r.stored, 0), coalesce(r.n, 0))
           <> (coalesce(s.held_bytes, 0), coalesce(s.stored_bytes, 0), coalesce(s.chunk_count, 0))""",
    "chunks and copies in packs that are not sealed": """
        SELECT u.hash FROM (SELECT hash, pack_key FROM chunks
                            UNION ALL SELECT chunk_hash, pack_key FROM chunk_locations) u
        JOIN packs p ON p.key = u.pack_key
        WHERE p.state <> 'sealed'""",
    "chunks with a date and references, or without both": """
        SELECT hash FROM chunks c
        WHERE (delete_after IS NOT NULL)
           <> NOT EXISTS (SELECT FROM chunk_refs WHERE chunk_hash = c.hash)""",
    "claims without a time": """
        SELECT chunk_hash FROM chunk_refs WHERE (ref_count = 0) <> (claimed_at IS NOT NULL)""",
}


async def assert_counters(dsn: str) -> None:
    """Every counter equals its definition: packs, chunks, chunk_refs and assets."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for what, query in _SQL.items():
                wrong = [row[0] for row in await connection.fetch(query)]
                assert not wrong, f"{what}: {wrong[:5]}"
            await _assert_assets(connection)
    finally:
        await connection.close()


async def count_history(dsn: str) -> dict[str, int]:
    """Returns how many manifests, commits, assets and branches the database has."""
    connection = await asyncpg.connect(dsn)
    try:
        return {
            table: await connection.fetchval(f"SELECT count(*) FROM {table}")
            for table in ("manifests", "commits", "assets", "branches")
        }
    finally:
        await connection.close()


async def _read_manifests(
    connection: asyncpg.Connection[asyncpg.Record],
) -> list[tuple[str, Manifest]]:
    """Every manifest with its repository; bases before the deltas to them."""
    rows = await connection.fetch(
        "SELECT repo_id::text, hash, delta_base, content FROM manifests ORDER BY delta_depth"
    )
    contents: dict[tuple[str, str], bytes] = {}
    left = list(rows)
    while left:
        later = []
        for row in left:
            base = contents.get((row["repo_id"], row["delta_base"]))
            if row["delta_base"] is not None and base is None:
                later.append(row)
                continue
            dictionary = zstandard.ZstdCompressionDict(
                base or b"", dict_type=zstandard.DICT_TYPE_RAWCONTENT
            )
            opener = zstandard.ZstdDecompressor(dict_data=dictionary if base else None)
            contents[row["repo_id"], row["hash"]] = opener.decompress(row["content"])
        assert len(later) < len(left), "bases are missing"
        left = later
    return [(repo, Manifest.FromString(content)) for (repo, _), content in contents.items()]


async def _assert_assets(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """assets.ref_count = manifests that contain the asset; chunk_refs.ref_count = assets that do."""
    expected: dict[tuple[str, str], int] = {}
    chunks: dict[tuple[str, str], set[str]] = {}
    has_recipes = False
    for repo_id, manifest in await _read_manifests(connection):
        files = {e.file.hash.hex(): e.file for e in manifest.entries if e.HasField("file")}
        for name, file in files.items():
            key = repo_id, name
            expected[key] = expected.get(key, 0) + 1
            packed = file.chunk_hashes or file.recipe_hashes
            has_recipes |= bool(file.recipe_hashes)
            chunks[key] = {packed[i : i + 32].hex() for i in range(0, len(packed), 32)}
    for row in await connection.fetch("SELECT repo_id::text, hash FROM obliterations"):
        chunks.pop((row["repo_id"], row["hash"]), None)
    rows = await connection.fetch("SELECT repo_id::text, hash, ref_count FROM assets")
    assert {(r["repo_id"], r["hash"]): r["ref_count"] for r in rows} == expected
    counts: dict[tuple[str, str], int] = {}
    for (repo_id, _), hashes in chunks.items():
        for chunk in hashes:
            counts[repo_id, chunk] = counts.get((repo_id, chunk), 0) + 1
    rows = await connection.fetch(
        "SELECT repo_id::text, chunk_hash, ref_count FROM chunk_refs WHERE ref_count > 0"
    )
    found = {(r["repo_id"], r["chunk_hash"]): r["ref_count"] for r in rows}
    # The chunks of large files stand in recipes, which are not opened here.
    for key, count in counts.items():
        assert found.get(key, 0) == count or (has_recipes and found.get(key, 0) > count), key
