"""Long lists cut into what one statement or call takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

# Rows that one statement changes or looks up at most.
ROWS = 10_000


def split_batches(items: Sequence[Item], size: int = ROWS) -> Iterator[list[Item]]:
    """Returns the items in order, in lists of at most `size`."""
    return (list(items[at : at + size]) for at in range(0, len(items), size))
