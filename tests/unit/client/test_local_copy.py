"""Copies of files on one disk, with and without shared blocks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import File

from dits_client.checkout.equal_files import COPIED_BYTES, find_copies
from dits_client.checkout.local_copy import copy_content
from dits_client.checkout.new_files import FileTarget

CONTENT = os.urandom(100_000) + bytes(1 << 20) + os.urandom(5)


def refuse(number: int) -> Callable[[int, int, int], int]:
    """A file system that cannot share blocks."""

    def ioctl(target: int, request: int, source: int) -> int:
        raise OSError(number, os.strerror(number))

    return ioctl


def share(target: int, request: int, source: int) -> int:
    """A file system that can: the target is equal at once. The source changes right after."""
    assert request == 0x40049409
    os.pwrite(target, os.pread(source, 10 << 20, 0), 0)
    os.pwrite(source, b"changed", 0)
    return 0


@pytest.mark.parametrize(
    "ioctl",
    [None, share, *map(refuse, (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY))],
)
def test_a_copy_is_equal_and_a_file_of_its_own(
    tmp_path: Path, ioctl: Callable[[int, int, int], int] | None
) -> None:
    one, two, done = tmp_path / "one", tmp_path / "two", list[int]()
    one.write_bytes(CONTENT)
    with one.open("r+b") as source, two.open("w+b") as target:
        found = copy_content(source.fileno(), target.fileno(), done.append, ioctl)
    assert found == blake3(CONTENT).digest()
    assert two.read_bytes() == CONTENT
    assert sum(done) == len(CONTENT)
    with one.open("r+b") as source:
        source.write(b"an edit")
    assert two.read_bytes() == CONTENT
    assert one.stat().st_ino != two.stat().st_ino


def test_a_full_disk_is_no_reason_to_copy(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(CONTENT)
    with (
        (tmp_path / "one").open("rb") as source,
        (tmp_path / "two").open("w+b") as target,
        pytest.raises(OSError, match="No space"),
    ):
        copy_content(source.fileno(), target.fileno(), list[int]().append, refuse(errno.ENOSPC))


def test_large_files_that_are_equal_are_fetched_once() -> None:
    big, small = COPIED_BYTES, COPIED_BYTES - 1
    files = [
        ("a", b"1", big),
        ("b", b"1", big),
        ("c", b"2", small),
        ("d", b"2", small),
        ("e", b"3", big),
    ]
    targets = [FileTarget(path, File(hash=name, size=size)) for path, name, size in files]
    first, copies = find_copies(targets, {b"3": "old/e"})
    assert [target.path for target in first] == ["a", "c", "d"]
    assert [(target.path, source) for target, source in copies] == [("b", "a"), ("e", "old/e")]
