"""The collection of garbage: claims end, chunks die, packs and objects go."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from dits.chunk.v1.maintenance_run_pb2 import MaintenanceReport
from dits.common.v1.job_pb2 import CheckInventoryPayload, CollectGarbagePayload
from dits.repo.v1.manifest_pb2 import Recipe
from google.protobuf import json_format
from structlog.testing import capture_logs

from services.repo.repositories.purging import purge_repository
from shared.db.pool import Databases
from shared.formats.recipes import encode_recipe
from shared.runtime.config import Settings
from shared.runtime.metrics import REGISTRY
from tests.support.api import Api
from tests.support.chunks import Shelf, assert_stored, digest, files, some
from tests.support.collection import (
    do_maintenance,
    end_claims,
    exhaust,
    hexes,
    insert_run,
    reap,
    reference,
    release,
)
from tests.support.stores import open_store


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No graces: what can go goes at once."""
    changed = {
        "chunk_grace_seconds": 0,
        "reader_grace_seconds": 0,
        "collection_limit_percent": 60,
    }
    return settings.model_copy(update=changed)


async def collect(api: Api, databases: Databases, confirmed: int = 0) -> MaintenanceReport:
    """Does a run, which completes, and returns its report."""
    payload = CollectGarbagePayload(confirmed_chunk_count=confirmed)
    record = await do_maintenance(api, databases, payload)
    assert record["outcome"] == "completed"
    return json_format.Parse(record["report"], MaintenanceReport())


