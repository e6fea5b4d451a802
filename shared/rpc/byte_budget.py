"""A budget of bytes for what a process holds for its callers: messages read ahead, pushes received."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from shared.errors import server_busy
from shared.runtime import metrics

# One caller may hold a quarter of the budget.
SHARE = 4
# How long a call waits for bytes.
WAIT_SECONDS = 10.0
RETRY_SECONDS = 5.0


class ByteBudget:
    """Bytes that may be held at once, in all and by one caller.

    A call that asks for more than is free waits in turn for a while and is then refused. One item that is
    larger than a share is let in by itself. A holder may have one `share`-th of `most`.
    """

    def __init__(self, most: int, wait_seconds: float | None = None, share: int = SHARE) -> None:
        self.most = most
        self.most_each = most // share
        self.held = 0
        self._held_by: Counter[object] = Counter()
        self._wait_seconds = WAIT_SECONDS if wait_seconds is None else wait_seconds
        self._waiting: deque[_Waiter] = deque()

    def export(self, name: str) -> None:
        """Shows the budget in the metrics."""
        metrics.BUDGET_LIMIT_BYTES.labels(name).set(self.most)
        metrics.BUDGET_HELD_BYTES.labels(name).set_function(lambda: self.held)
        metrics.BUDGET_WAITING.labels(name).set_function(lambda: len(self._waiting))

    def hold(self, holder: object) -> Hold:
        """Returns a hold for one call of an account, empty; to be used with `with`."""
        return Hold(self, holder)

    def fits(self, holder: object, size: int) -> bool:
        """Returns whether `size` more bytes are free for the holder."""
        held_by = self._held_by.get(holder, 0)
        has_room = self.held + size <= self.most or self.held == 0
        return has_room and (held_by + size <= self.most_each or held_by == 0)

    def add(self, holder: object, size: int) -> None:
        """Counts bytes, or gives them back if `size` is negative."""
        self.held += size
        self._held_by[holder] += size
        if self._held_by[holder] <= 0:
            del self._held_by[holder]
        if size < 0:
            self._wake()

    async def wait(self, holder: object, size: int) -> None:
        """Waits until the bytes are free and counts them. Raises SERVER_BUSY after a while."""
        waiter = _Waiter(holder, size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiter.granted
        except TimeoutError:
            self._give_up(waiter)
            text = "the server holds too many bytes for its callers"
            raise server_busy(text, RETRY_SECONDS, self.most) from None
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise

    def _give_up(self, waiter: _Waiter) -> None:
        """Forgets a waiter; the grant may have come at the same moment."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif not waiter.granted.cancelled():
            self.add(waiter.holder, -waiter.size)

    def _wake(self) -> None:
        """Grants what fits now, the longest waiting first; a holder at its share does not block others."""
        for waiter in list(self._waiting):
            if not waiter.granted.done() and self.fits(waiter.holder, waiter.size):
                self._waiting.remove(waiter)
                self.add(waiter.holder, waiter.size)
                waiter.granted.set_result(None)


@dataclass(eq=False, slots=True)
class _Waiter:
    """A hold that waits for bytes."""

    holder: object
    size: int
    granted: asyncio.Future[None]


class Hold:
    """What one call holds of the budget; given back when its block ends."""

    __slots__ = ("_budget", "_holder", "_size")

    def __init__(self, budget: ByteBudget, holder: object) -> None:
        self._budget = budget
        self._holder = holder
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release(self._size)

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return self._size

    async def grow_to(self, size: int) -> None:
        """Holds as many bytes in all, or the share of one caller if that is less.

        Raises SERVER_BUSY if they do not become free in time.
        """
        more = min(size, self._budget.most_each) - self._size
        if more > 0:
            await self.grow(more)

    async def grow(self, size: int) -> None:
        """Holds more bytes. Raises SERVER_BUSY if they do not become free in time."""
        if not self.try_grow(size):
            await self._budget.wait(self._holder, size)
            self._size += size

    def try_grow(self, size: int) -> bool:
        """Holds more bytes if they are free; returns whether they were."""
        if not self._budget.fits(self._holder, size):
            return False
        self._budget.add(self._holder, size)
        self._size += size
        return True

    def release(self, size: int) -> None:
        """Gives bytes back."""
        self._budget.add(self._holder, -size)
        self._size -= size
