"""Messages of an upload, read without the copies that a protobuf message makes of its bytes.

Such a message copies the data of each chunk when it is parsed and again when it is taken out of it, and
tells its size only by encoding itself: together a seventh of the server's work of an upload.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from dits.chunk.v1 import chunk_service_pb2 as pb

from services.chunk.packs.content import Chunk
from services.chunk.rpc.compression import STORED_NAMES
from shared.errors import invalid_field
from shared.rpc.validation import DIGEST_BYTES, MAX_CHUNK_BYTES
from shared.rpc.wire_gate import read_varint

# A message of more chunks than this is parsed by protobuf: its bytes are few, and its fields many.
_MOST_CHUNKS = 256
# Tags of the fields, as they follow one another: of the message; of a chunk, with the length of a hash.
_CHUNK = 0x12
_HASH = bytes((0x0A, DIGEST_BYTES))
_SIZE, _COMPRESSION, _DATA = 0x10, 0x18, 0x22
# A tag, and a number of up to four bytes: the largest message is shorter than 2^28.
_MOST_NUMBER_BYTES = 5
_NAMES = {int(number): name for number, name in STORED_NAMES.items()}


# In the form in which it is stored, or as it was sent.
SentChunk: TypeAlias = Chunk | pb.UploadedChunk


class UploadMessage:
    """An UploadChunksRequest.

    Attributes:
        size: its bytes.
        chunks, repository, planned_bytes: see the proto.
    """

    DESCRIPTOR = pb.UploadChunksRequest.DESCRIPTOR

    __slots__ = ("chunks", "planned_bytes", "repository", "size")

    def __init__(self, data: bytes) -> None:
        """Parses a message. Raises DecodeError."""
        self.size = len(data)
        self.repository = ""
        self.planned_bytes = 0
        self.chunks: Sequence[SentChunk]
        chunks = _slice_chunks(data)
        if chunks is not None:
            self.chunks = chunks
        else:
            message = pb.UploadChunksRequest.FromString(data)
            self.repository = message.repository
            self.planned_bytes = message.planned_bytes
            self.chunks = message.chunks

    def refuse_first_fields(self) -> None:
        """Raises INVALID_FIELD if a later message has what only the first one may have."""
        for name in ("repository", "planned_bytes"):
            if getattr(self, name):
                raise invalid_field(name, "belongs into the first message and no other")

    @classmethod
    def FromString(cls, data: bytes) -> UploadMessage:
        """Returns the message of these bytes, as classes of protobuf do. Raises DecodeError."""
        return cls(data)


def make_chunk(sent: SentChunk) -> Chunk:
    """Returns a chunk of a message in the form in which it is stored."""
    if isinstance(sent, Chunk):
        return sent
    name = STORED_NAMES.get(sent.compression, "")
    return Chunk(sent.hash, sent.size, name, sent.data, sent.encryption_key_id)


def _slice_chunks(data: bytes) -> list[Chunk] | None:
    """Returns the chunks of a message that has nothing else; their data are views of its bytes.

    None if there are many, or if it is not what encoders write of chunks that break no rule: each field
    once, in the order of its number, and no other one.
    """
    view, at = memoryview(data), 0
    chunks: list[Chunk] = []
    try:
        while at < len(data) and len(chunks) < _MOST_CHUNKS:
            length, at = _read_number(data, at, _CHUNK)
            chunks.append(_slice_chunk(data, view[: at + length], at))
            at += length
    except IndexError:
        return None
    return chunks if at == len(data) else None


def _slice_chunk(data: bytes, view: memoryview, at: int) -> Chunk:
    """Returns the chunk that lies between a position and the end of the view. Raises IndexError."""
    start = at + len(_HASH)
    if data[at:start] != _HASH:
        raise IndexError
    at = start + DIGEST_BYTES
    digest = data[start:at]
    size, at = _read_number(data, at, _SIZE)
    compression, at = _read_number(data, at, _COMPRESSION)
    length, at = _read_number(data, at, _DATA)
    name = _NAMES.get(compression)
    if at + length != len(view) or name is None or size > MAX_CHUNK_BYTES:
        raise IndexError
    return Chunk(digest, size, name, view[at:])


def _read_number(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Returns what `read_varint` does behind a tag.

    Raises IndexError if another one is there, or if the number is longer than protobuf allows a length.
    """
    if data[at] != tag:
        raise IndexError
    number, end = read_varint(data, at + 1)
    if end - at > _MOST_NUMBER_BYTES:
        raise IndexError
    return number, end
