"""Tags: creating, moving, reading and deleting them, each in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
from dits.common.v1.event_pb2 import EventType, TagPayload
from dits.repo.v1.manifest_pb2 import TagContent
from dits.repo.v1.ref_service_pb2 import TagAnnotation

from services.repo.history import change_rules
from services.repo.history.ancestry import EPOCH, lock_nodes
from services.repo.history.former_heads import remember_heads
from services.repo.history.signatures import (
    CheckedSignature,
    check_given_signature,
    parse_given_signature,
)
from services.repo.history.tag_protection import TagGuard
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import head_moved, invalid_field, name_taken, not_fast_forward, not_found
from shared.formats.canonical import FormatError, content_hash
from shared.formats.sshsig import TAG_NAMESPACE
from shared.formats.tags import encode_tag
from shared.records.events import emit
from shared.rpc.call import Call
from shared.rpc.paging import PAGE_BYTES

Q = sql.load(__file__)


@dataclass(frozen=True, slots=True)
class TagUpdate:
    """The creation or move of one tag.

    Attributes:
        tag: its name.
        expected: hash of the commit where the caller expects it; empty = it does not exist.
        new: hash of the commit to move it to.
        force: also change a tag that exists.
        content: what an annotated tag says; None for a lightweight one.
        hash: of the content.
        signature: of the content.
    """

    tag: str
    expected: str
    new: str
    force: bool = False
    content: TagContent | None = None
    hash: str | None = None
    signature: CheckedSignature | None = None

    def is_done(self, row: Row | None) -> bool:
        """Returns whether the tag is as it shall be."""
        if row is None or (row["commit_hash"], row["tag_hash"]) != (self.new, self.hash):
            return False
        return bool(row["signature"] == (self.signature and self.signature.armored.encode()))

    def require_expected(self, row: Row | None) -> None:
        """Raises HEAD_MOVED if the tag is elsewhere, NOT_FAST_FORWARD if it exists without `force`."""
        current = row["commit_hash"] if row else ""
        if current != self.expected:
            raise head_moved("", self.expected, current, self.tag)
        if row is not None and not self.force:
            raise not_fast_forward("", current, self.new, self.tag)

    def describe(self) -> TagPayload:
        """Returns what events tell of it."""
        return TagPayload(tag=self.tag, before=self.expected, after=self.new, hash=self.hash or "")


def make_tag_update(field: str, update: TagUpdate, annotation: TagAnnotation | None) -> TagUpdate:
    """Returns the update of a tag with what it says; as it is for a lightweight one. Slow if it is signed.

    Raises INVALID_FIELD for what may not stand in a tag.
    """
    if annotation is None:
        return update
    content = TagContent(
        commit_hash=bytes.fromhex(update.new),
        name=update.tag,
        tagger=annotation.tagger if annotation.HasField("tagger") else None,
        message=annotation.message,
    )
    try:
        encoded = encode_tag(content)
    except FormatError as error:
        where = field if error.field == "tag" else f"{field}.{error.field}"
        raise invalid_field(where, error.description) from None
    signature = None
    if annotation.signature:
        given = parse_given_signature(f"{field}.signature", annotation.signature)
        email = content.tagger.email
        signature = check_given_signature(given, encoded, TAG_NAMESPACE, email)
    return replace(update, content=content, hash=content_hash(encoded), signature=signature)


async def create_tag(connection: Connection, call: Call, update: TagUpdate) -> Row:
    """Creates a tag at a commit of the repository; returns its row. Changes nothing if it is there already.

    Raises NOT_FOUND, NAME_TAKEN, TAG_PROTECTED, and INVALID_FIELD for the hash of a directory.
    """
    repository_id = call.repository.id
    await change_rules.lock_repository(connection, call)
    await _require_commit(connection, repository_id, update.new)
    guard = await TagGuard.load(connection, call)
    found = (await _lock_tags(connection, repository_id, [update.tag])).get(update.tag)
    if found is not None and not update.is_done(found):
        raise name_taken("tag", update.tag)
    if found is None:
        guard.require_allowed([update.tag])
        await _insert_tags(connection, call, [update])
        await connection.execute(Q.count_tags, repository_id, 1)
        kind, payload = EventType.EVENT_TYPE_TAG_CREATED, update.describe()
        await emit(connection, call, kind, repository_id, payload)
    return await read_tag(connection, repository_id, update.tag)


async def move_tags(
    connection: Connection, call: Call, updates: Sequence[TagUpdate]
) -> list[TagUpdate]:
    """Creates and moves tags to commits that are in the database, all or none; returns those that changed.

    `updates` are sorted by name. Raises HEAD_MOVED, NOT_FAST_FORWARD, TAG_PROTECTED.
    """
    if not updates:
        return []
    repository_id = call.repository.id
    guard = await TagGuard.load(connection, call)
    rows = await _lock_tags(connection, repository_id, [update.tag for update in updates])
    left = [update for update in updates if not update.is_done(rows.get(update.tag))]
    for update in left:
        update.require_expected(rows.get(update.tag))
    guard.require_allowed(update.tag for update in left)
    moved = [update.tag for update in left if update.tag in rows]
    if moved:
        await connection.execute(Q.delete_tags, repository_id, moved)
        heads = [rows[name]["commit_hash"] for name in moved]
        await remember_heads(connection, repository_id, heads)
    if left:
        await _insert_tags(connection, call, left)
        await connection.execute(Q.count_tags, repository_id, len(left) - len(moved))
    return left


async def delete_tag(connection: Connection, call: Call, name: str, expected: str) -> None:
    """Removes a tag of the commit `expected`. Raises NOT_FOUND, HEAD_MOVED, TAG_PROTECTED."""
    repository_id = call.repository.id
    await change_rules.lock_repository(connection, call)
    guard = await TagGuard.load(connection, call)
    row = (await _lock_tags(connection, repository_id, [name])).get(name)
    if row is None:
        raise not_found("tag", name)
    if row["commit_hash"] != expected:
        raise head_moved("", expected, row["commit_hash"], name)
    guard.require_allowed([name])
    await connection.execute(Q.delete_tags, repository_id, [name])
    await remember_heads(connection, repository_id, [expected])
    await connection.execute(Q.count_tags, repository_id, -1)
    payload = TagPayload(tag=name, before=expected)
    await emit(connection, call, EventType.EVENT_TYPE_TAG_DELETED, repository_id, payload)


async def read_tag(connection: Connection, repository_id: UUID, name: str) -> Row:
    """Returns the row of a tag. Raises NOT_FOUND."""
    row = await connection.fetchrow(Q.get_tag, repository_id, name)
    if row is None:
        raise not_found("tag", name)
    return row


async def list_tags(
    database: Database, repository_id: UUID, prefix: str, after: str | None, count: int
) -> list[Row]:
    """Returns up to `count` tags that begin so, by name, after one; fewer if their messages are long."""
    return await database.fetch(
        *Q.bind.list_tags(
            repository_id=repository_id, prefix=prefix, after=after, count=count, bytes=PAGE_BYTES
        )
    )


async def _lock_tags(
    connection: Connection, repository_id: UUID, names: Collection[str]
) -> dict[str, Row]:
    rows = await connection.fetch(Q.lock_tags, repository_id, names)
    return {row["name"]: row for row in rows}


async def _require_commit(connection: Connection, repository_id: UUID, head: str) -> None:
    """Raises NOT_FOUND, or INVALID_FIELD for the hash of a directory, unless it is a commit's."""
    if await lock_nodes(connection, repository_id, [head]):
        return
    if await connection.fetchval(Q.is_manifest, repository_id, head):
        raise invalid_field("head", "is the hash of a directory, and not of a commit")
    raise not_found("commit", head)


