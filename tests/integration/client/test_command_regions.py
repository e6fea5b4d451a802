"""`dits regions`: where the chunks of a repository lie, and what of a commit is missing where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, some
from tests.support.client import Person, Run, write
from tests.support.regions import set_policy, settle, with_regions


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_regions(settings, tmp_path)


async def test_what_of_a_commit_is_missing_where(
    api: Api, ada: Person, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await api.api_token(ada.account, "repo:admin", "user:read")
    monkeypatch.setenv("DITS_TOKEN", token.token)
    shelf = Shelf(api, ada.account, await api.repository(ada.account, "film"))
    away = (tmp_path / "far").rename(tmp_path / "away")
    told = await run("repo", "settings", "ada/film", "--regions", "local", "far")
    assert told == "Changed the rules of ada/film.\n"
    assert "far local" in await run("repo", "settings", "ada/film")
    # A file with a recipe, too.
    write(ada.home / "work", {"shots/one": some(), "long": some(3_000_000), "empty": b""})
    report = await ada.push("work", "ada/film")
    await api.fetch("DELETE FROM due_copies WHERE region = 'local'")
    told = await run("regions", "--repository", "ada/film")
    lines = [line.split() for line in told.splitlines()]
    assert lines[1] == ["attic"]
    assert lines[2][:4] == ["far", "yes", lines[2][2], lines[2][2]]
    assert "of 2 files" in told
    assert "not in far: long\nnot in far: shots/one\n" in told
    assert lines[3] == ["local", "here", "yes", "nothing"]
    away.rename(tmp_path / "far")
    assert "dits jobs watch" in await run("regions", "--repository", "ada/film", "--replicate")
    await settle(api)
    found = json.loads(await run("regions", "--repository", "ada/film", "--json"))
    assert found["commit"] == report.commit
    assert [(each["name"], each["missing"]) for each in found["regions"]] == [
        ("attic", None),
        ("far", {"chunks": 0, "bytes": 0, "files": []}),
        ("local", {"chunks": 0, "bytes": 0, "files": []}),
    ]
    await set_policy(shelf)
    assert "missing" in await run("regions", "--repository", "ada/film")
