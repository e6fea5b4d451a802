"""MergeBranches after merges that cross: of what the common ancestors differ in, nothing goes unasked."""

from __future__ import annotations

import pytest

from services.repo.merge.common_tree import MAX_DEPTH
from tests.support.api import Api
from tests.support.histories import History
from tests.support.merges import Merges


@pytest.mark.parametrize("height", [MAX_DEPTH + 2, MAX_DEPTH + 3])
async def test_merges_that_cross_too_often_lose_nothing_unasked(api: Api, height: int) -> None:
    # What one side has and the other has not may be new or deleted: nobody knows without their ancestors.
    who = await api.account()
    repository = await api.repository(who)
    history = History()
    root = history.add({"kept": "0", "x": "0", "d/y": "0"})
    without, with_all = {"kept": "0"}, {"kept": "0", "x": "0", "d/y": "0"}
    left, right = history.add(without, root), history.add({**with_all, "r": "0"}, root)
    for step in range(height):
        left, right = (
            history.add({**without, "l": f"{step}"}, left, right),
            history.add({**with_all, "r": f"{step}"}, right, left),
        )
    await history.push(api, who, repository, right)
    merges = Merges(api, who, repository, root)
    found = await merges.merge(source=left, validate_only=True)
    assert len(found.merge_bases) == 2
    assert {"d", "x"} <= {conflict.path for conflict in found.conflicts}


async def test_of_three_common_ancestors_each_is_compared_with_all_before(api: Api) -> None:
    # Two of them come from a commit that the third, which comes first, does not know.
    who = await api.account()
    repository = await api.repository(who)
    history = History()
    root = history.add({"kept": "0"})
    long = root
    for step in range(3):
        long = history.add({"kept": "0", "long": f"{step}"}, long)
    middle = history.add({"kept": "0", "y": "0"}, root)
    gone = history.add({"kept": "0", "one": "0"}, middle)
    here = history.add({"kept": "0", "y": "0", "two": "0"}, middle)
    merged = {"kept": "0", "long": "2", "one": "0", "two": "0"}
    # The merge took the deletion, and ours has the file again since.
    ours = history.add({**merged, "y": "0", "ours": "0"}, long, gone, here)
    theirs = history.add({**merged, "theirs": "0"}, long, gone, here)
    await history.push(api, who, repository, ours)
    merges = Merges(api, who, repository, root)
    done = await merges.merge(source=theirs)
    assert done.merge_bases[0] == long
    assert len(done.merge_bases) == 3
    assert await merges.files() == {**merged, "y": "0", "ours": "0", "theirs": "0"}


async def test_a_directory_that_one_side_deleted_where_ancestors_differ_is_a_conflict(
    api: Api,
) -> None:
    who = await api.account()
    repository = await api.repository(who)
    history = History()
    root = history.add({"kept": "0"})
    left, right = history.add({"d/y": "0", "l": "0"}, root), history.add({"d": "0"}, root)
    ours = history.add({"d/y": "0", "l": "1"}, left, right)
    theirs = history.add({"l": "0", "r": "1"}, right, left)
    await history.push(api, who, repository, ours)
    found = await Merges(api, who, repository, root).merge(source=theirs, validate_only=True)
    assert "d" in [conflict.path for conflict in found.conflicts]
