"""A folder of very many files, through the client."""

from __future__ import annotations

import pytest
from dits.repo.v1.tree_service_pb2 import ListDirectoryRequest

from tests.support.api import Api
from tests.support.client import Person, write

FILES = 100_000
# What one changed file may add to the manifests.
ONE_CHANGE_BYTES = 20_000
STORED = "SELECT sum(pg_column_size(content)) FROM manifests"


@pytest.mark.soak
async def test_a_folder_of_100_000_files(api: Api, ada: Person, film: str) -> None:
    write(ada.home / "one", {f"shots/{n:06}.txt": b"%d" % n for n in range(FILES)})
    report = await ada.push("one", film)
    assert report.files == FILES
    request = ListDirectoryRequest(repository=film, path="shots", page_size=1_000)
    names: list[str] = []
    while True:
        page = await api.trees.ListDirectory(request, metadata=ada.account.auth)
        names += [entry.name for entry in page.entries]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert names == [f"{n:06}.txt" for n in range(FILES)]
    before = await api.value(STORED)
    write(ada.home / "one", {"shots/054321.txt": b"changed"})
    await ada.push("one")
    assert await api.value(STORED) - before <= ONE_CHANGE_BYTES
    got = await ada.clone(film, "two")
    assert got.files == FILES
    cloned = ada.home / "two" / "shots"
    assert sorted(path.name for path in cloned.iterdir()) == names
    assert (cloned / "054321.txt").read_bytes() == b"changed"
