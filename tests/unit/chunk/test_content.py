"""A chunk is what its hash and size say, or a ContentMismatch; decompression is bounded."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.chunk.packs.content import Chunk, ChunkOpener, ContentMismatch
from tests.support.chunks import digest

SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


def frame(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


@given(st.binary(min_size=1, max_size=3000))
def test_what_was_packed_is_opened(data: bytes) -> None:
    opener = ChunkOpener()
    assert opener.open_chunk(Chunk(digest(data), len(data), "none", data)) == data
    assert opener.open_chunk(Chunk(digest(data), len(data), "zstd", frame(data))) == data


@given(st.binary(max_size=300), st.integers(0, 1 << 24))
def test_no_bytes_do_anything_but_mismatch(data: bytes, size: int) -> None:
    for compression in ("none", "zstd"):
        with pytest.raises(ContentMismatch):
            ChunkOpener().open_chunk(Chunk(bytes(32), size, compression, data))


DATA = b"one chunk " * 100


@pytest.mark.parametrize(
    ("stored", "size"),
    [
        (frame(DATA), len(DATA) + 1),
        (frame(DATA)[:-1], len(DATA)),
        (frame(DATA) + b"x", len(DATA)),
        (frame(DATA) + SKIPPABLE, len(DATA)),
        (SKIPPABLE + frame(DATA), len(DATA)),
        (frame(DATA[:500]) + frame(DATA[500:]), len(DATA)),
        (zstandard.ZstdCompressor(write_content_size=False).compress(DATA), len(DATA)),
        (frame(b""), 0),
        (b"", len(DATA)),
        (DATA, len(DATA)),
    ],
    ids=[
        "size", "cut off", "trailing byte", "trailing frame", "leading frame", "two frames",
        "no content size", "empty frame", "nothing", "no frame",
    ],
)  # fmt: skip
def test_only_one_intact_frame_will_do(stored: bytes, size: int) -> None:
    with pytest.raises(ContentMismatch):
        ChunkOpener().open_chunk(Chunk(digest(DATA), size, "zstd", stored))


def test_a_frame_that_holds_more_than_it_states_is_refused() -> None:
    bomb = bytearray(frame(bytes(1 << 24)))
    parameters = zstandard.get_frame_parameters(bytes(bomb))
    assert parameters.content_size == 1 << 24
    at = bytes(bomb).index((1 << 24).to_bytes(4, "little"))
    bomb[at : at + 4] = (1000).to_bytes(4, "little")
    assert zstandard.frame_content_size(bytes(bomb)) == 1000
    with pytest.raises(ContentMismatch):
        ChunkOpener().open_chunk(Chunk(digest(bytes(1000)), 1000, "zstd", bytes(bomb)))
