"""Files of a checkout: never outside the folder, in bounded batches, from chunks that are there."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import File
from hypothesis import given
from hypothesis import strategies as st

from dits_client.checkout.apply_plan import sort_targets, split_into_jobs
from dits_client.checkout.local_chunks import LocalChunks
from dits_client.checkout.new_files import FileTarget
from dits_client.content.chunking import ChunkRef
from dits_client.disk import disks
from dits_client.disk.directory import Directory, Disk
from dits_client.disk.paths import PathDisk
from dits_client.transfer.download import BATCH_BYTES, BATCH_CHUNKS, split_chunks
from dits_client.workspace.safe_paths import BlockedError, SafePaths
from tests.support.disks import BOTH, use_disk


@pytest.fixture
def disk() -> Disk:
    return disks.CURRENT


@pytest.fixture
def places(tmp_path: Path, disk: Disk) -> Iterator[SafePaths]:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    with use_disk(disk), closing(SafePaths(tmp_path / "root")) as found:
        yield found


def make_file(directory: Directory) -> None:
    directory.finish_file(directory.create_file("f"), "f", 0o644)


@BOTH
def test_directories_are_made_and_pruned(tmp_path: Path, places: SafePaths) -> None:
    inner = places.open_directory("a/b/c", create=True)
    make_file(inner)
    (tmp_path / "root" / "a" / "other").touch()
    assert places.get_stat("a/b/c/f") is not None
    assert places.get_stat("a/b/c/none") is None
    assert places.get_stat("none/at/all") is None
    places.remove_file("a/b/c/f")
    assert not (tmp_path / "root" / "a" / "b").exists()
    places.remove_file("a/b/c/f")
    places.open_directory("a/b", create=True)
    assert (tmp_path / "root" / "a" / "b").is_dir()


@BOTH
@pytest.mark.parametrize("path", ["way", "way/on", "way/on/further"])
def test_links_are_no_way_out(tmp_path: Path, places: SafePaths, path: str) -> None:
    (tmp_path / "outside" / "on").mkdir()
    (tmp_path / "outside" / "file").touch()
    (tmp_path / "root" / "way").symlink_to(tmp_path / "outside")
    with pytest.raises(BlockedError, match='"way" is not a folder'):
        places.open_directory(path, create=True)
    assert places.get_stat("way/file") is None
    places.remove_file("way/file")
    assert (tmp_path / "outside" / "file").exists()
    assert not (tmp_path / "outside" / "on" / "further").exists()


def test_a_link_that_takes_the_place_of_an_open_directory_leads_nowhere(
    tmp_path: Path, places: SafePaths
) -> None:
    inner = places.open_directory("a/b", create=True)
    (tmp_path / "root" / "a").rename(tmp_path / "root" / "moved")
    (tmp_path / "root" / "a").symlink_to(tmp_path / "outside")
    make_file(inner)
    assert (tmp_path / "root" / "moved" / "b" / "f").exists()
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("disk", [PathDisk()], ids=["paths"])
def test_where_only_paths_are_each_step_looks_for_such_a_link(
    tmp_path: Path, places: SafePaths
) -> None:
    inner = places.open_directory("a/b", create=True)
    make_file(inner)
    (tmp_path / "outside" / "b").mkdir()
    (tmp_path / "outside" / "b" / "f").write_bytes(b"theirs")
    (tmp_path / "root" / "a").rename(tmp_path / "root" / "moved")
    (tmp_path / "root" / "a").symlink_to(tmp_path / "outside")
    steps: list[Callable[[], object]] = [
        inner.scan,
        lambda: inner.get_stat("f"),
        lambda: inner.enter("f"),
        lambda: inner.make("g"),
        lambda: inner.remove_directory("f"),
        lambda: inner.open_file("f"),
        lambda: inner.create_file("g"),
        lambda: inner.set_mode("f", 0o600),
        lambda: inner.rename("f", "g"),
        lambda: inner.remove_file("f"),
        lambda: inner.read_link("f"),
        lambda: inner.write_link("f", "g"),
    ]
    for step in steps:
        with pytest.raises(NotADirectoryError):
            step()
    assert places.get_stat("a/b/f") is None
    places.remove_file("a/b/f")
    assert [path.name for path in (tmp_path / "outside" / "b").iterdir()] == ["f"]
    assert (tmp_path / "outside" / "b" / "f").read_bytes() == b"theirs"


def test_many_directories_need_few_descriptors(places: SafePaths) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for number in range(300):
        places.open_directory(f"d{number}/inner", create=True)
    assert len(os.listdir("/proc/self/fd")) < before + 80  # noqa: PTH208


def test_local_chunks_are_checked(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"onetwo")
    local = LocalChunks(tmp_path)
    one, two = (blake3(part).digest() for part in (b"one", b"two"))
    local.add_file("a", [ChunkRef(one, 3), ChunkRef(two, 3)])
    local.add_file("gone", [ChunkRef(blake3(b"x").digest(), 1)])
    assert local.find_chunk(ChunkRef(two, 3)) == b"two"
    (tmp_path / "a").write_bytes(b"oneTWO")
    assert local.find_chunk(ChunkRef(one, 3)) == b"one"
    assert local.find_chunk(ChunkRef(two, 3)) is None
    assert local.find_chunk(ChunkRef(blake3(b"x").digest(), 1)) is None
    assert local.find_chunk(ChunkRef(b"?" * 32, 1)) is None


@given(st.lists(st.integers(1, BATCH_BYTES), max_size=30))
def test_batches_are_bounded_and_complete(sizes: list[int]) -> None:
    wanted = [ChunkRef(at.to_bytes(32, "big"), size) for at, size in enumerate(sizes)]
    parts = list(split_chunks(wanted))
    assert [chunk for part in parts for chunk in part] == wanted
    for part in parts:
        assert 1 <= len(part) <= BATCH_CHUNKS
        assert len(part) == 1 or sum(chunk.size for chunk in part) <= BATCH_BYTES


@given(st.lists(st.integers(0, 2 * BATCH_BYTES), max_size=30))
def test_jobs_are_many_small_files_or_one_large(sizes: list[int]) -> None:
    files = [FileTarget(str(at), File(size=size)) for at, size in enumerate(sizes)]
    parts = list(split_into_jobs(files))
    assert [target for part in parts for target in part] == files
    for part in parts:
        assert len(part) == 1 or sum(target.file.size for target in part) <= BATCH_BYTES


def test_equal_files_are_fetched_together() -> None:
    files = [
        FileTarget(path, File(hash=path[-1].encode())) for path in ("d/x", "a/x", "c/y", "b/y")
    ]
    assert [target.path for target in sort_targets(files)] == ["a/x", "d/x", "b/y", "c/y"]