async def test_what_nobody_refers_to_goes(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    kept, shared, claimed, single = (some() for _ in range(4))
    await shelf.put(kept, shared, claimed)
    await shelf.put(single)
    await elsewhere.put(shared, claimed)
    assert await reference(shelf, kept, shared) == []
    report = await collect(api, databases)
    assert (report.dropped_claim_count, report.deleted_chunk_count) == (0, 0)

    # Two repositories lose their claims on one chunk; a claim that was renewed stays.
    await end_claims(api)
    assert await elsewhere.missing(shared) == [False]
    report = await collect(api, databases)
    assert report.dropped_claim_count == 3
    assert await shelf.missing(kept, shared, claimed, single) == [False, False, True, True]
    assert (report.total_chunk_count, report.deleted_chunk_count) == (4, 2)
    assert (report.deleted_bytes, report.freed_pack_count, report.freed_bytes) == (2000, 1, 1000)
    await assert_stored(api, settings)
    # The pack of the upload that stored nothing new, and the freed one.
    assert await reap(databases, settings) == 2
    assert len(files(settings)) == 1
    await shelf.get(kept, shared)

    # References that are released are claims again.
    await release(shelf, kept, shared)
    assert (await collect(api, databases)).dropped_claim_count == 0
    await end_claims(api)
    report = await collect(api, databases, confirmed=2)
    assert (report.dropped_claim_count, report.deleted_chunk_count) == (3, 2)
    await reap(databases, settings)
    assert files(settings) == {}
    for table in ("chunks", "chunk_refs", "packs", "object_deletions"):
        assert await api.value(f"SELECT count(*) FROM {table}") == 0


async def test_many_claims_and_chunks_go_in_batches(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    data = [some(40) for _ in range(2100)]
    for each in (shelf, elsewhere):
        await each.put(*data)
    await end_claims(api)
    # All at one moment, as no clock would have it.
    await api.fetch("UPDATE chunk_refs SET claimed_at = now() - interval '2 days'")
    report = await collect(api, databases, confirmed=2100)
    assert (report.dropped_claim_count, report.deleted_chunk_count) == (4200, 2100)
    assert "4,200 claims" in report.summary
    await assert_stored(api, settings)


async def test_implausible_runs_are_refused(api: Api, databases: Databases) -> None:
    shelf = await Shelf.open(api)
    data = [some(100) for _ in range(10)]
    await shelf.put(*data)
    assert await reference(shelf, *data[:3]) == []
    await end_claims(api)
    for confirmed in (0, 6):
        with capture_logs() as logs:
            payload = CollectGarbagePayload(confirmed_chunk_count=confirmed)
            record = await do_maintenance(api, databases, payload)
        assert record["outcome"] == "refused"
        assert "7 of 10 chunks" in record["report"]
        assert "error" in [entry["log_level"] for entry in logs]
        assert await api.value("SELECT count(*) FROM chunks") == 10
    assert (await collect(api, databases, confirmed=7)).deleted_chunk_count == 7
    assert (await collect(api, databases)).deleted_chunk_count == 0
    await shelf.get(*data[:3])


async def test_one_run_at_a_time(api: Api, databases: Databases) -> None:
    await insert_run(api, "collect_garbage")
    assert await do_maintenance(api, databases) == {}
    with pytest.raises(asyncpg.UniqueViolationError):
        await insert_run(api, "collect_garbage")
    # Nothing is heard of it any more, or its job is at work no more.
    await api.fetch("UPDATE maintenance_runs SET renewed_at = now() - interval '3 minutes'")
    await collect(api, databases)
    job_id = await insert_run(api, "collect_garbage")
    await api.fetch(
        """UPDATE jobs SET status = 'completed', completed_at = now(), lease_token = NULL,
                           locked_until = NULL
           WHERE id = $1""",
        job_id,
    )
    await collect(api, databases)
    rows = await api.fetch("SELECT outcome FROM maintenance_runs ORDER BY started_at")
    assert [row["outcome"] for row in rows] == ["interrupted", "completed"] * 2


async def test_the_purge_of_a_repository_releases_its_chunks(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf, elsewhere = await Shelf.open(api), await Shelf.open(api)
    own, shared = [some() for _ in range(3)], some()
    await shelf.put(*own, shared)
    await elsewhere.put(shared)
    await reference(shelf, *own, shared)
    (database,) = databases.every()
    await api.fetch(
        "UPDATE repositories SET deleted_at = now() - interval '31 days' WHERE id = $1::uuid",
        shelf.repo.id,
    )
    await exhaust(purge_repository(database, UUID(shelf.repo.id), timedelta(0)))
    assert (await collect(api, databases, confirmed=3)).deleted_chunk_count == 3
    assert await api.value("SELECT hash FROM chunks") == hexes([shared])[0]
    await elsewhere.get(shared)
    await assert_stored(api, settings)


async def test_an_inventory_beside_a_strange_database_deletes_nothing(
    api: Api, settings: Settings, databases: Databases
) -> None:
    shelf = await Shelf.open(api)
    store = open_store(settings)
    await shelf.put(some())
    for name in ("aa", "bb"):
        writer = store.open_writer("0/" + name * 16)
        await writer.write_parts([b"nobody's"])
        await writer.seal()
    # Two of three objects, then two of four.
    for outcome, queued in (("refused", 0), ("completed", 2)):
        record = await do_maintenance(api, databases, CheckInventoryPayload())
        assert record["outcome"] == outcome
        report = json_format.Parse(record["report"], MaintenanceReport())
        assert report.unknown_object_count == 2
        assert await api.value("SELECT count(*) FROM object_deletions") == queued
        await shelf.put(some())


@pytest.mark.parametrize("wrong", [1, 2, 4])
async def test_wrong_counters_of_packs_do_not_stop_it(
    api: Api, settings: Settings, databases: Databases, wrong: int
) -> None:
    shelf = await Shelf.open(api)
    kept, *gone = (some() for _ in range(3))
    await shelf.put(kept, *gone)
    await shelf.put(some())
    await reference(shelf, kept)
    await end_claims(api)
    # Two rows leave the first pack, one stays: the counter is lower than that, equal, or too high.
    await api.fetch("UPDATE packs SET live = $1 WHERE live = 3", wrong)
    with capture_logs() as logs:
        assert (await collect(api, databases, confirmed=9)).deleted_chunk_count == 3
    alarms = [entry for entry in logs if entry["event"] == "live counters of packs are wrong"]
    assert len(alarms) == (0 if wrong == 4 else 1)
    assert await api.value("SELECT live FROM packs") == (2 if wrong == 4 else 1)
    if wrong != 4:
        await assert_stored(api, settings)
    await shelf.get(kept)


async def test_lists_that_cannot_be_released_do_not_stop_it(api: Api, databases: Databases) -> None:
    shelf = await Shelf.open(api)
    garbage, other = some(), some()
    await shelf.put(garbage)
    await end_claims(api)
    recipe = encode_recipe(Recipe(chunk_hashes=digest(other), chunk_sizes=[len(other)]))
    await shelf.put(recipe, other)
    # Of the first the chunks have no references that it could give back, and another one is no list.
    lists = "INSERT INTO released_lists (repo_id, recipe_hashes) VALUES ($1::uuid, $2)"
    for each in (recipe, other):
        await api.fetch(lists, shelf.repo.id, digest(each))
    with capture_logs() as logs:
        assert (await collect(api, databases)).dropped_claim_count == 1
    errors = [each["event"] for each in logs if each["log_level"] == "error"]
    assert errors == ["list not released"] * 2
    assert await api.value("SELECT count(*) FROM released_lists") == 2


async def test_runs_are_counted(api: Api, databases: Databases) -> None:
    def read(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0

    def read_all() -> list[float]:
        return [
            read("dits_maintenance_runs_total", kind="collect_garbage", outcome="completed"),
            read("dits_maintenance_chunks_total", what="deleted"),
            read("dits_maintenance_bytes_total", what="deleted"),
            read("dits_maintenance_bytes_total", what="freed"),
        ]

    shelf = await Shelf.open(api)
    await shelf.put(some(), some())
    await end_claims(api)
    before = read_all()
    await collect(api, databases, confirmed=9)
    counted = [now - then for now, then in zip(read_all(), before, strict=True)]
    assert counted == [1, 2, 2000, 2000]
