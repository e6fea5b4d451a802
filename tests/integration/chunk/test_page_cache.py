"""What of the objects of a local store the system keeps in memory."""

from __future__ import annotations

import os
from ctypes import CDLL, addressof, c_char, c_size_t, c_ubyte, c_void_p
from mmap import ACCESS_COPY, PAGESIZE, mmap
from pathlib import Path

import pytest

from services.chunk.stores.local_store import LocalStore
from services.chunk.stores.page_cache import WINDOW_BYTES, ReadPages, WrittenPages

KEY = "0/" + "ab" * 16
PART = os.urandom(1 << 20)
PARTS = 4 * WINDOW_BYTES // len(PART)
LARGE = PARTS * len(PART)


def cached_share(path: Path) -> float:
    """Returns the share of a file's pages that are in memory, for mincore(2)."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_COPY) as view:
        pages = (len(view) + PAGESIZE - 1) // PAGESIZE
        found, start = (c_ubyte * pages)(), c_char.from_buffer(view)
        assert CDLL(None).mincore(c_void_p(addressof(start)), c_size_t(len(view)), found) == 0
        del start
        return sum(page & 1 for page in found) / pages


def write_plainly(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(PARTS):
            file.write(PART)
        file.flush()
        os.fsync(file.fileno())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_plainly(path := tmp_path / "trial")
    assert cached_share(path) > 0.9
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if cached_share(path) > 0.1:
        pytest.skip("files lie in memory here, as in a tmpfs")
    return tmp_path


async def write(folder: Path, parts: int) -> tuple[LocalStore, Path]:
    store = LocalStore(folder / "chunks", "here", "here")
    await store.create("5f2f4f5e-0000-4000-8000-000000000001")
    writer = store.open_writer(KEY)
    for _ in range(parts):
        await writer.write_parts([PART[:100], PART[100:]])
    await writer.seal()
    return store, next((folder / "chunks" / "0").rglob("ab" * 16))


async def test_a_large_object_leaves_memory_when_it_is_written(folder: Path) -> None:
    store, path = await write(folder, PARTS)
    assert cached_share(path) < 0.1
    assert path.read_bytes() == PART * PARTS
    assert await store.measure_object(KEY) == LARGE


async def test_a_small_object_stays(folder: Path) -> None:
    _, path = await write(folder, 1)
    assert cached_share(path) > 0.9


async def test_what_is_read_once_leaves_memory(folder: Path) -> None:
    store, path = await write(folder, PARTS)
    steps = range(0, LARGE, 2 * len(PART))
    for _ in range(2):  # One client soon after the other.
        for offset in steps:
            ranges = [(offset + at, len(PART)) for at in (0, len(PART))]
            read = await store.read_ranges(KEY, ranges, lambda views: b"".join(views))
            assert read == PART * 2
    assert cached_share(path) < 0.1


def test_what_is_read_again_later_stays(folder: Path) -> None:
    pages, path = ReadPages(one_reader=0.0), folder / "trial"
    for share in (0.0, 1.0):
        read_all(path, pages)
        assert cached_share(path) == pytest.approx(share, abs=0.1)


def test_much_later_it_is_read_for_the_first_time_again(folder: Path) -> None:
    pages, path = ReadPages(one_reader=0.0, forgotten=0.0), folder / "trial"
    for _ in range(2):
        read_all(path, pages)
        assert cached_share(path) < 0.1


def test_a_file_that_takes_no_advice_is_left_alone() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="Illegal seek"):
            os.posix_fadvise(writing, 0, 0, os.POSIX_FADV_DONTNEED)
        pages = WrittenPages()
        pages.add(writing, WINDOW_BYTES)
        pages.drop_rest(writing)
        ReadPages().drop("pipe", reading, 0, WINDOW_BYTES)
    finally:
        os.close(reading)
        os.close(writing)


def read_all(path: Path, pages: ReadPages) -> None:
    with path.open("rb") as file:
        assert len(os.pread(file.fileno(), LARGE, 0)) == LARGE
        pages.drop("trial", file.fileno(), 0, LARGE)
