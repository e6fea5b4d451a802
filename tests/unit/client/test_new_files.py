"""New files get their names when the disk has them: no power is cut, but each step is written down."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import File

from dits_client.checkout.durable import MOST_SINGLE
from dits_client.checkout.new_files import FileTarget, NewFiles, OverwriteGuard
from dits_client.disk.descriptors import DescriptorDirectory
from dits_client.errors import ClientError
from dits_client.workspace.index import UNKNOWN_STAT
from dits_client.workspace.safe_paths import SafePaths


@pytest.fixture
def new(tmp_path: Path) -> Iterator[NewFiles]:
    with closing(SafePaths(tmp_path)) as safe_paths:
        yield NewFiles(safe_paths, OverwriteGuard({}, {}, force=False))


def write(new: NewFiles, path: str, content: bytes, mode: int = 0o644) -> None:
    def fill(descriptor: int) -> bytes:
        os.write(descriptor, content)
        return blake3(content).digest()

    file = File(hash=blake3(content).digest(), size=len(content), mode=mode)
    new.write_file(FileTarget(path, file), fill)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """What was asked of the disk, in its order."""
    found: list[tuple[str, object]] = []

    def note(
        name: str, real: Callable[..., Any], tell: Callable[..., object]
    ) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            found.append((name, tell(*arguments, **options)))
            return real(*arguments, **options)

        return call

    inode = os.stat
    monkeypatch.setattr(os, "fsync", note("sync", os.fsync, lambda d: os.fstat(d).st_ino))
    where = lambda name, _, src_dir_fd, **__: inode(name, dir_fd=src_dir_fd).st_ino  # noqa: E731
    monkeypatch.setattr(os, "rename", note("rename", os.rename, where))
    real = DescriptorDirectory.sync_file_system
    together = note("sync all", real, lambda _: None)
    monkeypatch.setattr(DescriptorDirectory, "sync_file_system", together)
    return found


def test_a_few_files_are_synchronised_one_by_one(
    tmp_path: Path, new: NewFiles, steps: list[tuple[str, object]]
) -> None:
    for name in ("a", "b/c"):
        write(new, name, name.encode())
    assert (steps, [path.name for path in tmp_path.glob("[!.]*")]) == ([], ["b"])
    new.place()
    inodes = [(tmp_path / name).stat().st_ino for name in ("a", "b/c")]
    assert steps == [("sync", x) for x in inodes] + [("rename", x) for x in inodes]
    assert new.stats.keys() == {"a", "b/c"}
    assert UNKNOWN_STAT not in new.stats.values()


def test_many_files_are_synchronised_together(
    tmp_path: Path, new: NewFiles, steps: list[tuple[str, object]]
) -> None:
    for number in range(MOST_SINGLE + 1):
        write(new, f"f{number:02}", b"x")
    new.place()
    assert [name for name, _ in steps] == ["sync all"] + ["rename"] * (MOST_SINGLE + 1)
    assert len(new.stats) == MOST_SINGLE + 1


def test_what_nobody_may_read_is_synchronised_too(
    tmp_path: Path, new: NewFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mode says so; root, who may, is told so here."""
    real, inode = os.open, os.stat

    def open_as_user(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if not flags & os.O_CREAT and not stat.S_ISDIR(inode(path, **options).st_mode):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *rest, **options)

    write(new, "a", b"x", mode=0o200)
    with monkeypatch.context() as strict:
        strict.setattr(os, "open", open_as_user)
        new.place()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o200


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_disk_that_fails_leaves_nothing_half_done(
    tmp_path: Path, new: NewFiles, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    write(new, "a", b"new")
    new.write_link("l", "a")
    with monkeypatch.context() as broken:
        broken.setattr(os, step, fail)
        with pytest.raises(ClientError, match='cannot write "a": input/output error'):
            new.place()
    assert list(tmp_path.iterdir()) == []
    assert new.stats == {}


def test_new_files_have_the_time_of_the_disk(
    tmp_path: Path, new: NewFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be another one than that of this machine, and is no tick: a later change gets another."""
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    (tmp_path / "before").touch()
    write(new, "a", b"1")
    (tmp_path / "after").touch()
    new.place()
    before, found, after = (
        (tmp_path / name).stat().st_mtime_ns for name in ("before", "a", "after")
    )
    assert before < found <= after + 1_000
