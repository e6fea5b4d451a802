"""A task that waits can be cancelled at any moment."""

from __future__ import annotations

import asyncio

import pytest

from shared.runtime.waiting import wait_for_event


@pytest.mark.parametrize("steps", range(5))
async def test_a_cancellation_that_comes_with_the_event_is_not_swallowed(steps: int) -> None:
    event = asyncio.Event()
    task = asyncio.create_task(wait_for_event(event, 10))
    await asyncio.sleep(0)
    event.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.cancel():
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        assert await task


async def test_it_says_whether_the_event_came() -> None:
    event = asyncio.Event()
    assert not await wait_for_event(event, 0.001)
    event.set()
    assert await wait_for_event(event, 10)
