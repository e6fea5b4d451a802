"""What a chunk is: bytes that have a size and hash to a name, plain or as one zstd frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import zstandard
from blake3 import blake3
from dits.chunk.v1 import chunk_service_pb2 as pb

# How the encodings are called in requests and in the database.
COMPRESSIONS: Mapping[pb.Compression.ValueType, str] = {
    pb.COMPRESSION_NONE: "none",
    pb.COMPRESSION_ZSTD: "zstd",
}


class Mismatch(Exception):  # noqa: N818  an outcome that is counted on
    """Bytes are not the chunk that they are said to be; the text tells people why."""


class Chunk(NamedTuple):
    """A chunk in its stored form.

    Attributes:
        digest: BLAKE3 of the uncompressed bytes, 32 bytes.
        size: uncompressed size, bytes.
        compression: "none" or "zstd".
        data: the stored bytes.
    """

    digest: bytes
    size: int
    compression: str
    data: bytes | memoryview


class Opener:
    """Opens and verifies chunks, in one thread."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor()

    def open(self, chunk: Chunk) -> bytes | memoryview:
        """The uncompressed bytes. Raises Mismatch unless size and hash are right."""
        plain = chunk.data if chunk.compression == "none" else self._decompress(chunk)
        if len(plain) != chunk.size:
            raise Mismatch(f"the chunk has {len(plain)} bytes, not {chunk.size}")
        if blake3(plain).digest() != chunk.digest:
            raise Mismatch("the bytes do not hash to the chunk's name")
        return plain

    def _decompress(self, chunk: Chunk) -> bytes:
        """Unpacks one zstd frame; no more than the declared size is ever allocated."""
        try:
            stated = zstandard.frame_content_size(chunk.data)
            if stated != chunk.size:
                what = "no content size" if stated < 0 else f"a content size of {stated}"
                raise Mismatch(f"the zstd frame states {what}, not {chunk.size}")
            return self._zstd.decompress(
                chunk.data, read_across_frames=False, allow_extra_data=False
            )
        except zstandard.ZstdError:
            raise Mismatch("the bytes are not one intact zstd frame") from None
