"""Directories as they are encoded: what differs is found without decoding what does not. Pure.

A directory may have 100,000 entries of which 10 differ. Equal stretches are compared as bytes, and of
their entries only the lengths are read; an entry becomes an object where the two differ.
"""

from __future__ import annotations

from collections.abc import Iterator

from dits.repo.v1.manifest_pb2 import Entry

# Bytes that are compared at once, at first; then ever more of them.
_FIRST_BLOCK = 256
_LARGEST_BLOCK = 1 << 20


def iterate_differences(old: bytes, new: bytes) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Yields what is at each name at which two directories differ, by name; None = nothing.

    Both are the canonical bytes of a manifest; none is an empty directory.
    """
    at_old = at_new = 0
    while at_old < len(old) or at_new < len(new):
        body_old, end_old = _locate(old, at_old)
        body_new, end_new = _locate(new, at_new)
        if old[at_old:end_old] == new[at_new:end_new]:
            common = _measure_common(old, at_old, new, at_new)
            step = _find_boundary(old, end_old, at_old + common) - at_old
            at_old += step
            at_new += step
            continue
        was = Entry.FromString(old[body_old:end_old]) if at_old < len(old) else None
        now = Entry.FromString(new[body_new:end_new]) if at_new < len(new) else None
        # The order of code points is the order of their UTF-8 bytes.
        if was is not None and now is not None and was.name != now.name:
            was, now = (was, None) if was.name < now.name else (None, now)
        yield was, now
        at_old = end_old if was is not None else at_old
        at_new = end_new if now is not None else at_new


def _locate(content: bytes, at: int) -> tuple[int, int]:
    """Returns where the body of the entry at a place begins and ends; the place twice at the end of all."""
    if at == len(content):
        return at, at
    # The tag of a field of bytes, the length in groups of seven bits, the lowest first, and the bytes.
    at += 1
    size, shift = content[at], 7
    while content[at] > 0x7F:
        at += 1
        size += (content[at] - 1) << shift
        shift += 7
    return at + 1, at + 1 + size


def _find_boundary(content: bytes, at: int, end: int) -> int:
    """Returns the last place up to `end` at which an entry ends, from `at` on, where one does."""
    boundary = at
    while at <= end:
        boundary = at
        if at == len(content):
            break
        size = content[at + 1]
        if size < 0x80:
            at += 2 + size
        elif content[at + 2] < 0x80:
            at += 3 + (size & 0x7F) + (content[at + 2] << 7)
        else:
            at = _locate(content, at)[1]
    return boundary


def _measure_common(old: bytes, at_old: int, new: bytes, at_new: int) -> int:
    """Returns how many bytes from two places on are equal."""
    start, size = at_old, _FIRST_BLOCK
    while (block := old[at_old : at_old + size]) == new[at_new : at_new + size] and block:
        at_old += len(block)
        at_new += len(block)
        size = min(2 * size, _LARGEST_BLOCK)
    # The first byte that differs is in this block, or one of the two ends in it.
    while size := size // 2:
        if len(half := old[at_old : at_old + size]) == size and half == new[at_new : at_new + size]:
            at_old += size
            at_new += size
    return at_old - start
