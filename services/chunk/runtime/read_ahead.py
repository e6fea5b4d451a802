"""Work that runs ahead of the consumer of its results, by a bounded distance."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Result = TypeVar("Result")


class ReadAhead(Generic[Result]):
    """The results of coroutines, in order, while up to `distance` of the next ones run already.

    Used with `async with`; its end cancels what still runs.
    """

    def __init__(self, work: Iterable[Coroutine[Any, Any, Result]], distance: int) -> None:
        self._work = iter(work)
        self._distance = distance
        self._running: deque[asyncio.Task[Result]] = deque()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        while len(self._running) <= self._distance:
            coroutine = next(self._work, None)
            if coroutine is None:
                break
            self._running.append(asyncio.create_task(coroutine))
        if not self._running:
            raise StopAsyncIteration
        result = await self._running[0]
        self._running.popleft()
        return result
