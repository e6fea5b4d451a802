"""The inventory, and compaction, of several stores."""

from __future__ import annotations

from pathlib import Path

import pytest
from dits.common.v1.job_pb2 import CheckInventoryPayload, CompactPacksPayload
from google.protobuf.message import Message

from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, files, some
from tests.support.collection import do_maintenance
from tests.support.jobs import put
from tests.support.regions import wait_while, with_regions


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_regions(settings, tmp_path, collection_limit_percent=50)


async def test_what_is_refused_in_one_store_stops_no_other(
    api: Api, settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    shelf = await Shelf.open(api)
    await shelf.put(some())
    (path,) = files(settings).values()
    # Half of the objects here are unknown; all of those in the other regions.
    for at, root in enumerate((path.parents[1], tmp_path / "far" / "0", tmp_path / "attic" / "0")):
        (root / "ab").mkdir(parents=True, exist_ok=True)
        (root / "ab" / f"ab{at:030}").write_bytes(b"?")
    record = await do_maintenance(api, databases, CheckInventoryPayload())
    assert record["outcome"] == "refused"
    assert "1 of 1 objects in attic" in record["report"]
    assert "1 of 1 objects in far" in record["report"]
    rows = await api.fetch("SELECT bucket FROM object_deletions")
    assert [row["bucket"] for row in rows] == ["local"]
    # What waits for its deletion already is not unknown any more.
    (path.parents[1] / "ab" / f"ab{9:030}").write_bytes(b"?")
    record = await do_maintenance(api, databases, CheckInventoryPayload())
    assert "in local" not in record["report"]


@pytest.mark.parametrize("payload", [CheckInventoryPayload(), CompactPacksPayload()])
async def test_a_worker_that_does_not_name_a_store_leaves_it_to_others(
    api: Api, databases: Databases, payload: Message
) -> None:
    # Another server has begun to use it since this one was started.
    await api.fetch("INSERT INTO stores VALUES ('oslo', gen_random_uuid(), 'there')")
    await api.fetch("INSERT INTO packs (key, bucket, region) VALUES ('0/ab', 'oslo', 'oslo')")
    (database,) = databases.every()
    job_id = await put(database, payload)
    ended = "SELECT count(*) FROM maintenance_runs WHERE outcome IN ('completed', 'failed')"
    await wait_while(api, f"SELECT 1 - ({ended})")
    assert await api.value("SELECT outcome FROM maintenance_runs") == "failed"
    await wait_while(api, f"SELECT count(*) FROM jobs WHERE error IS NULL AND id = '{job_id}'")
    error = await api.value("SELECT error FROM jobs WHERE id = $1", job_id)
    assert "do not name oslo" in error