async def _insert_tags(connection: Connection, call: Call, updates: Sequence[TagUpdate]) -> None:
    """Creates tags that are not there. If another transaction has created one, the caller's is repeated."""
    rows = await connection.fetch(
        *Q.bind.insert_tags(
            repository_id=call.repository.id,
            user_id=call.caller.user_id,
            names=[update.tag for update in updates],
            heads=[update.new for update in updates],
            hashes=[update.hash for update in updates],
            **_contents([update.content for update in updates]),
            **_signatures([update.signature for update in updates]),
        )
    )
    if len(rows) < len(updates):
        raise asyncpg.SerializationError("a tag was created meanwhile")


def _contents(contents: Sequence[TagContent | None]) -> Mapping[str, list[Any]]:
    """Returns the columns of what annotated tags say; NULL for lightweight ones."""
    taggers = [content.tagger if content else None for content in contents]
    return {
        "messages": [content.message if content else None for content in contents],
        "tagger_names": [tagger.name if tagger else None for tagger in taggers],
        "tagger_emails": [tagger.email if tagger else None for tagger in taggers],
        "tagger_timestamps": [
            EPOCH + timedelta(microseconds=tagger.time_us) if tagger else None for tagger in taggers
        ],
        "tagger_offsets": [tagger.offset_minutes if tagger else None for tagger in taggers],
    }


def _signatures(signatures: Sequence[CheckedSignature | None]) -> Mapping[str, list[Any]]:
    """Returns the columns of signatures; NULL for tags that are not signed."""
    return {
        "signatures": [signature and signature.armored.encode() for signature in signatures],
        "keys": [signature and signature.key for signature in signatures],
        "emails": [signature and signature.email for signature in signatures],
        "faults": [signature and signature.fault for signature in signatures],
    }
