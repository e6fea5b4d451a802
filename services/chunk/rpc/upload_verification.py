"""Verifies the chunks of an upload's message before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from dits.chunk.v1 import chunk_service_pb2 as pb
from dits.common.v1.error_reason_pb2 import (
    ERROR_REASON_CONTENT_MISMATCH,
    ERROR_REASON_INVALID_FIELD,
)

from services.chunk.packs.content import Chunk, ChunkOpener, ContentMismatch
from services.chunk.rpc.upload_message import SentChunk, UploadMessage, make_chunk
from services.chunk.runtime.threads import run_in_thread
from shared.rpc.validation import DIGEST_BYTES, MAX_CHUNK_BYTES

_KEY_ID = re.compile(r"[A-Za-z0-9._:/@+=-]{1,128}")
# Uncompressed bytes that a thread verifies in one turn; then other streams have theirs.
_TURN_BYTES = 16 << 20


class VerifiedMessage(NamedTuple):
    """A message after verification.

    Attributes:
        size: its bytes.
        total: the number of its chunks.
        chunks: those that are intact.
        failures: those that are not.
    """

    size: int
    total: int
    chunks: list[Chunk]
    failures: list[pb.ChunkFailure]


def make_key_failure(digest: bytes) -> pb.ChunkFailure:
    """Returns what is said of a chunk that the repository has under another key."""
    message = "the repository has the chunk under another key, or not encrypted"
    return pb.ChunkFailure(hash=digest, reason=ERROR_REASON_INVALID_FIELD, message=message)


async def verify_message(request: UploadMessage, threads: ThreadPoolExecutor) -> VerifiedMessage:
    """Returns the chunks of a message, the intact ones apart from the others."""
    verified = VerifiedMessage(request.size, len(request.chunks), [], [])
    for turn in _split_chunks(request.chunks):
        await run_in_thread(threads, _verify_chunks, turn, verified)
    return verified


def _split_chunks(chunks: Iterable[SentChunk]) -> Iterator[list[SentChunk]]:
    """Splits a message into turns of about the same size."""
    turn: list[SentChunk] = []
    size = 0
    for chunk in chunks:
        turn.append(chunk)
        size += chunk.size
        if size >= _TURN_BYTES:
            yield turn
            turn, size = [], 0
    if turn:
        yield turn


def _verify_chunks(turn: Iterable[SentChunk], verified: VerifiedMessage) -> None:
    """Adds each chunk to the intact ones or to the failures."""
    opener = ChunkOpener()
    for sent in turn:
        chunk = make_chunk(sent)
        reason, message = ERROR_REASON_INVALID_FIELD, describe_invalid_field(chunk)
        if not message:
            try:
                opener.open_chunk(chunk)
            except ContentMismatch as mismatch:
                reason, message = ERROR_REASON_CONTENT_MISMATCH, str(mismatch)
            else:
                verified.chunks.append(chunk)
                continue
        # A hash that is too long is not echoed in full: the answer has to fit into a message.
        echo = chunk.digest[:DIGEST_BYTES]
        verified.failures.append(pb.ChunkFailure(hash=echo, reason=reason, message=message))


def describe_invalid_field(chunk: Chunk) -> str:
    """Returns which field breaks its rule, or "" if none does."""
    if len(chunk.digest) != DIGEST_BYTES:
        return f"the hash must have {DIGEST_BYTES} bytes"
    if not 1 <= chunk.size <= MAX_CHUNK_BYTES:
        return f"the size must be 1 to {MAX_CHUNK_BYTES}"
    if not chunk.compression:
        return "the compression is unknown"
    if chunk.encryption_key_id and not _KEY_ID.fullmatch(chunk.encryption_key_id):
        return "the key must have 1 to 128 of letters, digits and ._:/@+=-"
    if chunk.encryption_key_id and chunk.compression != "none":
        return "an encrypted chunk must not be compressed"
    return ""
