"""GetEntries and ListPaths: many paths at once, and all that is below a directory."""

from __future__ import annotations

import random
from uuid import uuid4

import pytest
from dits.repo.v1 import tree_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import Repository
from grpc import StatusCode

from services.repo.history import manifests
from services.repo.trees.kept_directories import LARGEST_BYTES, MOST_BYTES, KeptDirectories
from tests.support.api import Account, Api, refused
from tests.support.statements import StatementLog
from tests.support.trees import save


def list_all(files: dict[str, bytes | str], prefix: str = "") -> list[str]:
    """All paths below a directory, each directory before what is in it."""
    listed: list[str] = []
    names = sorted({p[len(prefix) :].split("/")[0] for p in files if p.startswith(prefix)})
    for name in names:
        listed.append(prefix + name)
        if prefix + name not in files:
            listed += list_all(files, f"{prefix}{name}/")
    return listed


async def list_paths(
    api: Api, who: Account, repository: Repository, size: int, path: str = ""
) -> list[pb.PathEntry]:
    request = pb.ListPathsRequest(repository=repository.id, page_size=size, path=path)
    listed: list[pb.PathEntry] = []
    while True:
        page = await api.trees.ListPaths(request, metadata=who.auth)
        assert len(page.entries) == size or not page.next_page_token
        listed += page.entries
        request.page_token = page.next_page_token
        if not request.page_token:
            return listed


async def test_many_paths_are_read_at_once(api: Api) -> None:
    ada, eve = await api.account(), await api.account()
    repository = await api.repository(ada)
    deep = "/".join("abcdefghij")
    files: dict[str, bytes | str] = {deep: b"deep", "a/x": b"1" * 1500, "l": "a/x"}
    files |= {f"many/{n}": str(n).encode() for n in range(950)}
    head = await save(api, ada, repository, files)
    paths = [deep, "nothing", "l", "a/x", "a", "a/x/below", "l/below", deep, "e\u0301"]
    paths += [f"many/{n}" for n in range(950)]
    request = pb.GetEntriesRequest(repository=repository.id, paths=paths, with_stored=True)
    found = await api.trees.GetEntries(request, metadata=ada.auth)
    assert found.commit_hash == head
    assert [e.path for e in found.entries] == [*paths[:8], "\u00e9", *paths[9:]]
    assert [e.HasField("entry") for e in found.entries[:9]] == [1, 0, 1, 1, 1, 0, 0, 1, 0]
    assert [e.entry.size for e in found.entries[:4]] == [4, 0, 0, 1500]
    assert found.entries[4].entry.size == 1504
    assert found.entries[3].stored.file.chunk_sizes == [1000, 500]
    assert all(e.entry.size == len(str(n)) for n, e in enumerate(found.entries[9:]))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.trees.GetEntries(
            pb.GetEntriesRequest(repository=repository.id), metadata=ada.auth
        )
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        wrong = pb.GetEntriesRequest(repository=repository.id, paths=["a", "b/../c"])
        await api.trees.GetEntries(wrong, metadata=ada.auth)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        many = pb.GetEntriesRequest(repository=repository.id, paths=["a"] * 1001)
        await api.trees.GetEntries(many, metadata=ada.auth)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.trees.GetEntries(request, metadata=eve.auth)


async def test_directories_that_were_met_are_not_read_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    deep = "/".join("abcdefghij")
    head = await save(api, ada, repository, {deep: b"deep", "a/b/x": b"x"})
    log = StatementLog(monkeypatch)
    request = pb.GetEntryRequest(repository=repository.id, path=deep)
    sizes = [(await api.trees.GetEntry(request, metadata=ada.auth)).entry.size for _ in range(2)]
    assert sizes == [4, 4]
    assert log.statements.count(manifests.Q.manifest_forms) == 10
    await save(api, ada, repository, {deep: b"longer", "a/b/x": b"x"}, parent=head)
    read = log.statements.count(manifests.Q.manifest_forms)
    assert (await api.trees.GetEntry(request, metadata=ada.auth)).entry.size == 6
    request.revision = head
    assert (await api.trees.GetEntry(request, metadata=ada.auth)).entry.size == 4
    assert log.statements.count(manifests.Q.manifest_forms) == read + 10


def test_what_was_not_asked_for_for_longest_is_kept_no_more() -> None:
    kept, repository_id = KeptDirectories(), uuid4()
    content = bytes(LARGEST_BYTES)
    kept.add(repository_id, "large", content + b"1")
    assert kept.get(repository_id, "large") is None
    most = MOST_BYTES // LARGEST_BYTES
    for number in range(most):
        kept.add(repository_id, str(number), content)
        assert kept.get(repository_id, "0") == content
    assert kept.get(repository_id, "1") is None
    assert kept.get(repository_id, str(most - 1)) == content
    assert kept.get(uuid4(), "0") is None


async def test_links_too_long_for_one_message_come_in_several_calls(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    files: dict[str, bytes | str] = {str(n): "x" * 4096 for n in range(1000)}
    await save(api, ada, repository, files)
    paths = sorted(files)
    request = pb.GetEntriesRequest(repository=repository.id, paths=paths, with_stored=True)
    found = await api.trees.GetEntries(request, metadata=ada.auth)
    assert 300 < len(found.entries) < 1000
    assert found.ByteSize() < 4 << 20
    del request.paths[: len(found.entries)]
    more = await api.trees.GetEntries(request, metadata=ada.auth)
    assert [e.path for e in (*found.entries, *more.entries)] == paths[
        : len(found.entries) + len(more.entries)
    ]


async def test_all_paths_are_listed_in_pages_of_any_size(api: Api) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    rng = random.Random(3)
    files: dict[str, bytes | str] = {}
    for _ in range(60):
        parts = [rng.choice(["a", "b", "a.x", "ü"]) for _ in range(rng.randrange(1, 6))]
        files["/".join([*parts, str(rng.randrange(3))])] = b"1"
    await save(api, ada, repository, files)
    expected = list_all(files)
    for size in (1, 7, 1000):
        listed = await list_paths(api, ada, repository, size)
        assert [entry.path for entry in listed] == expected
    below = await list_paths(api, ada, repository, 3, "a")
    assert [entry.path for entry in below] == list_all(files, "a/")
    (alone,) = await list_paths(api, ada, repository, 1, next(iter(files)))
    assert (alone.path, alone.entry.size) == (next(iter(files)), 1)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await list_paths(api, ada, repository, 3, "nowhere")
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        wrong = pb.ListPathsRequest(repository=repository.id, page_token="AAAA")
        await api.trees.ListPaths(wrong, metadata=ada.auth)
