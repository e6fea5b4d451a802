"""What takes few steps is done where it is asked for, and all else in a thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from shared.runtime.weighed_work import STEPS_ON_LOOP, do_weighed


@pytest.mark.parametrize(("steps", "is_here"), [(0, True), (STEPS_ON_LOOP + 1, False)])
async def test_work_is_done_here_or_in_a_thread(steps: int, is_here: bool) -> None:
    assert (await do_weighed(steps, threading.get_ident) == threading.get_ident()) is is_here


@pytest.mark.parametrize("steps", [0, STEPS_ON_LOOP + 1])
async def test_a_failure_comes_back(steps: int) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await do_weighed(steps, int, "x")


async def test_much_light_work_in_a_row_lets_others_have_a_turn() -> None:
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(done)
            await asyncio.sleep(0)

    done = 0
    task = asyncio.create_task(other())
    for _ in range(100):
        done += await do_weighed(100, int, 1)
    task.cancel()
    assert len(set(turns)) >= 10
