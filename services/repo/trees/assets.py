"""Contents of files as the repository knows them: listed, and what clients have stored about them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dits.repo.v1 import asset_pb2 as pb
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from services.repo.history.change_rules import lock_repository
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import content_obliterated, invalid_field, not_found
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import count_fitting

Q = sql.load(__file__)

# Contents that one page looks at.
SCANNED = 5_000
MAX_METADATA_BYTES = 16 << 10
MAX_METADATA_DEPTH = 20
MAX_SIZE = (1 << 63) - 1
STATEMENT_SECONDS = 5.0

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*", re.IGNORECASE)
_FIELDS = frozenset({"mime_type", "metadata"})


@dataclass(frozen=True, slots=True)
class AssetFilter:
    """Which contents a list shows; see ListAssetsRequest."""

    mime_type: str
    min_size: int
    max_size: int
    name: str

    @classmethod
    def parse(cls, request: pb.ListAssetsRequest) -> AssetFilter:
        """Returns the filter of a request. Raises INVALID_FIELD."""
        kind = validation.text("mime_type", request.mime_type, most=127)
        if kind and not _TYPE.fullmatch(kind + "x" if kind.endswith("/") else kind):
            raise invalid_field("mime_type", "must be like image/png or image/")
        most = request.max_size if request.HasField("max_size") else MAX_SIZE
        if request.min_size < 0 or most < request.min_size:
            raise invalid_field("max_size", "must not be less than min_size, nor that less than 0")
        name = validation.text("name", request.name, most=255)
        return cls(kind.lower(), request.min_size, most, name)


async def list_assets(
    database: Database,
    repository_id: UUID,
    wanted: AssetFilter,
    after: Sequence[Any] | None,
    count: int,
) -> tuple[list[Row], tuple[int, str] | None]:
    """Returns up to `count` contents, and after which the next page begins; None at the end.

    A page ends before it is full when it has looked at enough.
    """
    size, digest = after or (wanted.max_size, "")
    rows = await database.fetch(
        *Q.bind.page(
            repository_id=repository_id,
            size=min(size, wanted.max_size),
            min_size=wanted.min_size,
            hash=digest,
            scanned=SCANNED,
            mime_type=wanted.mime_type,
            name=wanted.name,
            count=count + 1,
        ),
        seconds=STATEMENT_SECONDS,
    )
    found = [row for row in rows if not row["is_end"]]
    ends = [row for row in rows if row["is_end"]]
    fitting = count_fitting(map(_measure, found[:count]))
    if len(found) > fitting:
        found, ends = found[:fitting], found[fitting - 1 : fitting]
    following = (ends[0]["size"], ends[0]["hash"]) if ends else None
    return found, following


def _measure(row: Row) -> int:
    """Returns at least how many bytes a content takes in a message."""
    return 500 + 2 * len(row["metadata"] or "") + len((row["file_name"] or "").encode())


async def find_asset(source: Database | Connection, repository_id: UUID, digest: str) -> Row:
    """Returns a content, which may be obliterated. Raises NOT_FOUND."""
    row = await source.fetchrow(Q.asset, repository_id, digest)
    if row is None:
        raise not_found("asset", digest)
    return row


async def get_asset(source: Database | Connection, repository_id: UUID, digest: str) -> Row:
    """Returns a content. Raises NOT_FOUND, CONTENT_OBLITERATED."""
    row = await find_asset(source, repository_id, digest)
    if row["obliterated"]:
        raise content_obliterated(digest, row["obliterated"])
    return row


@dataclass(frozen=True, slots=True)
class AssetUpdate:
    """New values of a content; None = as it is."""

    digest: str
    mime_type: str | None
    metadata: str | None

    @classmethod
    def parse(cls, request: pb.UpdateAssetMetadataRequest) -> AssetUpdate:
        """Returns the update of a request. Raises INVALID_FIELD."""
        paths = set(request.update_mask.paths)
        if not paths or not paths <= _FIELDS:
            raise invalid_field("update_mask", "must name mime_type, metadata or both")
        kind = request.mime_type
        if "mime_type" in paths and kind and not (len(kind) <= 127 and _TYPE.fullmatch(kind)):
            raise invalid_field("mime_type", "must be like image/png")
        return cls(
            validation.digest("hash", request.hash),
            kind.lower() if "mime_type" in paths else None,
            _encode_metadata(request.metadata) if "metadata" in paths else None,
        )


def _encode_metadata(metadata: Struct) -> str:
    if metadata.ByteSize() > 4 * MAX_METADATA_BYTES:
        raise invalid_field("metadata", f"must have at most {MAX_METADATA_BYTES} bytes as JSON")
    try:
        plain = json_format.MessageToDict(metadata)
    except (json_format.Error, ValueError):
        raise invalid_field("metadata", "must be JSON") from None
    if _measure_depth(plain) > MAX_METADATA_DEPTH:
        raise invalid_field("metadata", f"must be at most {MAX_METADATA_DEPTH} levels deep")
    text = json.dumps(plain, ensure_ascii=False)
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise invalid_field("metadata", f"must have at most {MAX_METADATA_BYTES} bytes as JSON")
    return text


def _measure_depth(value: object) -> int:
    """Returns how deep a value of JSON is. Raises INVALID_FIELD if PostgreSQL could not store it."""
    if isinstance(value, dict):
        return 1 + max(map(_measure_depth, (*value, *value.values())), default=0)
    if isinstance(value, list):
        return 1 + max(map(_measure_depth, value), default=0)
    if isinstance(value, str) and "\0" in value:
        raise invalid_field("metadata", "must be without NUL")
    return 0


async def update_asset(connection: Connection, call: Call, update: AssetUpdate) -> Row:
    """Stores what a client says about a content; returns its row.

    Raises NOT_FOUND, REPOSITORY_READ_ONLY, CONTENTION, CONTENT_OBLITERATED.
    """
    repository_id = call.repository.id
    # Until the end of the transaction the content is not obliterated.
    await lock_repository(connection, call)
    await get_asset(connection, repository_id, update.digest)
    statement = Q.bind.update_asset(
        repository_id=repository_id,
        hash=update.digest,
        sets_type=update.mime_type is not None,
        mime_type=update.mime_type or "",
        sets_metadata=update.metadata is not None,
        metadata=update.metadata,
    )
    rows = await connection.fetch(*statement)
    if not rows:
        raise not_found("asset", update.digest)
    return rows[0]


def describe_asset(row: Row) -> pb.Asset:
    """Returns a content as the API shows it."""
    metadata = Struct()
    if row["metadata"]:
        json_format.Parse(row["metadata"], metadata)
    return pb.Asset(
        hash=row["hash"],
        size=row["size"],
        mime_type=row["mime_type"] or "",
        file_name=row["file_name"] or "",
        chunk_count=row["chunk_count"],
        manifest_count=row["ref_count"],
        metadata=metadata,
        create_time=row["first_seen_at"],
        push_time=row["last_seen_at"],
        obliteration_reason=row["obliterated"] or "",
    )
