"""The gate before the parser: it counts what would become objects, whatever the bytes are."""

from __future__ import annotations

import pytest
from dits.chunk.v1.chunk_service_pb2 import UploadChunksRequest, UploadedChunk
from dits.repo.v1.commit_service_pb2 import PushHeader, PushManifests, PushRequest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import DomainError
from shared.rpc.wire_gate import count_elements, require_bounded

PUSH: Descriptor = PushRequest.DESCRIPTOR
UPLOAD: Descriptor = UploadChunksRequest.DESCRIPTOR
MOST = 1_000_000


def elements(request: PushRequest) -> int:
    """What the gate counts, from the parsed message."""
    part = 0 if request.WhichOneof("part") is None else 1
    return (
        part
        + len(request.header.locks)
        + len(request.manifests.manifests)
        + len(request.commits.commits)
        + len(request.refs.updates)
    )


@given(st.lists(st.binary(max_size=40), max_size=50), st.integers(0, 50))
def test_honest_messages_are_counted_exactly(manifests: list[bytes], locks: int) -> None:
    header = PushRequest(header=PushHeader(repository="a/b", locks=[{"fence": 1}] * locks))  # type: ignore[list-item]
    for request in (header, PushRequest(manifests=PushManifests(manifests=manifests))):
        data = request.SerializeToString()
        assert count_elements(data, PUSH, MOST) == elements(request)


@given(st.binary(max_size=200))
def test_any_bytes_are_counted_at_least_as_the_parser_would(data: bytes) -> None:
    counted = count_elements(data, PUSH, MOST)
    try:
        request = PushRequest.FromString(data)
    except DecodeError:
        return
    # Of a repeated oneof part the parser keeps the last; unknown groups may hold what looks like ours.
    assert counted >= elements(request)


def test_counting_stops_at_the_limit() -> None:
    bomb = b"\x1a\x00" * 1_000
    data = b"\x0a" + bytes([0x80 | (len(bomb) & 0x7F), len(bomb) >> 7]) + bomb
    assert count_elements(data, PUSH, 10) == 11
    with pytest.raises(DomainError) as caught:
        require_bounded(data, PUSH, 10)
    assert caught.value.metadata["limit"] == "10"
    require_bounded(data, PUSH, 1_001)


def test_a_number_without_end_costs_nothing() -> None:
    assert count_elements(b"\xff" * (16 << 20), PUSH, MOST) == 0


def test_content_costs_nothing() -> None:
    request = UploadChunksRequest(chunks=[UploadedChunk(data=bytes(1 << 20))] * 4)
    assert count_elements(request.SerializeToString(), UPLOAD, MOST) == 4


def test_numbers_without_number_are_too_many() -> None:
    data = b"\x78\x01" * 100_000
    assert count_elements(data, PUSH, 1_000) == 1_001
    assert count_elements(data, PUSH, MOST) == 0
