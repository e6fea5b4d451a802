"""Work that is done at once where it is light, and in a thread where it would hold up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# A way to a thread and back costs 0.1 ms of processor time, and the wait for a turn of the interpreter.
STEPS_ON_LOOP = 500
# What is around a piece of light work, in steps.
_STEPS_AROUND = 50


class _Turn:
    """What this process has done on its loop since light work last let others have a turn."""

    steps = 0


async def do_weighed(
    steps: int,
    work: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Returns what `work` returns, which takes so many steps at most: some microseconds each.

    Much light work in a row does not hold up the event loop: now and then others have a turn.
    """
    if steps > STEPS_ON_LOOP:
        return await asyncio.to_thread(work, *args, **kwargs)
    _Turn.steps += steps + _STEPS_AROUND
    if _Turn.steps > 2 * STEPS_ON_LOOP:
        _Turn.steps = 0
        await asyncio.sleep(0)
    return work(*args, **kwargs)
