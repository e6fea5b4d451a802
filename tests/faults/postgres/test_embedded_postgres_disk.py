"""The embedded PostgreSQL on a disk without room."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.support.embedded_postgres import (
    copy_folder,
    query,
)


@pytest.fixture
def small_disk(scratch: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a disk of so many MiB."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        disk = scratch / "disk"
        disk.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}m", "none", disk],
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip(f"no disk can be mounted here: {done.stderr!r}")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", disk], check=True)


def _fill(ballast: Path) -> None:
    """Let a file grow until its disk is full."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_disk_too_small_leaves_nothing_half_made(small_disk: Callable[[int], Path]) -> None:
    folder = small_disk(24) / "data"
    with pytest.raises(EmbeddedPostgresError, match=r"^No database .*No space left on device\.$"):
        EmbeddedPostgres(folder).start()
    assert {path.name for path in folder.iterdir()} <= {"lock"}


def test_a_full_disk_is_told_and_freeing_it_helps(
    made: Path, small_disk: Callable[[int], Path]
) -> None:
    disk = small_disk(128)
    folder = copy_folder(made, disk / "data")
    # So that there is no room even for the reason.
    (folder / "postgres.log").unlink()
    ballast = disk / "ballast"
    _fill(ballast)
    with pytest.raises(EmbeddedPostgresError, match="did not start: the disk is full"):
        EmbeddedPostgres(folder).start()
    ballast.unlink()
    with EmbeddedPostgres(folder) as server:
        assert query(server.dsn, "SELECT 1") == 1
