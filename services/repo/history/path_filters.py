"""Filters of changed paths: what a commit has certainly left alone. Pure.

A filter is a Bloom filter of the paths that differ between a commit and its first parent, and of all the
directories that these are in. It has the shape that Git's commit graph has: 10 bits for each path, 7 of
them set, and beyond 512 paths it says nothing. It is stored as one byte for the format and the bits in
whole words of 8 bytes, bit 0 first; no bits at all stand for too many paths.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from blake3 import blake3

FORMAT = 1
MAX_PATHS = 512
BITS_PER_PATH = 10
BITS_SET = 7
WORD_BITS = 64
# Masks that are remembered: of 640 bytes at most.
MAX_MASKS = 20_000

# The filter of a commit with too many changes: every path may be among them.
MATCHES_ALL = bytes([FORMAT])


def encode_filter(paths: Collection[str]) -> bytes:
    """Returns the filter of these paths, of files and directories, none of them ending in `/`."""
    if len(paths) > MAX_PATHS:
        return MATCHES_ALL
    words = max(1, -(-len(paths) * BITS_PER_PATH // WORD_BITS))
    bits = 0
    for path in paths:
        bits |= _mask(path, words * WORD_BITS)
    return MATCHES_ALL + bits.to_bytes(words * WORD_BITS // 8, "little")


class PathMasks:
    """Some paths as they would stand in filters of each size. Safe in one thread at a time."""

    def __init__(self) -> None:
        self._masks: dict[tuple[str, int], int] = {}

    def select(self, stored: bytes | None, paths: Iterable[str]) -> list[str]:
        """Returns those of the paths that a commit with this filter, or with none, may have changed."""
        if not stored or stored[0] != FORMAT or stored == MATCHES_ALL:
            return list(paths)
        size = (len(stored) - 1) * 8
        bits = int.from_bytes(stored[1:], "little")
        if not bits:
            return []
        masks = self._masks
        found = []
        for path in paths:
            mask = masks.get((path, size))
            if mask is None:
                if len(masks) >= MAX_MASKS:
                    masks.clear()
                mask = masks[path, size] = _mask_with_directories(path, size)
            if bits & mask == mask:
                found.append(path)
        return found


def _mask_with_directories(path: str, size: int) -> int:
    """Returns the bits of a path and of the directories above it."""
    parts = path.rstrip("/").split("/")
    mask = 0
    for depth in range(1, len(parts) + 1):
        mask |= _mask("/".join(parts[:depth]), size)
    return mask


def _mask(path: str, size: int) -> int:
    """Returns the bits of one path in a filter of `size` bits."""
    digest = blake3(path.encode()).digest(length=16)
    first = int.from_bytes(digest[:8], "little")
    step = int.from_bytes(digest[8:], "little") | 1
    mask = 0
    for number in range(BITS_SET):
        mask |= 1 << (first + number * step) % size
    return mask
