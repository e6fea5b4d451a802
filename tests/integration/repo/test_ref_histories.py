"""Refs, commits and trees are after any calls as a simple model has them, and so is what is refused."""

from __future__ import annotations

import os

import pytest

from tests.support.api import Api
from tests.support.ref_machine import RefMachine


# Of the first 24 seeds, those with the most kinds of refusals.
@pytest.mark.parametrize("seed", [13, 24])
async def test_what_refs_are_after_many_calls(api: Api, seed: int) -> None:
    await (await RefMachine.open(api, seed)).run(60)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(20))
async def test_what_refs_are_after_very_many_calls(api: Api, part: int) -> None:
    first = int(os.environ.get("SOAK_SEED", "1000")) + 4 * part
    for seed in range(first, first + 4):
        await (await RefMachine.open(api, seed)).run(100)
