"""Cutting: the same cuts as FastCDC over the whole content, whatever the reads look like."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyfastcdc import FastCDC

from dits_client.content.chunking import WINDOW_BYTES, Cut, Cutter, choose_profile, cut_small
from dits_client.content.holes import make_hole_passer
from shared.formats.canonical import HASH_BYTES, split_hashes
from shared.formats.profiles import PROFILES

KIB, MIB = 1 << 10, 1 << 20


def reader(content: bytes, most: int = 1 << 30) -> Callable[[memoryview], int]:
    position = 0

    def read_into(view: memoryview) -> int:
        nonlocal position
        count = min(len(view), len(content) - position, most)
        view[:count] = content[position : position + count]
        position += count
        return count

    return read_into


def reference(content: bytes) -> Cut:
    profile = choose_profile(len(content))
    cutter = FastCDC(
        profile.average_bytes,
        min_size=profile.min_bytes,
        max_size=profile.max_bytes,
        normalized_chunking=1,
        seed=0,
    )
    chunks = [bytes(chunk.data) for chunk in cutter.cut_buf(content)] if content else []
    hashes = b"".join(blake3(chunk).digest() for chunk in chunks)
    return Cut(blake3(content).digest(), hashes, [len(chunk) for chunk in chunks])


@pytest.mark.parametrize(
    "size",
    [0, 1, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 300_000, WINDOW_BYTES, WINDOW_BYTES + 1, 9 * MIB],
)
@pytest.mark.parametrize("most", [1 << 30, 100_001])
def test_cuts_are_those_of_the_whole_content(size: int, most: int) -> None:
    content = random.Random(size).randbytes(size)
    assert Cutter().cut(reader(content, most), size) == reference(content)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 12 * MIB), st.integers(0, 255), st.integers(1, 1 << 30), st.integers(0, 99))
def test_cuts_do_not_depend_on_the_reads(size: int, fill: int, most: int, seed: int) -> None:
    noise = random.Random(seed)
    draft = bytearray([fill]) * size
    for _ in range(5):
        at = noise.randrange(size + 1)
        draft[at : at + 50_000] = noise.randbytes(min(50_000, size - at))
    content = bytes(draft)
    assert Cutter().cut(reader(content, max(most, 10_000)), len(content)) == reference(content)


@pytest.mark.parametrize("size", [1, 100, 16 * KIB])
def test_small_files_are_one_chunk(size: int) -> None:
    content = random.Random(size).randbytes(size)
    assert cut_small(content) == reference(content)


def test_large_files_are_cut_into_larger_chunks() -> None:
    content = random.Random(1).randbytes(64 * MIB)
    cutter = Cutter()
    cut = cutter.cut(reader(content), len(content))
    assert cut == reference(content)
    assert max(cut.sizes) <= MIB
    assert min(cut.sizes[:-1]) >= 64 * KIB
    # The cutter is used for one file after the other.
    assert cutter.cut(reader(content[:100_000]), 100_000) == reference(content[:100_000])


def test_content_that_ends_early_is_cut_as_far_as_it_goes() -> None:
    content = random.Random(2).randbytes(MIB)
    cut = Cutter().cut(reader(content), 2 * MIB)
    assert cut == reference(content)
    assert cut.size == MIB


def test_cut_points_are_those_that_all_clients_find() -> None:
    content = random.Random(3).randbytes(400_000)
    cut = Cutter().cut(reader(content), len(content))
    assert cut.sizes == KNOWN_SIZES
    assert [digest[:2].hex() for digest in split_hashes(cut.hashes)] == KNOWN_HASHES
    assert len(cut.hashes) == HASH_BYTES * len(cut.sizes)


def test_profiles_grow_with_the_file() -> None:
    assert choose_profile(0) is PROFILES[0]
    assert choose_profile(64 * MIB - 1) is PROFILES[0]
    assert choose_profile(64 * MIB) is PROFILES[1]
    assert choose_profile(1 << 60) is PROFILES[-1]


KNOWN_SIZES = [26408, 54590, 83806, 66383, 121068, 47745]
KNOWN_HASHES = ["c91a", "dd0e", "cbfe", "1ba7", "2894", "c5d0"]


def cut_sparsely(path: Path) -> Cut:
    """The cut of a file that has holes, which are not read."""
    with path.open("rb", buffering=0) as file:
        pass_hole = make_hole_passer(file.fileno(), os.fstat(file.fileno()))
        assert pass_hole is not None
        return Cutter().cut(file.readinto, path.stat().st_size, pass_hole)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([5 * MIB, 9 * MIB + 12_345]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, MIB)), max_size=4),
    st.integers(0, 99),
)
def test_a_file_with_holes_is_cut_as_if_it_was_read(
    tmp_path: Path, size: int, pieces: list[tuple[float, int]], seed: int
) -> None:
    path, noise = tmp_path / "sparse", random.Random(seed)
    # A file that is made shorter and longer again keeps no data.
    with path.open("wb") as file:
        file.truncate(size)
        for where, length in pieces:
            at = int(where * (size - length))
            file.seek(at)
            file.write(noise.randbytes(length))
    assert cut_sparsely(path) == reference(path.read_bytes())


@pytest.mark.parametrize("size", [256 * KIB, MIB, 64 * MIB, 64 * MIB + 1])
def test_a_file_that_is_one_hole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "hole"
    with path.open("xb") as file:
        file.truncate(size)
    assert cut_sparsely(path) == reference(bytes(size))


def test_what_is_a_hole_to_nobody_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "full"
    path.write_bytes(bytes(MIB))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        assert make_hole_passer(file.fileno(), os.fstat(file.fileno())) is None
    with (tmp_path / "hole").open("xb+") as hole:
        hole.truncate(MIB)
        monkeypatch.delattr(os, "SEEK_DATA")
        assert make_hole_passer(hole.fileno(), os.fstat(hole.fileno())) is None
