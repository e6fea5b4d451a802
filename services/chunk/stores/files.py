"""Files and directories, as stores use them."""

from __future__ import annotations

import errno
import itertools
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from services.chunk.stores.blob_store import join_ranges

_MAX_PARTS = 1024  # IOV_MAX


def write_all(file: int, parts: Sequence[bytes | memoryview]) -> None:
    """Appends bytes to a file."""
    for start in range(0, len(parts), _MAX_PARTS):
        some = parts[start : start + _MAX_PARTS]
        written = os.writev(file, some)
        if written < sum(map(len, some)):
            # Rare: the disk is about to be full, and the next attempt says so.
            rest = memoryview(b"".join(some))[written:]
            while rest:
                rest = rest[os.write(file, rest) :]


def list_names(path: Path) -> list[str]:
    """Returns the names in a directory; none if there is no such directory."""
    try:
        return [entry.name for entry in path.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def make_directory(path: Path) -> None:
    """Makes a directory and its parents, durably."""
    missing = list(itertools.takewhile(lambda parent: not parent.exists(), (path, *path.parents)))
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        sync_directory(parent.parent)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def create_file(path: Path, text: str) -> None:
    """Makes a small file, durably and at once; leaves one that is there as it is."""
    draft = _write_draft(path, text)
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    sync_directory(path.parent)


def replace_file(path: Path, text: str) -> None:
    """Gives a small file new content, durably and at once."""
    _write_draft(path, text).replace(path)
    sync_directory(path.parent)


def read_file_ranges(
    path: Path, ranges: Sequence[tuple[int, int]], after: Callable[[int, int, int], None]
) -> list[memoryview]:
    """Returns the bytes at each (offset, length), fewer at the file's end, none where it is damaged.

    `after` is called with the open file, offset and length of what was read in one go.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        parts: list[memoryview] = []
        for run in join_ranges(ranges):
            start, end = run[0][0], sum(run[-1])
            read = _read_range(file, start, end - start)
            if len(read) == end - start:
                parts += (read[at - start : at - start + length] for at, length in run)
            else:
                parts += (_read_range(file, at, length) for at, length in run)
            after(file, start, end - start)
        return parts
    finally:
        os.close(file)


def _read_range(file: int, offset: int, length: int) -> memoryview:
    try:
        return memoryview(os.pread(file, length, offset))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # What is not there fails the verification, and the other chunks of the request are sent.
        return memoryview(b"")


def _write_draft(path: Path, text: str) -> Path:
    """Returns a durable file beside a path."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft
