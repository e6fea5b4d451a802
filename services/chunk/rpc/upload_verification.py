"""Verifies the chunks of a message before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.packs.content import COMPRESSIONS, Chunk, Mismatch, Opener
from services.chunk.runtime.threads import in_thread
from shared.errors import Reason
from shared.rpc.validation import DIGEST_BYTES, MAX_CHUNK_BYTES

# Uncompressed bytes that a thread verifies in one go; then other streams have their turn.
_TURN_BYTES = 16 << 20


class Checked(NamedTuple):
    """A message that was looked through.

    Attributes:
        total: how many chunks it had.
        chunks: those that are intact.
        failures: those that are not.
    """

    total: int
    chunks: list[Chunk]
    failures: list[pb.ChunkFailure]


async def check(request: pb.UploadChunksRequest, threads: ThreadPoolExecutor) -> Checked:
    """Verifies every chunk of a message."""
    checked = Checked(len(request.chunks), [], [])
    for turn in _turns(request.chunks):
        await in_thread(threads, _verify, turn, checked)
    return checked


def _turns(chunks: Iterable[pb.UploadedChunk]) -> Iterator[list[pb.UploadedChunk]]:
    """Cuts a message into pieces of work of about the same size."""
    turn: list[pb.UploadedChunk] = []
    size = 0
    for chunk in chunks:
        turn.append(chunk)
        size += chunk.size
        if size >= _TURN_BYTES:
            yield turn
            turn, size = [], 0
    if turn:
        yield turn


def _verify(turn: Iterable[pb.UploadedChunk], checked: Checked) -> None:
    """Sorts chunks into the intact and the others."""
    opener = Opener()
    # Looking a value up takes as long as hashing a small chunk.
    invalid, mismatched = (
        Reason.ERROR_REASON_INVALID_FIELD,
        Reason.ERROR_REASON_CONTENT_MISMATCH,
    )
    for sent in turn:
        chunk = Chunk(sent.hash, sent.size, COMPRESSIONS.get(sent.compression, ""), sent.data)
        reason = invalid
        if len(chunk.digest) != DIGEST_BYTES:
            message = f"the hash must have {DIGEST_BYTES} bytes"
        elif not 1 <= chunk.size <= MAX_CHUNK_BYTES:
            message = f"the size must be 1 to {MAX_CHUNK_BYTES}"
        elif not chunk.compression:
            message = "the compression is unknown"
        else:
            try:
                opener.open(chunk)
            except Mismatch as mismatch:
                reason = mismatched
                message = str(mismatch)
            else:
                checked.chunks.append(chunk)
                continue
        # A hash that is too long is not echoed in full: the answer has to fit into a message.
        echo = chunk.digest[:DIGEST_BYTES]
        checked.failures.append(
            pb.ChunkFailure(hash=echo, reason=Reason.Name(reason), message=message)
        )
