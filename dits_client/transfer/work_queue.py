"""A bounded queue between threads; items that were taken but not finished can go back to its front."""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class WorkStopped(Exception):  # noqa: N818 - it is a signal between threads
    """The work was cancelled: no thread can put or take items any more."""


class Taker(Generic[Item]):
    """One that takes items; it knows those that are not finished, oldest first."""

    def __init__(self) -> None:
        self.unfinished: deque[Item] = deque()
        self.withdrawn = False


class WorkQueue(Generic[Item]):
    """Items in the order in which they were put; `put_item` waits while the queue is full."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False

    def put_item(self, item: Item) -> None:
        """Add an item; wait while the queue is full. Raises WorkStopped."""
        with self._changed:
            while len(self._items) >= self._limit and not self._stopped:
                self._changed.wait()
            if self._stopped:
                raise WorkStopped
            self._items.append(item)
            self._changed.notify_all()

    def take_item(self, taker: Taker[Item]) -> Item | None:
        """Remove and return the next item; None = the queue is at its end, or the taker has withdrawn."""
        with self._changed:
            while not (self._items or self._ended or self._stopped or taker.withdrawn):
                self._changed.wait()
            if self._stopped:
                raise WorkStopped
            if taker.withdrawn or not self._items:
                return None
            item = self._items.popleft()
            taker.unfinished.append(item)
            self._changed.notify_all()
            return item

    def finish_items(self, taker: Taker[Item], count: int) -> list[Item]:
        """Return the taker's oldest items, which are done, and forget them."""
        with self._changed:
            return [taker.unfinished.popleft() for _ in range(count)]

    def withdraw(self, taker: Taker[Item]) -> list[Item]:
        """Return the taker's unfinished items; it gets no more."""
        with self._changed:
            taker.withdrawn = True
            unfinished = list(taker.unfinished)
            taker.unfinished.clear()
            self._changed.notify_all()
            return unfinished

    def put_back(self, items: Sequence[Item]) -> None:
        """Add items at the front, however full the queue is, also at its end."""
        with self._changed:
            self._items.extendleft(reversed(items))
            self._changed.notify_all()

    def close(self) -> None:
        """End the queue: no more items will be put."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Cancel: every put and take, now and later, raises WorkStopped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
