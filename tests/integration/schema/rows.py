"""Sessions and rows for the tests of the schema: the least that each table takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import asyncpg

from tests.support.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

NOBODY = UUID(int=0)
HOUR = timedelta(hours=1)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    conn = await asyncpg.connect(dsn)
    try:
        yield conn
    finally:
        await conn.close()


async def rows(conn: Connection, query: str, *args: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await conn.fetch(query, *args)]


async def new_id(conn: Connection, insert: str, *args: Any) -> UUID:
    row_id: UUID = await conn.fetchval(insert, *args)
    return row_id


async def until(conn: Connection, question: str) -> None:
    """Ask until the answer is yes; half a minute of no is a failure."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await conn.fetchval(question):
            pass


def digest(number: int) -> str:
    return f"{number:064x}"


async def add_user(conn: Connection, username: str = "ada") -> UUID:
    return await new_id(
        conn,
        """
        INSERT INTO users (username, email, name, status)
        VALUES ($1, $1 || '@example.org', $1, 'active') RETURNING id
        """,
        username,
    )


async def add_org(conn: Connection, name: str = "pixar") -> UUID:
    return await new_id(
        conn, "INSERT INTO organizations (name, display_name) VALUES ($1, $1) RETURNING id", name
    )


async def add_repo(conn: Connection, owner: UUID | None = None, name: str = "film") -> UUID:
    return await new_id(
        conn,
        """
        INSERT INTO repositories (name, owner_type, owner_id, storage_bucket, storage_region)
        VALUES ($1, 'user', $2, 'main', 'local') RETURNING id
        """,
        name,
        owner or await add_user(conn),
    )


async def add_webhook(conn: Connection, repo: UUID) -> UUID:
    return await new_id(
        conn,
        "INSERT INTO webhooks (repo_id, url, secret_encrypted) VALUES ($1, '', '') RETURNING id",
        repo,
    )


async def add_commit(conn: Connection, repo: UUID, number: int, parents: Sequence[int] = ()) -> str:
    """A commit and the manifest that is its tree, both named by the number."""
    await conn.execute(
        """
        INSERT INTO manifests (repo_id, hash, commit_hash, entry_count, total_size, chunk_count, content)
        VALUES ($1, $2, $2, 1, 1, 1, '')
        """,
        repo,
        digest(number),
    )
    await conn.execute(
        """
        INSERT INTO commits (repo_id, hash, tree_hash, parent_hashes, generation, message,
                             author_name, author_email, author_timestamp,
                             committer_name, committer_email, committer_timestamp)
        VALUES ($1, $2, $2, $3, 0, '', 'Ada', 'Ada@example.org', now(), 'Ada', 'ada@example.org', now())
        """,
        repo,
        digest(number),
        [digest(parent) for parent in parents],
    )
    return digest(number)


async def add_branch(conn: Connection, repo: UUID, head: str, name: str = "main") -> None:
    await conn.execute(
        "INSERT INTO branches (repo_id, name, head_commit) VALUES ($1, $2, $3)", repo, name, head
    )


async def add_chunks(conn: Connection, repo: UUID, hashes: Sequence[str], pack: str = "p1") -> None:
    """One sealed pack of chunks of 100 stored bytes, each claimed by the repository."""
    await conn.execute(
        """
        INSERT INTO packs (key, bucket, region, state, live, bytes)
        VALUES ($1, 'main', 'local', 'sealed', $2, $2 * 100)
        """,
        pack,
        len(hashes),
    )
    await conn.execute(
        """
        INSERT INTO chunks (hash, size, compressed_size, storage_bucket, storage_key, ref_count)
        SELECT h, 200, 100, 'main', $2 || '@' || n * 100 || '+100', 1
        FROM unnest($1::text[]) WITH ORDINALITY AS u (h, n)
        """,
        hashes,
        pack,
    )
    await conn.execute(
        "INSERT INTO chunk_refs (repo_id, chunk_hash, stored_size) SELECT $1, unnest($2::text[]), 100",
        repo,
        hashes,
    )


async def add_lock(
    conn: Connection,
    repo: UUID,
    owner: UUID,
    path: str,
    *,
    kind: str = "exclusive",
    expired: bool = False,
    release_on_push: bool = False,
) -> asyncpg.Record:
    """The id and fence of a lock of one hour, which begins now or ended an hour ago."""
    now = await conn.fetchval("SELECT take_lock_mutex($1)", repo)
    lock = await conn.fetchrow(
        """
        INSERT INTO locks (repo_id, owner_id, path, lock_type, release_on_push, fence,
                           locked_at, expires_at)
        SELECT $1, $2, $3, $4, $5, draw_fences($1, 1) + 1, start, start + $7
        FROM (SELECT $8::timestamptz + $6 AS start) AS t
        RETURNING id, fence
        """,
        repo,
        owner,
        path,
        kind,
        release_on_push,
        -2 * HOUR if expired else 0 * HOUR,
        HOUR,
        now,
    )
    assert lock is not None
    return lock
