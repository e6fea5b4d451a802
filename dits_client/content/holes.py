"""The holes of a sparse file are passed over: what is in them is known without reading."""

import errno
import os
import sys
from collections.abc import Callable
from typing import TypeAlias

# Moves the position of a file past a hole at an offset, by a multiple of so many bytes; returns how many.
PassHole: TypeAlias = Callable[[int, int], int]


def make_hole_passer(descriptor: int, found: os.stat_result) -> PassHole | None:
    """Return what passes over the holes of an open file; None = it has none, or nothing tells of them."""
    if sys.platform == "win32" or not hasattr(os, "SEEK_DATA"):
        return None
    if found.st_blocks * 512 >= found.st_size:
        return None

    def pass_hole(start: int, step: int) -> int:
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        passed = max(_find_data(descriptor, start, found.st_size) - start, 0) // step * step
        os.lseek(descriptor, start + passed if passed else before, os.SEEK_SET)
        return passed

    return pass_hole


def _find_data(descriptor: int, start: int, size: int) -> int:
    """Return where data begins at or after an offset; everything is data where the disk does not tell."""
    if sys.platform == "win32":
        return start
    try:
        return min(os.lseek(descriptor, start, os.SEEK_DATA), size)
    except OSError as error:
        # There is no more data; or, of another error, the disk does not tell.
        return size if error.errno == errno.ENXIO else start
