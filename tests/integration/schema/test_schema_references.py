"""What foreign keys would say about the largest tables, asked once per statement by triggers."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.schema.rows import Connection, add_chunks, add_repo, add_user, rows
from tests.support.waiting import until_blocked

ASSETS = """INSERT INTO assets (repo_id, hash, size, chunk_count, ref_count, recipe_hash)
            SELECT r, 'x', 1, 1, 1, '1' FROM unnest($1::uuid[]) r"""
COPIES = """INSERT INTO chunk_locations (chunk_hash, region, bucket, storage_key)
            SELECT c, 'eu', 'eu', 'p1@0+1' FROM unnest($1::text[]) c"""
REFERENCES = (
    "INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size) SELECT $1, unnest($2::text[]), 1"
)


async def refused(conn: Connection, constraint: str, statement: str, *values: object) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError, match=constraint) as caught:
        await conn.execute(statement, *values)
    assert caught.value.constraint_name == constraint


async def test_new_rows_name_what_is_there(conn: Connection) -> None:
    repo = await add_repo(conn)
    await add_chunks(conn, repo, ["a"])
    await conn.execute("DELETE FROM chunk_refs")
    await refused(conn, "chunk_refs_chunk_hash_fkey", REFERENCES, repo, ["a", "z"])
    await refused(conn, "chunk_locations_chunk_hash_fkey", COPIES, ["a", "z"])
    # Of a repository that is not there, the row of what it holds is refused.
    await refused(conn, "repository_storage_repo_id_fkey", REFERENCES, uuid4(), ["a"])
    await refused(conn, "assets_repo_id_fkey", ASSETS, [repo, uuid4()])
    await refused(
        conn,
        "chunks_pack_fkey",
        """INSERT INTO chunks (hash, size, storage_bucket, storage_key, ref_count)
           SELECT n::text, 1, 'main', CASE n WHEN 1 THEN 'p1@0+1' ELSE 'gone@0+1' END, 1
           FROM generate_series(1, 2) n""",
    )
    assert await rows(conn, "SELECT chunk_hash FROM chunk_refs") == []
    assert await rows(conn, "SELECT hash FROM assets") == []
    assert await rows(conn, "SELECT chunk_hash FROM chunk_locations") == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE chunks SET hash = 'b'",
        "UPDATE chunk_refs SET chunk_hash = 'b'",
        "UPDATE chunk_locations SET chunk_hash = 'b'",
        "UPDATE chunk_refs SET repo_id = gen_random_uuid()",
        "UPDATE packs SET key = 'b'",
        "UPDATE assets SET repo_id = gen_random_uuid()",
    ],
)
async def test_keys_do_not_change(conn: Connection, statement: str) -> None:
    with pytest.raises(asyncpg.FeatureNotSupportedError, match="do not change"):
        await conn.execute(statement)


async def test_the_contents_go_with_their_repository(conn: Connection) -> None:
    ada = await add_user(conn)
    one, other = await add_repo(conn, ada, "one"), await add_repo(conn, ada, "other")
    await conn.execute(ASSETS, [one, other])
    await conn.execute("DELETE FROM repositories WHERE id = $1", one)
    assert await rows(conn, "SELECT repo_id FROM assets") == [(other,)]


async def start(
    connection: Connection, statement: str, *values: object
) -> asyncpg.transaction.Transaction:
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(statement, *values)
    return transaction


async def referring(conn: Connection, table: str, repo: UUID) -> tuple[str, tuple[object, ...]]:
    """A statement that adds a row of a table that names a repository."""
    if table == "assets":
        return ASSETS, ([repo],)
    await add_chunks(conn, repo, ["a"])
    await conn.execute("DELETE FROM chunk_refs")
    return REFERENCES, (repo, ["a"])


@pytest.mark.parametrize("table", ["assets", "chunk_refs"])
async def test_a_repository_goes_while_rows_that_name_it_are_added(
    conn: Connection, other: Connection, table: str
) -> None:
    repo = await add_repo(conn)
    statement, values = await referring(conn, table, repo)
    deletion = await start(other, "DELETE FROM repositories WHERE id = $1", repo)
    adding = asyncio.create_task(conn.execute(statement, *values))
    await until_blocked(other)
    await deletion.commit()
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await adding
    assert await rows(conn, f"SELECT repo_id FROM {table}") == []


@pytest.mark.parametrize("table", ["assets", "chunk_refs"])
async def test_rows_are_added_while_the_repository_that_they_name_goes(
    conn: Connection, other: Connection, table: str
) -> None:
    repo = await add_repo(conn)
    statement, values = await referring(conn, table, repo)
    adding = await start(other, statement, *values)
    deletion = asyncio.create_task(conn.execute("DELETE FROM repositories WHERE id = $1", repo))
    await until_blocked(other)
    await adding.commit()
    if table == "assets":
        await deletion
        assert await rows(conn, "SELECT repo_id FROM assets") == []
    else:
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="chunk_refs_repo_id_fkey"):
            await deletion
