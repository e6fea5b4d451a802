"""Merges and moves of the same branches at the same moment."""

from __future__ import annotations

import pytest
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.merges import BASE, Merges
from tests.support.rivals import other_transaction, together


async def test_of_several_merges_into_one_branch_one_wins(api: Api) -> None:
    merges = await Merges.open(api)
    main = await merges.save({**BASE, "a": b"2"})
    for number in range(3):
        name = f"s{number}"
        await merges.branch(name, merges.first)
        await merges.save({**BASE, f"new{number}": b"1"}, branch=name)
    won, reasons = await together(*(merges.merge(main, source=f"s{number}") for number in range(3)))
    assert (won, reasons) == (1, ["HEAD_MOVED"] * 2)
    assert (await merges.parents(await merges.head()))[0] == main


async def test_a_merge_that_is_sent_twice_at_once_happens_once(api: Api) -> None:
    merges = await Merges.open(api)
    main = await merges.save({**BASE, "a": b"2"})
    await merges.save({**BASE, "b": b"2"}, branch="side")
    request_id = "7e0f9f86-9d2c-4f2e-8d2e-0f4b6f1d2c3a"
    won, _ = await together(*(merges.merge(main, request_id=request_id) for _ in range(3)))
    assert won == 3
    assert await api.value("SELECT count(*) FROM commits") == 4


@pytest.mark.parametrize("commits", [True, False])
async def test_a_branch_that_moves_during_the_merge(api: Api, commits: bool) -> None:
    merges = await Merges.open(api)
    main = await merges.save({**BASE, "a": b"2"})
    theirs = await merges.save({**BASE, "b": b"2"}, branch="side")
    move = f"UPDATE branches SET head_commit = '{merges.first}' WHERE name = 'main'"
    async with other_transaction(api, move, commits=commits):
        if commits:
            with refused(StatusCode.ABORTED, "HEAD_MOVED") as refusal:
                await merges.merge(main, expected_source_head=theirs)
            assert refusal.metadata["current"] == merges.first
        else:
            await merges.merge(main, expected_source_head=theirs)
