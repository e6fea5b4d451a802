"""Filters of changed paths: computed with the push, or afterwards."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.repo.background import filter_backfill
from services.repo.background.filter_backfill import FilterBackfill
from services.repo.history.filter_computation import TreeChange, compute_filters
from services.repo.history.path_filters import MATCHES_ALL, encode_filter
from services.repo.push import preparation
from shared.db.pool import Database, Databases
from tests.support.api import Api
from tests.support.histories import History, make_random


async def read_filters(api: Api) -> dict[str, bytes | None]:
    """The filters as they are stored."""
    return dict(await api.fetch("SELECT hash, changed_paths FROM commits"))


def expected_filter(history: History, commit: str) -> bytes:
    """The filter of what differs from the first parent, directories included."""
    made = history.commits[commit]
    before = history.commits[made.parents[0]].files if made.parents else {}
    paths = {
        "/".join(path.split("/")[:depth])
        for path in {*before, *made.files}
        if before.get(path) != made.files.get(path)
        for depth in range(1, path.count("/") + 2)
    }
    return encode_filter(paths)


async def test_the_filters_of_a_push_are_those_of_the_background(
    api: Api, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "MAX_FILTERS", 90)
    monkeypatch.setattr(filter_backfill, "BATCH", 7)
    ada = await api.account()
    repository = await api.repository(ada)
    history = make_random(5, 100)
    await history.push(api, ada, repository, list(history.commits)[-1])
    expected = {commit: expected_filter(history, commit) for commit in history.commits}
    pushed = await read_filters(api)
    assert {commit: pushed[commit] for commit in list(history.commits)[:90]} == {
        commit: expected[commit] for commit in list(history.commits)[:90]
    }
    await api.fetch("UPDATE commits SET changed_paths = NULL WHERE hash < 'c'")
    database = await Database.connect(dsn, service="test", size=2)
    await FilterBackfill(Databases(database)).fill_all()
    await database.close()
    assert await read_filters(api) == expected


async def test_a_push_onto_what_is_stored_gets_its_filter(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    history = History()
    files = {f"d{n % 3}/{n}": "0" for n in range(30)}
    first = history.add(files)
    await history.push(api, ada, repository, first)
    stored = set(history.commits)
    second = history.add({**files, "d1/4": "1", "new/x/y": "1"}, first)
    await history.push_more(api, ada, repository, first, stored)
    filters = await read_filters(api)
    assert filters[second] == encode_filter({"d1", "d1/4", "new", "new/x", "new/x/y"})


async def test_a_commit_of_very_many_changes_has_a_filter_that_says_nothing(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    history = History()
    first = history.add({f"{n % 20}/{n}": "0" for n in range(600)})
    await history.push(api, ada, repository, first)
    assert await read_filters(api) == {first: MATCHES_ALL}


async def test_a_commit_whose_trees_are_gone_is_left_out(api: Api, dsn: str) -> None:
    database = await Database.connect(dsn, service="test", size=1)
    change = TreeChange(None, "ab" * 32)
    try:
        assert await compute_filters(database, UUID(int=1), {}, {"c": change}) == {}
    finally:
        await database.close()


async def test_a_damaged_manifest_keeps_no_other_commit_waiting(api: Api, dsn: str) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    history = make_random(6, 20)
    await history.push(api, ada, repository, list(history.commits)[-1])
    expected: dict[str, bytes | None] = {c: expected_filter(history, c) for c in history.commits}
    damaged = await api.value("SELECT tree_hash FROM commits ORDER BY hash LIMIT 1")
    await api.fetch("UPDATE commits SET changed_paths = NULL")
    await api.fetch("UPDATE manifests SET content = 'damaged' WHERE hash = $1", damaged)
    concerned = await api.fetch(
        """SELECT c.hash FROM commits c
           LEFT JOIN commits p ON p.hash = c.parent_hashes[1]
           WHERE $1 IN (c.tree_hash, p.tree_hash) AND c.tree_hash IS DISTINCT FROM p.tree_hash""",
        damaged,
    )
    database = await Database.connect(dsn, service="test", size=2)
    await FilterBackfill(Databases(database)).fill_all()
    await database.close()
    expected |= {row["hash"]: MATCHES_ALL for row in concerned}
    assert await read_filters(api) == expected
