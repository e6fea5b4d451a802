"""Work that runs ahead of the consumer of its results, by bounded distance and bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

from shared.rpc.byte_budget import Hold

Result = TypeVar("Result")


class Step(NamedTuple, Generic[Result]):
    """A piece of work, and how many bytes its result holds."""

    size: int
    start: Callable[[], Awaitable[Result]]


class ReadAhead(Generic[Result]):
    """The results of steps, in order, while up to `distance` of the next ones run already.

    The bytes of a result are held from the beginning of its step until the next result is asked for.
    A step whose bytes are not free begins only when all before it are consumed, and waits for them.
    Used with `async with`; its end cancels what still runs.
    """

    def __init__(self, steps: Iterable[Step[Result]], distance: int, hold: Hold) -> None:
        self._steps = iter(steps)
        self._next = next(self._steps, None)
        self._distance = distance
        self._hold = hold
        self._running: deque[tuple[int, asyncio.Future[Result]]] = deque()
        self._consumed = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        running = [task for _, task in self._running]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._hold.release(self._consumed + sum(size for size, _ in self._running))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        self._hold.release(self._consumed)
        self._consumed = 0
        while self._next is not None and len(self._running) <= self._distance:
            size = self._next.size
            if not self._hold.try_grow(size):
                if self._running:
                    break
                await self._hold.grow(size)
            self._running.append((size, asyncio.ensure_future(self._next.start())))
            self._next = next(self._steps, None)
        if not self._running:
            raise StopAsyncIteration
        result = await self._running[0][1]
        self._consumed, _ = self._running.popleft()
        return result
