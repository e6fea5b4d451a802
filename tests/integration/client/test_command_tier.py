"""`dits tier`, and what commands say of archived chunks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dits.common.v1.job_pb2 import ApplyLifecyclePayload

from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import some
from tests.support.client import Run, read, write
from tests.support.collection import do_maintenance
from tests.support.tiers import with_tiers


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_tiers(settings, tmp_path / "tiers")


async def test_a_film_goes_to_the_archive_and_comes_back(
    api: Api,
    databases: Databases,
    run: Run,
    film_folder: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # So many chunks that a list of them stands in a chunk of its own, which stays hot.
    write(film_folder, {"large": some(3_000_000)})
    await run("push", "-m", "large")
    assert "to be read at once" in await run("tier", "check")
    await run("repo", "settings", "ada/film", "--glacier-days", "7")
    shown = await run("repo", "settings", "ada/film")
    assert "infrequent after 30 days, glacier after 7 days, deep_archive after 365 days" in shown
    await api.fetch("UPDATE chunk_refs SET last_seen_at = now() - interval '8 days'")
    await do_maintenance(api, databases, ApplyLifecyclePayload())
    told = await run("tier", "check", "large")
    assert "To restore them takes 0 seconds: dits tier restore" in told
    assert "3.0 MB" in told
    told = await run("clone", "ada/film", str(home / "again"), fails=True)
    assert "dits tier restore" in told
    assert "To be restored: " in await run("tier", "restore", "--dry-run", "large")
    told = await run("tier", "restore", "--wait")
    assert told.startswith("Being restored: ")
    assert "to be read at once" in await run("tier", "check", "large", "shots")
    with monkeypatch.context() as there:
        there.chdir(home / "again")
        await run("pull")
    assert read(home / "again") == read(film_folder)
    assert "restored" in await run("tier", "set", "--class", "standard", "--wait")
    assert await api.value("SELECT count(*) FROM chunks WHERE storage_class <> 'standard'") == 0
    told = await run("tier", "set", "--class", "infrequent", "shots")
    assert told == "Now infrequent: 1 chunk.\n"
    told = await run("tier", "set", "--class", "infrequent", "shots", "--json")
    assert json.loads(told) == {"changed": 0}
    assert 'no "nothing"' in await run("tier", "check", "nothing", fails=True)
    await run("repo", "settings", "ada/film", "--default-lifecycle")
    assert "glacier after 90 days" in await run("repo", "settings", "ada/film")
