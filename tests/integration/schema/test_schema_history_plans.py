"""No question about a history, its contents and chunks reads all of them, whatever the planner knows."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from services.chunk.catalog import extents, presence
from services.chunk.packs import pack_finalization
from services.repo.history import ancestry, commit_log, directories, manifests, revisions, walk
from services.repo.push import assets, chunk_lists, manifest_deltas, new_manifests
from services.repo.rpc import tree_service
from tests.integration.schema.rows import Connection, add_repo, add_user
from tests.integration.schema.test_schema_lock_plans import Question, literal

# They fill some hundred pages of each table and of each of its indexes.
MANY = 15_000
FEW = 150
TABLES = ("assets", "branches", "chunk_refs", "chunks", "commits", "manifests")

QUESTIONS: dict[str, Question] = {
    "commits": (commit_log.Q.commits, ("repo", "hashes", "with_signatures")),
    "known commits": (ancestry.Q.known_commits, ("repo", "hashes")),
    "reaches": (ancestry.Q.reaches, ("repo", "hashes", "hash", "generation")),
    "reached by branches": (ancestry.Q.reached_by_branches, ("repo", "hashes", "name", "no")),
    "reached by refs": (ancestry.Q.reached_by_branches, ("repo", "hashes", "name", "with_tags")),
    "tip of a branch or tag": (revisions.Q.ref_tip, ("repo", "name")),
    "commit tree": (revisions.Q.commit_tree, ("repo", "hash")),
    "window": (walk.Q.window, ("repo", "hashes", "generations", "most")),
    "highest generation": (walk.Q.highest_generation, ("repo", "hashes", "most")),
    "manifest forms": (manifests.Q.manifest_forms, ("repo", "hashes", "bytes")),
    "manifest counts": (tree_service.Q.manifest_counts, ("repo", "hash")),
    "directory totals": (directories.Q.directory_totals, ("repo", "hashes")),
    "locked manifests": (new_manifests.Q.lock_manifests, ("repo", "hashes")),
    "locked bases": (manifest_deltas.Q.lock_bases, ("repo", "hashes")),
    "base of": (
        "SELECT FROM manifests WHERE repo_id = $1 AND delta_base = $2 FOR KEY SHARE",
        ("repo", "hash"),
    ),
    "tree of": (
        "SELECT FROM commits WHERE repo_id = $1 AND tree_hash = $2 FOR KEY SHARE",
        ("repo", "hash"),
    ),
    "chunk counts": (directories.Q.chunk_counts, ("repo", "hashes")),
    "known lists": (chunk_lists.Q.known_lists, ("repo", "hashes")),
    "counted assets": (assets.Q.count_assets, ("repo", "joined", "counts", "names")),
    "referenced chunks": (assets.Q.reference_chunks, ("repo", "joined", "counts", "counts")),
    "located chunks": (extents.Q.locate_chunks, ("repo", "packed")),
    "presence state": (presence.Q.presence_state, ("repo", "lease")),
    "present chunks": (presence.Q.present_chunks, ("repo", "packed", "has_lost")),
    "renewed claims": (presence.Q.renew_claims, ("repo", "joined", "lease")),
    "kept chunks": (presence.Q.kept_chunks, ("repo", "joined", "lease")),
    "counted references": (pack_finalization.Q.count_references, ("joined",)),
}
# Until there are statistics, for about a minute, the planner believes that all chunks are lost, and that
# there are hardly any rows to join.
WITHOUT_STATISTICS = {"counted assets", "present chunks"}


async def fill(conn: Connection, repo: UUID) -> None:
    """A line of commits, each with a tree, a content and a chunk; the branch main is at the last."""
    name = f"encode(sha256(('{repo}' || n)::bytea), 'hex')"
    series = f"generate_series(1, {MANY}) n"
    await conn.execute(f"""
        INSERT INTO manifests (repo_id, hash, commit_hash, entry_count, total_size, chunk_count, content,
                               delta_base, delta_depth, decoded_bytes)
        SELECT '{repo}', {name}, {name}, 1, 1, 1, '',
               CASE WHEN n % 10 > 0 THEN {name.replace("|| n", "|| n / 10 * 10 + 10")} END,
               sign(n % 10), 100
        FROM {series};
        INSERT INTO commits (repo_id, hash, tree_hash, parent_hashes, generation, message,
                             author_name, author_email, author_timestamp,
                             committer_name, committer_email, committer_timestamp)
        SELECT '{repo}', {name}, {name}, ARRAY [{name.replace("|| n", "|| n - 1")}], n, '', 'Ada',
               'ada@example.org', now(), 'Ada', 'ada@example.org', now()
        FROM {series};
        INSERT INTO branches (repo_id, name, head_commit, created_by, is_default)
        SELECT '{repo}', 'main', {name}, owner_id, TRUE FROM repositories, {series}
        WHERE id = '{repo}' AND n = {MANY};
        INSERT INTO assets (repo_id, hash, size, chunk_count, ref_count, recipe_hash)
        SELECT '{repo}', {name}, 1, 1, 1, '' FROM {series};
        INSERT INTO packs (key, bucket, region, state, live)
        VALUES ('{repo}', 'b', 'r', 'sealed', {MANY});
        INSERT INTO chunks (hash, size, storage_bucket, storage_key, ref_count)
        SELECT {name}, 1, 'b', '{repo}@' || n || '+1', 1 FROM {series};
        INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size) SELECT '{repo}', {name}, 1 FROM {series};
    """)


async def count_pages(conn: Connection, question: str, asked: dict[str, Any]) -> int:
    """How many pages a prepared question looks at; nothing is changed."""
    number = list(QUESTIONS).index(question)
    arguments = ", ".join(literal(asked[name]) for name in QUESTIONS[question][1])
    transaction = conn.transaction()
    await transaction.start()
    try:
        explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT json) EXECUTE"
        [plan] = json.loads(await conn.fetchval(f"{explain} question_{number} ({arguments})"))
    finally:
        await transaction.rollback()
    read: int = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    return read


def ask_about(repo: UUID, hashes: list[str]) -> dict[str, Any]:
    """Values of all parameters."""
    return {
        "repo": repo,
        "hashes": hashes,
        "hash": hashes[0],
        "joined": ",".join(hashes),
        "packed": "\\x" + "".join(hashes),
        "counts": ",".join(["1"] * len(hashes)),
        "names": "/".join(["a"] * len(hashes)),
        "generation": MANY - 3,
        "generations": 3,
        "most": 20,
        "bytes": 1 << 20,
        "name": "other",
        "lease": "1 hour",
        "with_signatures": "yes",
        "with_tags": "yes",
        "no": "no",
        "has_lost": "yes",
    }


@pytest.mark.parametrize("statistics", ["none", "old"])
async def test_no_question_reads_all_of_a_repository(
    conn: Connection, statistics: str, subtests: pytest.Subtests
) -> None:
    """The plan was made when there was nothing, or when there was another repository."""
    await conn.execute("SET session_replication_role = replica")
    for table in TABLES:
        await conn.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    ada = await add_user(conn)
    other, repo = await add_repo(conn, ada, "other"), await add_repo(conn, ada, "film")
    if statistics == "old":
        await fill(conn, other)
        await conn.execute(f"VACUUM ANALYZE {', '.join(TABLES)}")
    asked = ask_about(repo, ["0" * 64, "1" * 64])
    for number, (query, _) in enumerate(QUESTIONS.values()):
        await conn.execute(f"PREPARE question_{number} AS {query}")
    for question in QUESTIONS:
        for _ in range(8 if question != "referenced chunks" else 0):
            await count_pages(conn, question, asked)
    await fill(conn, repo)
    rows = await conn.fetch(
        "SELECT hash FROM commits WHERE repo_id = $1 ORDER BY generation DESC LIMIT 3", repo
    )
    asked = ask_about(repo, [row["hash"] for row in rows])
    for question in QUESTIONS.keys() - (WITHOUT_STATISTICS if statistics == "none" else ()):
        with subtests.test(question):
            # The first time the catalog is read, too.
            pages = [await count_pages(conn, question, asked) for _ in range(2)]
            assert pages[1] < FEW


async def test_chunks_of_a_first_push_are_found_by_their_keys(conn: Connection) -> None:
    """Without statistics, the planner has compared each chunk of the repository with each of the push."""
    plans: list[str] = []
    conn.add_log_listener(lambda _, message: plans.append(message.message))
    await conn.execute("SET session_replication_role = replica")
    repo = await add_repo(conn, await add_user(conn), "film")
    await fill(conn, repo)
    rows = await conn.fetch("SELECT chunk_hash FROM chunk_refs ORDER BY 1 LIMIT 8000")
    hashes, ones = ",".join(row["chunk_hash"] for row in rows), ",".join(["1"] * len(rows))
    await conn.execute("""
        LOAD 'auto_explain';
        SET auto_explain.log_min_duration = 0;
        SET auto_explain.log_nested_statements = on;
        SET client_min_messages = log""")
    await conn.fetch(assets.Q.reference_chunks, repo, hashes, ones, ones)
    [plan] = [plan for plan in plans if "Update on chunk_refs" in plan]
    assert "chunk_refs_pkey" in plan
    assert "Join Filter" not in plan
