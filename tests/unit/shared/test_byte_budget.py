"""The byte budget: shares, turns, and that nothing leaks out of it."""

from __future__ import annotations

import asyncio
import random

import pytest

from shared.errors import DomainError, Reason
from shared.rpc.byte_budget import ByteBudget


async def test_one_holder_gets_a_share_and_others_the_rest() -> None:
    budget = ByteBudget(400, wait_seconds=0.01)
    with budget.hold("ada") as ada, budget.hold("bob") as bob:
        await ada.grow(100)
        with pytest.raises(DomainError) as caught:
            await ada.grow(1)
        assert caught.value.reason == Reason.ERROR_REASON_SERVER_BUSY
        assert caught.value.metadata == {"limit": "400"}
        await bob.grow(100)
        ada.release(50)
        await ada.grow(50)
    assert budget.held == 0


async def test_an_item_larger_than_a_share_is_let_in_by_itself() -> None:
    budget = ByteBudget(100, wait_seconds=0.01)
    with budget.hold("ada") as first, budget.hold("ada") as second, budget.hold("bob") as third:
        await first.grow(60)
        with pytest.raises(DomainError):
            await second.grow(1)
        await third.grow(40)
        assert not third.try_grow(1)
    with budget.hold("ada") as alone:
        await alone.grow(1_000)
    assert budget.held == 0


async def test_what_is_given_back_goes_to_those_who_wait() -> None:
    budget = ByteBudget(400)
    with budget.hold("ada") as ada, budget.hold("bob") as bob, budget.hold("cyn") as cyn:
        await ada.grow(300)
        await bob.grow(50)
        await cyn.grow(1)
        waiting = asyncio.create_task(bob.grow(50))
        await asyncio.sleep(0)
        assert not waiting.done()
        ada.release(100)
        await waiting


async def test_a_holder_at_its_share_does_not_stop_others() -> None:
    budget = ByteBudget(400)
    with budget.hold("ada") as ada, budget.hold("bob") as bob, budget.hold("cyn") as cyn:
        await ada.grow(100)
        await bob.grow(1)
        await cyn.grow(299)
        greedy = asyncio.create_task(ada.grow(50))
        modest = asyncio.create_task(bob.grow(50))
        await asyncio.sleep(0)
        cyn.release(100)
        await modest
        assert not greedy.done()
        greedy.cancel()
        await asyncio.gather(greedy, return_exceptions=True)
    assert budget.held == 0


async def test_nothing_leaks_whatever_ends_the_waiting() -> None:
    budget = ByteBudget(1_000, wait_seconds=0.005)
    chance = random.Random(7)

    async def use(holder: int) -> None:
        with budget.hold(holder) as hold:
            for _ in range(5):
                await hold.grow(chance.randrange(1, 200))
                await asyncio.sleep(chance.random() / 200)
                assert budget.held <= 1_000

    tasks = [asyncio.create_task(use(number % 6)) for number in range(200)]
    for task in chance.sample(tasks, 50):
        await asyncio.sleep(0.001)
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert budget.held == 0
    assert not budget._held_by
    assert not budget._waiting
    assert {type(outcome) for outcome in outcomes} <= {
        type(None),
        DomainError,
        asyncio.CancelledError,
    }
