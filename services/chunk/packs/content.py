"""What a chunk is: bytes with a size and a hash, as they are or in one zstd frame."""

from __future__ import annotations

from typing import NamedTuple

import zstandard
from blake3 import blake3


class ContentMismatch(Exception):  # noqa: N818  an expected outcome
    """Bytes are not the chunk that they are said to be; the text tells people why."""


class Chunk(NamedTuple):
    """A chunk in its stored form.

    Attributes:
        digest: BLAKE3 of the uncompressed bytes, 32 bytes.
        size: uncompressed size, bytes.
        compression: "none" or "zstd".
        data: the stored bytes.
        encryption_key_id: the key that the client has encrypted it with; "" = it is not encrypted.
    """

    digest: bytes
    size: int
    compression: str
    data: bytes | memoryview
    encryption_key_id: str = ""


class ChunkOpener:
    """Decompresses and verifies chunks, in one thread."""

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdDecompressor()

    def open_chunk(self, chunk: Chunk) -> bytes | memoryview:
        """Returns the uncompressed bytes. Raises ContentMismatch unless size and hash are right."""
        plain = chunk.data if chunk.compression == "none" else self._decompress(chunk)
        if len(plain) != chunk.size:
            raise ContentMismatch(f"the chunk has {len(plain)} bytes, not {chunk.size}")
        if blake3(plain).digest() != chunk.digest:
            raise ContentMismatch("the bytes do not hash to the chunk's name")
        return plain

    def _decompress(self, chunk: Chunk) -> bytes:
        """Returns the content of one zstd frame, and never allocates more than the chunk's size."""
        try:
            stated = zstandard.frame_content_size(chunk.data)
            if stated != chunk.size:
                what = "no content size" if stated < 0 else f"a content size of {stated}"
                raise ContentMismatch(f"the zstd frame states {what}, not {chunk.size}")
            return self._zstd.decompress(
                chunk.data, read_across_frames=False, allow_extra_data=False
            )
        except zstandard.ZstdError:
            raise ContentMismatch("the bytes are not one intact zstd frame") from None
