"""Folders that cannot be written: what only reads works there."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Run, write


@pytest.fixture
def is_frozen(film_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is as on a disk that is mounted to be read: tests run as root, whom no mode stops."""
    write(film_folder, {"a": b"changed", "new": b"3"})
    real = os.open

    def refuse(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and film_folder.as_posix() in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.usefixtures("is_frozen")
async def test_what_only_reads_works_in_a_folder_that_cannot_be_written(run: Run) -> None:
    told = await run("status")
    assert ["changed", "a"] in [line.split() for line in told.splitlines()]
    assert "a" in await run("diff")
    told = await run("push", fails=1)
    assert told.startswith("dits: cannot write ")
    assert told.endswith("read-only file system\n")
