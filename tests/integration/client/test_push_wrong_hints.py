"""A push whose chunks the server wrongly calls present."""

from __future__ import annotations

import os

import pytest
from dits.repo.v1.repository_service_pb2 import Repository

from services.chunk.catalog import presence_filters
from services.chunk.catalog.presence_filters import PresenceFilters
from tests.support.api import Api
from tests.support.chunks import Shelf, digest
from tests.support.client import Person, read, write


@pytest.fixture
def is_patched() -> bool:
    """Yes: the presence filters of the chunk service."""
    return True


async def test_a_push_supplies_what_the_filter_wrongly_has(
    api: Api, ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_filters, "HOT_DIGESTS", 2)
    real = PresenceFilters._make_room
    built: list[int] = []

    def make_room(self: PresenceFilters) -> None:
        real(self)
        built.append(1)

    monkeypatch.setattr(PresenceFilters, "_make_room", make_room)
    identity = await api.value("SELECT id::text FROM repositories")
    shelf = Shelf(api, ada.account, Repository(id=identity))
    gone, kept = os.urandom(3000), os.urandom(3000)
    await shelf.put(gone, kept)
    while not built:
        assert await shelf.missing(gone, kept) == [False, False]
    # As if another server had swept the claim long after its time.
    await api.fetch("DELETE FROM chunk_refs WHERE chunk_hash = $1", digest(gone).hex())
    await api.fetch(
        "UPDATE chunks SET ref_count = 0, delete_after = now() WHERE hash = $1", digest(gone).hex()
    )
    assert await shelf.missing(gone, kept) == [False, False]
    write(ada.home / "one", {"gone": gone, "kept": kept})
    report = await ada.push("one", film)
    assert report.pushed
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")
