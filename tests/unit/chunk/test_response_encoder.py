"""What is encoded by hand is what the library reads."""

from __future__ import annotations

from dits.chunk.v1 import chunk_service_pb2 as pb
from dits.common.v1.error_reason_pb2 import ErrorReason
from hypothesis import given
from hypothesis import strategies as st

from services.chunk.rpc.response_encoder import EncodedResponse, encode_chunk

failures = st.builds(
    pb.ChunkFailure,
    hash=st.binary(max_size=32),
    reason=st.sampled_from(ErrorReason.values()),
    message=st.text(),
)
chunks = st.builds(
    pb.DownloadedChunk,
    index=st.integers(0, 10_000),
    size=st.integers(0, 1 << 24),
    compression=st.sampled_from([pb.COMPRESSION_NONE, pb.COMPRESSION_ZSTD]),
    data=st.binary(max_size=300) | st.integers(120, 20_000).map(bytes),
    failure=st.none() | failures,
)


@given(st.lists(chunks, max_size=5), st.booleans())
def test_what_is_encoded_by_hand_is_what_the_library_reads(
    sent: list[pb.DownloadedChunk], together: bool
) -> None:
    parts: list[bytes | memoryview] = []
    for item in sent:
        head = pb.DownloadedChunk()
        head.CopyFrom(item)
        head.ClearField("data")
        parts += encode_chunk(head, memoryview(item.data))
    joined = [b"".join(parts)] if together else [bytes(part) for part in parts]
    raw = EncodedResponse(joined).SerializeToString()
    assert pb.DownloadChunksResponse.FromString(raw) == pb.DownloadChunksResponse(chunks=sent)
