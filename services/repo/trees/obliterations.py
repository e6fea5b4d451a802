"""Contents that are removed from every version, listed and given back.

Whoever does so has the repository alone meanwhile. Pushes and uploads wait: each comes wholly before or
after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from dits.common.v1.event_pb2 import EventType, RepoPayload
from dits.common.v1.job_pb2 import EraseChunksPayload
from dits.repo.v1 import obliteration_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import File
from dits.repo.v1.tree_service_pb2 import ObliteratedContent

from services.repo.push.assets import reference_files
from services.repo.push.chunk_lists import ChunkLists
from services.repo.push.recipes import RecipeReader
from services.repo.repositories.holding import HeldRepository, hold_repository_of
from services.repo.trees.lifts import (
    Lift,
    begin_lift,
    end_lift,
    is_lifted_in_batches,
    take_chunks,
)
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import contention, invalid_field, limit_reached, not_found
from shared.formats.canonical import split_hashes
from shared.formats.recipes import list_hash
from shared.jobs.queue import enqueue_alone
from shared.jobs.recounts import request_recount
from shared.records.audit import AuditAction, audit
from shared.records.events import emit
from shared.rpc.byte_budget import Hold
from shared.rpc.call import Call

Q = sql.load(__file__)

# Each push reads the hashes of all of its repository's.
MOST_OBLITERATIONS = 10_000
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Content:
    """A content with its chunk list, as a file of the history has it."""

    file: File
    lists: ChunkLists

    @classmethod
    async def read(cls, reader: RecipeReader, file: File, call: Call, hold: Hold) -> Content:
        """Reads the chunk list of a file. Raises CHUNKS_MISSING, CHUNK_CORRUPT, CONTENT_MISMATCH."""
        lists = ChunkLists()
        if file.recipe_hashes:
            recipes = await reader.read_recipes(split_hashes(file.recipe_hashes), call, hold)
            await asyncio.to_thread(lists.add, "the file", file, recipes)
            await hold.grow_to(hold.size + lists.cost)
        return cls(file, lists)


async def obliterate_content(
    connection: Connection, call: Call, file: File, reason: str
) -> pb.ObliterateAssetResponse:
    """Removes a content; one that is removed already stays as it is.

    The chunks of a large file go afterwards, by a job. Raises NOT_FOUND, LIMIT_REACHED, CONTENTION.
    """
    held, row = await _hold_content(connection, call, file)
    if row["reason"] is not None:
        return pb.ObliterateAssetResponse(obliteration=describe_obliteration(row))
    repository_id, digest = held.id, row["hash"]
    if await connection.fetchval(Q.count_obliterations, repository_id) >= MOST_OBLITERATIONS:
        raise limit_reached("obliterated contents", MOST_OBLITERATIONS)
    await connection.execute(
        Q.insert_obliteration, repository_id, digest, reason, call.caller.user_id
    )
    await connection.execute(Q.forget_metadata, repository_id, digest)
    job_id = await _erase(connection, call, file)
    await connection.execute(Q.count_bytes, repository_id, -row["size"])
    await _record(connection, call, held, digest, reason, lifted=False)
    [row] = await connection.fetch(Q.obliteration, repository_id, digest)
    shown = describe_obliteration(row)
    return pb.ObliterateAssetResponse(obliteration=shown, job_id=str(job_id or ""))


async def preview_obliteration(
    connection: Connection, call: Call, digest: str, reason: str
) -> pb.ObliterateAssetResponse:
    """Returns what would be obliterated. Raises NOT_FOUND."""
    row = await connection.fetchrow(Q.obliteration, call.repository.id, digest)
    if row is None:
        raise not_found("asset", digest)
    shown = describe_obliteration(row)
    shown.reason = shown.reason or reason
    return pb.ObliterateAssetResponse(obliteration=shown)


async def lift_obliteration(database: Database, call: Call, content: Content) -> None:
    """Gives a content its chunks again, which were uploaded before, or have not been erased yet.

    Those of a large file are taken batch by batch before the content is readable: see `lifts`.
    Raises NOT_FOUND, CHUNKS_MISSING, CONTENT_MISMATCH, CONTENTION.
    """
    lift, file, lists = None, content.file, content.lists
    if is_lifted_in_batches(file, lists):
        lift = await database.transaction(partial(_begin_lift, call=call, file=file))
        if lift is None:
            return
        lift = await take_chunks(database, call, file, lists, lift)
    await database.transaction(partial(_end_obliteration, call=call, content=content, lift=lift))


async def _begin_lift(connection: Connection, call: Call, file: File) -> Lift | None:
    """Begins a lift; None if the content is not obliterated."""
    _, row = await _hold_content(connection, call, file)
    return await begin_lift(connection, call, file) if row["reason"] is not None else None


async def _end_obliteration(
    connection: Connection, call: Call, content: Content, lift: Lift | None
) -> None:
    held, row = await _hold_content(connection, call, content.file)
    if row["reason"] is None:
        return
    digest = row["hash"]
    if lift is not None:
        await end_lift(connection, call, lift)
    else:
        await reference_files(connection, held.id, [content.file], content.lists)
    await connection.execute(Q.end_erasure, held.id, digest)
    await connection.execute(Q.delete_obliteration, held.id, digest)
    await connection.execute(Q.count_bytes, held.id, row["size"])
    await _record(connection, call, held, digest, row["reason"], lifted=True)


async def forget_obliteration(connection: Connection, call: Call, digest: str) -> None:
    """Lets a content come back that no version has any more.

    Raises INVALID_FIELD if one has it: then its chunks are needed.
    """
    held = await hold_repository_of(connection, call, alone=True)
    if await connection.fetchrow(Q.obliteration, held.id, digest) is not None:
        raise invalid_field("path", "must be that of a file that has the content: a version does")
    reason = await connection.fetchval(Q.delete_obliteration, held.id, digest)
    if reason is not None:
        await _record(connection, call, held, digest, reason, lifted=True)


async def _hold_content(
    connection: Connection, call: Call, file: File
) -> tuple[HeldRepository, Row]:
    """Locks the repository, then the content. Raises NOT_FOUND, CONTENTION."""
    held = await hold_repository_of(connection, call, alone=True)
    row = await connection.fetchrow(Q.obliteration, held.id, file.hash.hex())
    if row is None:
        raise not_found("asset", file.hash.hex())
    if row["recipe_hash"] != list_hash(file):
        raise contention("the content was brought with another list of chunks meanwhile")
    return held, row


async def _erase(connection: Connection, call: Call, file: File) -> UUID | None:
    """Takes the chunks of a small file away; returns the job that takes those of a large one."""
    repository_id = call.repository.id
    if file.recipe_hashes:
        content = file.hash.hex()
        await connection.execute(Q.erase_list, repository_id, file.recipe_hashes, content)
        return await enqueue_alone(
            connection,
            EraseChunksPayload(repository_id=str(repository_id)),
            repository_id,
            requested_by=call.caller.user_id,
        )
    chunks = sorted({chunk.hex() for chunk in split_hashes(file.chunk_hashes)})
    await connection.execute(Q.erase_chunks, repository_id, chunks)
    # What the repository occupies is counted again.
    await request_recount(connection, repository_id)
    return None


async def _record(
    connection: Connection,
    call: Call,
    held: HeldRepository,
    digest: str,
    reason: str,
    *,
    lifted: bool,
) -> None:
    action = AuditAction.OBLITERATION_LIFTED if lifted else AuditAction.CONTENT_OBLITERATED
    event = (
        EventType.EVENT_TYPE_REPO_OBLITERATION_LIFTED
        if lifted
        else EventType.EVENT_TYPE_REPO_CONTENT_OBLITERATED
    )
    await audit(
        connection, call, action, "repository", held.id, held.name,
        repository_id=held.id, hash=digest, reason=reason,
    )  # fmt: skip
    payload = RepoPayload(owner=held.owner.name, name=held.name, content_hash=digest, reason=reason)
    await emit(connection, call, event, held.id, payload)


async def list_obliterations(
    database: Database, repository_id: UUID, after: str, count: int
) -> list[Row]:
    """Returns up to `count` obliterations by hash, those after one."""
    return await database.fetch(Q.obliterations, repository_id, after, count)


async def stream_obliterated(
    database: Database, repository_id: UUID
) -> AsyncIterator[list[ObliteratedContent]]:
    """Yields all that a repository has obliterated, in parts."""
    after = ""
    while rows := await list_obliterations(database, repository_id, after, PAGE):
        yield [ObliteratedContent(hash=row["hash"], reason=row["reason"]) for row in rows]
        after = rows[-1]["hash"]


def describe_obliteration(row: Row) -> pb.Obliteration:
    """Returns an obliteration as the API shows it."""
    return pb.Obliteration(
        hash=row["hash"],
        reason=row["reason"] or "",
        obliterated_by=row["username"] or "",
        create_time=row["obliterated_at"],
        size=row["size"] or 0,
        file_name=row["file_name"] or "",
        manifest_count=row["ref_count"] or 0,
        is_pending=row["is_pending"],
    )
