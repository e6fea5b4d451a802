"""Lists of bounded size, as requests and messages take them."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def _weigh_nothing(_: object) -> int:
    return 0


def _count_one(_: object) -> int:
    return 1


def split_into_batches(
    items: Iterable[Item],
    *,
    max_count: int = sys.maxsize,
    max_bytes: int = sys.maxsize,
    measure: Callable[[Item], int] = _weigh_nothing,
    count: Callable[[Item], int] = _count_one,
) -> Iterator[list[Item]]:
    """Yield the items in lists, each within both limits; an item above a limit has a list of its own.

    `measure` returns the bytes of an item; `count` returns what it counts for, 1 by default.
    """
    batch: list[Item] = []
    size = number = 0
    for item in items:
        item_size, item_number = measure(item), count(item)
        if batch and (size + item_size > max_bytes or number + item_number > max_count):
            yield batch
            batch, size, number = [], 0, 0
        batch.append(item)
        size += item_size
        number += item_number
    if batch:
        yield batch
