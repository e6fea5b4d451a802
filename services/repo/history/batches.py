"""Long lists cut into what one statement or call takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

# Rows that one statement changes or looks up at most.
ROWS = 10_000


def split_batches(items: Sequence[Item], size: int = ROWS) -> Iterator[list[Item]]:
    """Returns the items in order, in lists of at most `size`."""
    return (list(items[at : at + size]) for at in range(0, len(items), size))


def split_by_size(
    items: Iterable[tuple[Item, int]], most: int, most_bytes: int
) -> Iterator[list[Item]]:
    """Returns items, which come with their sizes, in lists of at most `most` and about `most_bytes`."""
    batch: list[Item] = []
    total = 0
    for item, size in items:
        batch.append(item)
        total += size
        if len(batch) == most or total >= most_bytes:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
