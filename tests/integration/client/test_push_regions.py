"""A push waits until what it brings lies in as many regions as the repository wants."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dits_client.errors import RemoteError
from dits_client.progress import Progress
from dits_client.push import region_wait
from services.repo.push import region_copies
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, some
from tests.support.client import Person, write
from tests.support.regions import places, set_policy, with_regions


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return with_regions(settings, tmp_path)


class Warned(Progress):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


async def test_a_push_waits_for_the_copies(
    api: Api, ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(api, ada.account, await api.repository(ada.account, "film"))
    await set_policy(shelf, "local", "far", min_regions=2)
    first, second = some(), some()
    write(ada.home / "work", {"first": first})
    await ada.push("work", "ada/film")
    assert await places(api, first) == ["local", "far"]
    # Nobody comes back while the region is away; nothing is uploaded again when it is there.
    away = (tmp_path / "far").rename(tmp_path / "away")
    monkeypatch.setattr(region_wait, "LONGEST_STANDSTILL", 0.0)
    write(ada.home / "work", {"second": second})
    warned = Warned()
    with pytest.raises(RemoteError, match="not in 2 regions yet"):
        await ada.push("work", progress=warned)
    assert [text.partition(":")[0] for text in warned.texts] == [
        "waiting for copies of 1 chunk in 2 regions",
        "no copy was made for a while",
    ]
    away.rename(tmp_path / "far")
    monkeypatch.undo()
    # Only what the push asks for itself: the schedule comes later than its patience ends.
    monkeypatch.setattr(region_copies, "DELAY", timedelta(0))
    report = await ada.push("work")
    assert report.chunks_sent == 0
    assert await places(api, second) == ["local", "far"]
