"""Compression, the wire format, reading pieces, and the queue between the threads."""

import random
import threading
from pathlib import Path

import pytest
import zstandard
from blake3 import blake3
from dits.chunk.v1.chunk_service_pb2 import (
    COMPRESSION_NONE,
    COMPRESSION_ZSTD,
    UploadChunksRequest,
    UploadedChunk,
)
from hypothesis import given
from hypothesis import strategies as st

from dits_client.content.compression import (
    RETRY_EVERY,
    CompressionHistory,
    Compressor,
    Decompressor,
)
from dits_client.content.sources import Piece, PieceReader, Source
from dits_client.errors import ClientError
from dits_client.transfer import wire
from dits_client.transfer.upload import group_pieces
from dits_client.transfer.upload_stream import MESSAGE_BYTES, MESSAGE_CHUNKS
from dits_client.transfer.work_queue import Taker, WorkQueue, WorkStopped

NOISE = random.Random(5).randbytes(1 << 20)


@given(st.integers(0, 1 << 64))
def test_varints_are_those_of_protobuf(number: int) -> None:
    value = 0
    for at, byte in enumerate(wire.encode_varint(number)):
        value |= (byte & 0x7F) << (7 * at)
    assert value == number


@given(
    st.text(min_size=1, max_size=300),
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=300), st.integers(1, 16 << 20), st.booleans()),
        max_size=5,
    ),
)
def test_messages_are_those_of_protobuf(
    repository: str, chunks: list[tuple[bytes, int, bool]]
) -> None:
    expected = UploadChunksRequest(repository=repository)
    parts = [wire.encode_repository(repository)]
    for data, size, shrunk in chunks:
        digest = blake3(data).digest()
        kind = COMPRESSION_ZSTD if shrunk else COMPRESSION_NONE
        expected.chunks.append(UploadedChunk(hash=digest, size=size, compression=kind, data=data))
        parts += [wire.encode_chunk_header(digest, size, kind, len(data)), data]
    assert b"".join(parts) == expected.SerializeToString()


def compress(content: bytes, history: CompressionHistory) -> bytes | memoryview | None:
    return Compressor().compress([memoryview(content)], [history])[0]


def test_what_shrinks_is_compressed_and_comes_back() -> None:
    content = b"all work and no play " * 3000
    frame = compress(content, CompressionHistory())
    assert frame is not None
    assert len(frame) < len(content) / 10
    assert zstandard.frame_content_size(frame) == len(content)
    assert Decompressor().decompress(frame, len(content)) == content


def test_media_is_sent_as_it_is_and_tried_again_now_and_then() -> None:
    known = CompressionHistory()
    assert compress(NOISE, known) is None
    for _ in range(3):
        assert [known.should_try() for _ in range(RETRY_EVERY)] == [False] * (RETRY_EVERY - 1) + [
            True
        ]
        known.add_result(shrank=False)


def test_a_file_that_begins_to_shrink_is_noticed() -> None:
    known, text = CompressionHistory(), b"words " * 10_000
    assert compress(NOISE, known) is None
    results = [compress(text, known) is not None for _ in range(RETRY_EVERY + 2)]
    assert results == [False] * (RETRY_EVERY - 1) + [True] * 3


def test_large_chunks_that_shrink_are_found_among_media() -> None:
    noise, text, known = NOISE[: 1 << 17], b"words " * 20_000, CompressionHistory()
    chunks = [noise, noise, text, noise, text]
    results = [compress(chunk, known) is not None for chunk in chunks]
    assert results == [False, False, True, False, True]


