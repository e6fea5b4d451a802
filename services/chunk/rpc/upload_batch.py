"""The messages of an upload whose chunks are in one pack."""

from __future__ import annotations

from dataclasses import dataclass, field

from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.packs.pack import Pack
from services.chunk.rpc.upload_verification import VerifiedMessage

# Chunks at which a pack is finalized, however small: the database adds their rows while more are received.
# The fewer are enough while no other pack of the stream is being finalized.
_MOST_CHUNKS, _IDLE_CHUNKS = 4_000, 1_000
# A slow client gets its acknowledgements after this time.
_MOST_SECONDS = 2.0


@dataclass(slots=True)
class UploadBatch:
    """Messages that are acknowledged together, once the pack with their chunks is finalized.

    Attributes:
        pack: where the chunks go.
        messages: number of the last message in it; the first of the stream is 1.
        total: chunks in its messages, intact or not.
        closes_at: when it is acknowledged at the latest, by the loop's clock; None while empty.
        failures: chunks that were not taken.
    """

    pack: Pack
    messages: int
    total: int = 0
    closes_at: float | None = None
    failures: list[pb.ChunkFailure] = field(default_factory=list)

    def add(self, message: VerifiedMessage, now: float) -> None:
        """Counts a message in."""
        self.messages += 1
        self.total += message.total
        self.closes_at = self.closes_at or now + _MOST_SECONDS
        self.failures += message.failures

    def is_full(self, pack_bytes: int, now: float, *, is_idle: bool) -> bool:
        """Whether the pack is to be finalized; `is_idle`: no other one of the stream is."""
        most = _IDLE_CHUNKS if is_idle else _MOST_CHUNKS
        is_late = self.closes_at is not None and now >= self.closes_at
        return is_late or self.total >= most or self.pack.length >= pack_bytes
