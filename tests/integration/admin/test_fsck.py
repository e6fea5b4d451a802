"""`dits-server fsck`: what it finds, and what it repairs."""

from __future__ import annotations

import pytest
from dits.common.v1.job_pb2 import ReleaseHistoryPayload

from dits_client.content import chunking
from services.admin.fsck import Report, check_everything
from services.repo.background.history_release import HistoryRelease
from shared.db.pool import Database, Databases
from shared.formats.profiles import Profile
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.branches import Branches
from tests.support.chunks import files
from tests.support.client import NOISE, Person, write
from tests.support.collection import do_maintenance
from tests.support.counters import assert_counters
from tests.support.jobs import do_job, wait_for
from tests.support.release import AGE, pass_time
from tests.support.trees import save


@pytest.fixture
async def pushed(
    api: Api, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository with a large file, whose chunks are in recipes, and two directories of small ones."""
    monkeypatch.setattr(chunking, "PROFILES", (Profile(0, 64, 256, 1024),))
    with Person(api, await api.account("ada"), tmp_path_factory.mktemp("ada")) as ada:
        repository = await api.repository(ada.account, "film")
        write(ada.home / "one", {"film": NOISE[:20_000], "a/x": b"same", "b/y": b"same"})
        await ada.push("one", f"ada/{repository.name}")


CHECKS = [
    ("nothing", "SELECT 1", 0, 0),
    ("chunks", "UPDATE chunks SET ref_count = ref_count + 1", None, None),
    ("packs", "UPDATE packs SET live = live + 1", None, None),
    (
        "queue",
        """INSERT INTO object_deletions (bucket, key, not_before)
           SELECT bucket, key, now() + interval '1 day' FROM packs""",
        None,
        None,
    ),
    ("assets", "UPDATE assets SET ref_count = ref_count + 1 WHERE size = 4", 1, 0),
    ("references", "UPDATE chunk_refs SET ref_count = ref_count + 1", None, 0),
]


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize(
    ("what", "damage", "faults", "repairable"), CHECKS, ids=lambda each: str(each)[:10]
)
async def test_wrong_counters_are_found_and_repaired(
    api: Api,
    settings: Settings,
    database: Database,
    what: str,
    damage: str,
    faults: int | None,
    repairable: int | None,
) -> None:
    await api.fetch(damage)

    async def check(*, repair: bool = False) -> Report:
        return await check_everything(database, settings, repair=repair)

    found = await check(repair=True)
    assert (found.repositories, found.directories) == (1, 3)
    if faults is not None:
        assert len(found.faults) == faults
    else:
        assert found.faults
    assert found.repairable == (len(found.faults) if repairable is None else repairable)
    again = await check()
    assert len(again.faults) == len(found.faults) - found.repairable
    assert str(again).splitlines()[-1].startswith("checked 1 repositories with 3 directories")


@pytest.mark.usefixtures("pushed")
async def test_missing_rows_and_objects_are_found(
    api: Api, settings: Settings, database: Database
) -> None:
    async def check() -> list[str]:
        return (await check_everything(database, settings, repair=False)).faults

    await api.fetch(
        "DELETE FROM chunk_refs WHERE chunk_hash = (SELECT min(chunk_hash) FROM chunk_refs)"
    )
    assert sum("there is no reference" in fault for fault in await check()) == 1
    for path in files(settings).values():
        path.write_bytes(path.read_bytes()[:-1])
    packs = await api.value("SELECT count(*) FROM packs")
    assert sum("cut short" in fault for fault in await check()) == packs
    await api.fetch(
        "UPDATE manifests SET content = 'x' WHERE hash = (SELECT max(hash) FROM manifests)"
    )
    assert sum(fault.startswith("directory ") for fault in await check()) == 1


async def test_nothing_is_wrong_while_a_large_file_is_released(
    api: Api, settings: Settings, database: Database
) -> None:
    """Its recipes are read, and its chunks released, by the next collection."""
    on = await Branches.open(api)
    base = await on.save("1")
    await on.create("look", base)
    films: dict[str, bytes | str] = {"film": NOISE[:20_000], "copy/film": NOISE[:12_000]}
    head = await save(api, on.who, on.repository, films, parent=base, branch="look")
    await on.delete("look", head)
    await pass_time(api, on.repository.id)
    await do_job(database, ReleaseHistoryPayload(), HistoryRelease(AGE).handle)

    async def check() -> tuple[int, int, list[str]]:
        report = await check_everything(database, settings, repair=False)
        counted = "SELECT count(*) FROM chunk_refs WHERE ref_count > 0"
        lists = "SELECT count(*) FROM released_lists"
        return await api.value(lists), await api.value(counted), report.faults

    # 20 chunks, of which the copy has 12, two recipes, and the file of the first commit.
    assert await check() == (2, 20 + 2 + 1, [])
    await do_maintenance(api, Databases(database))
    assert await check() == (0, 1, [])
    # The statistics that pushes do not keep are counted again, by jobs.
    for row in await api.fetch("SELECT id FROM jobs WHERE job_type = 'recount_statistics'"):
        await wait_for(database, row["id"], "completed")
    query = "SELECT commit_count, file_count, logical_bytes, chunk_count FROM repository_stats"
    assert [tuple(row) for row in await api.fetch(query)] == [(1, 1, 1, 1)]
    await assert_counters(api.dsn)
