"""Messages of an upload: read by hand or by protobuf, they are the same."""

from __future__ import annotations

from dits.chunk.v1 import chunk_service_pb2 as pb
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from services.chunk.packs.content import Chunk
from services.chunk.rpc.upload_message import UploadMessage, make_chunk

_digests = st.binary(min_size=32, max_size=32)
_usual = st.builds(
    pb.UploadedChunk,
    hash=_digests,
    size=st.integers(1, 16 << 20),
    compression=st.sampled_from([pb.COMPRESSION_NONE, pb.COMPRESSION_ZSTD]),
    data=st.binary(min_size=1, max_size=300),
)
_odd = st.builds(
    pb.UploadedChunk,
    hash=_digests | st.binary(max_size=40),
    size=st.integers(0, 2**32 - 1),
    compression=st.integers(0, 4),
    data=st.binary(max_size=3),
    encryption_key_id=st.sampled_from(["", "key"]),
)
_messages = st.builds(
    pb.UploadChunksRequest,
    repository=st.sampled_from(["", "", "anna/films"]),
    chunks=st.lists(_usual, max_size=5) | st.lists(_usual | _odd, max_size=5),
    planned_bytes=st.sampled_from([0, 0, 5]),
)
_one = pb.UploadChunksRequest(
    chunks=[pb.UploadedChunk(hash=b"h" * 32, size=1, compression=pb.COMPRESSION_NONE, data=b"a")]
)


def _describe(data: bytes) -> tuple[object, ...] | None:
    """What a message says; None if its bytes are none."""
    try:
        message = UploadMessage.FromString(data)
    except DecodeError:
        return None
    return message.repository, message.planned_bytes, [make_chunk(c) for c in message.chunks]


def _describe_parsed(data: bytes) -> tuple[object, ...] | None:
    """The same, of the message that protobuf makes of the bytes."""
    try:
        message = pb.UploadChunksRequest.FromString(data)
    except DecodeError:
        return None
    return message.repository, message.planned_bytes, [make_chunk(c) for c in message.chunks]


@given(_messages)
def test_a_message_is_what_protobuf_makes_of_its_bytes(message: pb.UploadChunksRequest) -> None:
    data = message.SerializeToString()
    assert _describe(data) == _describe_parsed(data)
    assert UploadMessage(data).size == message.ByteSize()


@given(_messages, st.data())
def test_bytes_that_no_encoder_writes_are_read_as_protobuf_reads_them(
    message: pb.UploadChunksRequest, draw: st.DataObject
) -> None:
    data = bytearray(message.SerializeToString() or b"\0")
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at : at + draw.draw(st.integers(0, 2))] = draw.draw(st.binary(max_size=3))
    assert _describe(bytes(data)) == _describe_parsed(bytes(data))


@given(st.binary(max_size=200))
@example(_one.SerializeToString() * 300)
@example(_one.SerializeToString() + b"\x0a\x01a")
@example(_one.SerializeToString().replace(b"\x12\x29", b"\x12\xa9\x80\x80\x80\x80\x00"))
@example(
    _one.SerializeToString()
    .replace(b"\x12\x29", b"\x12\x2e")
    .replace(b'"\1a', b'"\x81\x80\x80\x80\x80\x00a')
)
def test_any_bytes_are_read_as_protobuf_reads_them(data: bytes) -> None:
    assert _describe(data) == _describe_parsed(data)


def test_the_data_of_usual_chunks_are_views_of_the_message() -> None:
    data = _one.SerializeToString()
    (chunk,) = UploadMessage(data).chunks
    assert isinstance(chunk, Chunk)
    assert isinstance(chunk.data, memoryview)
    assert chunk.data.obj is data