def test_chunks_of_one_message_shrink_as_they_would_one_by_one() -> None:
    text, words = b"words " * 10_000, b"other " * 3000
    first, second, media, empty = (CompressionHistory() for _ in range(4))
    chunks = [text, NOISE, NOISE, words, text, b""]
    histories = [first, media, media, media, second, empty]
    frames = Compressor().compress([memoryview(chunk) for chunk in chunks], histories)
    assert [frame is not None for frame in frames] == [True, False, False, False, True, False]
    for at in (0, 4):
        frame = frames[at]
        assert frame is not None
        assert Decompressor().decompress(frame, len(chunks[at])) == chunks[at]
    # Its second chunk was not tried, nor its third.
    assert [media.should_try() for _ in range(RETRY_EVERY - 2)] == [False] * (RETRY_EVERY - 3) + [
        True
    ]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"not a frame",
        zstandard.ZstdCompressor().compress(b"x" * 1001),
        zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 1000),
        zstandard.ZstdCompressor().compress(b"x" * 1000)[:-1],
    ],
)
def test_frames_of_another_size_are_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Decompressor().decompress(frame, 1000)


def test_pieces_are_read_from_files_and_from_memory(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    one = Source("one", str(tmp_path / "one"))
    two = Source("two", str(tmp_path / "two"))
    held = Source("held", content=b"0123456789")
    reader = PieceReader()
    buffer = memoryview(bytearray(3))
    for source, offset, expected in (
        (one, 3, b"one"),
        (two, 0, b"two"),
        (held, 7, b"789"),
        (one, 297, b"one"),
    ):
        reader.read_into(buffer, Piece(source, offset, 3, b""))
        assert bytes(buffer) == expected
    reader.close()
    reader.close()


def test_a_file_that_shrank_or_went_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12")
    source = Source("dir/a", str(path))
    buffer = memoryview(bytearray(3))
    with pytest.raises(ClientError, match=r'"dir/a" was changed'):
        PieceReader().read_into(buffer, Piece(source, 0, 3, b""))
    path.unlink()
    with pytest.raises(ClientError, match=r'"dir/a" vanished'):
        PieceReader().read_into(buffer, Piece(source, 0, 3, b""))
    path.symlink_to("/etc/passwd")
    with pytest.raises(ClientError, match="cannot read"):
        PieceReader().read_into(buffer, Piece(source, 0, 3, b""))


@given(st.lists(st.integers(1, 2 * MESSAGE_BYTES), max_size=50))
def test_groups_fit_into_messages(sizes: list[int]) -> None:
    source = Source("a")
    pieces = [Piece(source, at, size, b"") for at, size in enumerate(sizes)]
    groups = list(group_pieces(pieces))
    assert [piece for group in groups for piece in group] == pieces
    for group in groups:
        assert len(group) == 1 or sum(piece.size for piece in group) <= MESSAGE_BYTES


def test_groups_of_tiny_pieces_are_limited_in_number() -> None:
    pieces = [Piece(Source("a"), at, 1, b"") for at in range(MESSAGE_CHUNKS + 1)]
    assert [len(group) for group in group_pieces(pieces)] == [MESSAGE_CHUNKS, 1]


def test_unfinished_items_go_back_in_their_order() -> None:
    groups: WorkQueue[int] = WorkQueue(10)
    for item in range(5):
        groups.put_item(item)
    taker, other = Taker[int](), Taker[int]()
    assert [groups.take_item(taker) for _ in range(3)] == [0, 1, 2]
    assert groups.finish_items(taker, 1) == [0]
    groups.put_back(groups.withdraw(taker))
    assert groups.take_item(taker) is None
    groups.close()
    assert [groups.take_item(other) for _ in range(5)] == [1, 2, 3, 4, None]


def test_putting_waits_for_room_and_stopping_ends_the_wait() -> None:
    groups: WorkQueue[int] = WorkQueue(1)
    groups.put_item(1)
    outcome: list[str] = []

    def put() -> None:
        try:
            groups.put_item(2)
        except WorkStopped:
            outcome.append("stopped")

    thread = threading.Thread(target=put)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    groups.stop()
    thread.join(5)
    assert outcome == ["stopped"]
    with pytest.raises(WorkStopped):
        groups.take_item(Taker())
