"""Chunks that several requests of a download need are fetched once, in bounded memory."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dits_client.checkout.sparse import BLOCK, write_sparsely
from dits_client.content.chunking import ChunkRef
from dits_client.transfer.repeated_chunks import KEPT_BYTES, RepeatedChunks

SIZE = KEPT_BYTES // 4


@given(
    requests=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), max_size=12),
    size=st.sampled_from([1, SIZE]),
)
def test_each_is_fetched_once_while_there_is_room(requests: list[list[int]], size: int) -> None:
    chunks = [[ChunkRef(bytes([number]), size) for number in request] for request in requests]
    repeats = RepeatedChunks([chunk for request in chunks for chunk in request])
    fetched: list[bytes] = []
    kept = set[bytes]()
    waiting: list[tuple[list[ChunkRef], set[bytes]]] = []

    def use(request: list[ChunkRef], asked: set[bytes]) -> None:
        for chunk in request:
            content = repeats.take(chunk.hash)
            if content is None:
                assert chunk.hash in asked
                content = chunk.hash
                repeats.keep(chunk.hash, content)
            else:
                kept.add(chunk.hash)
            assert content == chunk.hash

    for request in chunks:
        # One request is under way while the answer to the one before is used.
        asked = {chunk.hash for chunk, is_coming in repeats.plan(request) if not is_coming}
        fetched += sorted(asked)
        waiting.append((request, asked))
        if len(waiting) > 1:
            use(*waiting.pop(0))
    for request, asked in waiting:
        use(request, asked)
    if size == 1:
        assert len(fetched) == len(set(fetched))
    assert not repeats._kept
    assert repeats._room == KEPT_BYTES


@given(parts=st.lists(st.tuples(st.booleans(), st.integers(1, 3 * BLOCK)), max_size=5))
def test_zeros_become_holes_and_read_as_before(parts: list[tuple[bool, int]]) -> None:
    pieces = [bytes(size) if is_zero else os.urandom(size) for is_zero, size in parts]
    descriptor = os.memfd_create("sparse")
    try:
        for piece in pieces:
            write_sparsely(descriptor, piece)
        whole = b"".join(pieces)
        os.ftruncate(descriptor, len(whole))
        assert os.pread(descriptor, len(whole) + 1, 0) == whole
    finally:
        os.close(descriptor)


def test_a_hole_takes_no_room(tmp_path: Path) -> None:
    with (tmp_path / "hole").open("wb") as file:
        write_sparsely(file.fileno(), bytes(100 * BLOCK) + b"x" + bytes(100 * BLOCK))
        os.ftruncate(file.fileno(), 200 * BLOCK + 1)
    found = (tmp_path / "hole").stat()
    assert found.st_size == 200 * BLOCK + 1
    assert found.st_blocks * 512 <= 2 * BLOCK
