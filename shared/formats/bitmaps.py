"""Bitmaps in responses: which items of a list are missing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def mark_missing(
    items: Sequence[bytes | str], present: Collection[bytes | str]
) -> tuple[bytes, int]:
    """Returns a bit for each item, 1 if it is not among those present, and the number of these.

    The first item is the lowest bit of the first byte.
    """
    bitmap = bytearray((len(items) + 7) // 8)
    count = 0
    for position, item in enumerate(items):
        if item not in present:
            bitmap[position >> 3] |= 1 << (position & 7)
            count += 1
    return bytes(bitmap), count
