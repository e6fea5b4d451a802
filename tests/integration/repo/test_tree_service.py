"""Trees: directories, entries, manifests, and all of a tree as a stream."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from dits.repo.v1 import tree_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Manifest
from dits.repo.v1.repository_service_pb2 import Repository
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from shared.formats.canonical import content_hash
from tests.support.api import Account, Api, refused
from tests.support.trees import build, save

FILES: dict[str, bytes | str] = {
    "b/c/deep": b"x" * 1500,
    "b/two": b"2",
    "a": b"1",
    "link": "b/two",
}
TOP = [
    ("a", pb.ENTRY_KIND_FILE, 1, ""),
    ("b", pb.ENTRY_KIND_DIRECTORY, 1501, ""),
    ("link", pb.ENTRY_KIND_SYMLINK, 0, "b/two"),
]


@dataclass(frozen=True, slots=True)
class Films:
    """A repository with some files in its only commit."""

    api: Api
    ada: Account
    repository: Repository
    commit: str

    @classmethod
    async def open(cls, api: Api, files: dict[str, bytes | str] = FILES) -> Films:
        ada = await api.account()
        repository = await api.repository(ada)
        return cls(api, ada, repository, await save(api, ada, repository, files))

    async def list_directory(self, path: str, size: int = 0) -> list[tuple[str, int, int, str]]:
        request = pb.ListDirectoryRequest(repository=self.repository.id, path=path, page_size=size)
        entries: list[tuple[str, int, int, str]] = []
        while True:
            page = await self.api.trees.ListDirectory(request, metadata=self.ada.auth)
            assert page.commit_hash == self.commit
            entries += [(e.name, e.kind, e.size, e.target) for e in page.entries]
            request.page_token = page.next_page_token
            if not request.page_token:
                return entries

    async def stream_tree(self, have: bytes = b"") -> list[bytes]:
        request = pb.StreamTreeRequest(repository=self.repository.id, have_hashes=have)
        messages = self.api.trees.StreamTree(request, metadata=self.ada.auth)
        return [content async for message in messages for content in message.manifests]


async def test_directories_are_listed_by_name(api: Api) -> None:
    films = await Films.open(api)
    assert await films.list_directory("") == await films.list_directory("", 1) == TOP
    assert await films.list_directory("b/c") == [("deep", pb.ENTRY_KIND_FILE, 1500, "")]


@pytest.mark.parametrize("path", ["nothing", "a/b", "link/x"])
async def test_a_path_that_leads_to_no_directory(api: Api, path: str) -> None:
    films = await Films.open(api)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await films.list_directory(path)


@pytest.mark.parametrize(("path", "kind"), [("a", "file"), ("link", "link")])
async def test_a_file_is_no_directory(api: Api, path: str, kind: str) -> None:
    films = await Films.open(api)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await films.list_directory(path)
    [violation] = refusal.detail(BadRequest).field_violations
    assert violation.field == "path"
    assert f"a {kind} is there" in violation.description


@pytest.mark.parametrize("path", ["/b", "b//c", "b/../b", "b\\c", "b/"])
async def test_a_path_must_be_canonical(api: Api, path: str) -> None:
    films = await Films.open(api)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await films.list_directory(path)
    assert refusal.detail(BadRequest).field_violations[0].field == "path"


async def test_a_listing_stays_on_the_commit_of_its_first_page(api: Api) -> None:
    films = await Films.open(api)
    request = pb.ListDirectoryRequest(repository=films.repository.id, page_size=1)
    page = await api.trees.ListDirectory(request, metadata=films.ada.auth)
    await save(api, films.ada, films.repository, {"z": b"new"}, parent=films.commit)
    request.page_token = page.next_page_token
    page = await api.trees.ListDirectory(request, metadata=films.ada.auth)
    assert (page.commit_hash, [e.name for e in page.entries]) == (films.commit, ["b"])


async def test_an_entry_says_how_it_is_stored(api: Api) -> None:
    films = await Films.open(api)
    request = pb.GetEntryRequest(repository=films.repository.id, path="b/c/deep")
    got = await api.trees.GetEntry(request, metadata=films.ada.auth)
    assert got.commit_hash == films.commit
    assert (got.entry.size, got.entry.chunk_count) == (1500, 2)
    assert len(got.stored.file.chunk_hashes) == 64
    request.path = "b"
    got = await api.trees.GetEntry(request, metadata=films.ada.auth)
    assert (got.entry.kind, got.entry.size) == (pb.ENTRY_KIND_DIRECTORY, 1501)
    assert got.entry.chunk_count == 3
    request.path = "b/nothing"
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.trees.GetEntry(request, metadata=films.ada.auth)


async def test_a_manifest_is_found_by_its_hash(api: Api) -> None:
    films, tree = await Films.open(api), build(FILES)
    request = pb.GetManifestRequest(repository=films.repository.id, hash=tree.root)
    got = await api.trees.GetManifest(request, metadata=films.ada.auth)
    assert (got.hash, got.content) == (tree.root, tree.manifests[tree.root])
    assert (got.entry_count, got.total_size, got.chunk_count) == (6, 1502, 4)
    request.hash = "12" * 32
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.trees.GetManifest(request, metadata=films.ada.auth)


async def test_a_tree_streams_parents_first_without_what_the_client_has(api: Api) -> None:
    # The directory `c` is in two places, and comes once.
    files: dict[str, bytes | str] = {"b/c/deep": b"x", "b/two": b"2", "d/c/deep": b"x", "a": b"1"}
    films, tree = await Films.open(api, files), build(files)
    contents = await films.stream_tree()
    assert sorted(contents) == sorted(tree.manifests.values())
    placed = {content_hash(content): n for n, content in enumerate(contents)}
    for content in contents:
        for entry in Manifest.FromString(content).entries:
            if entry.HasField("directory"):
                child = entry.directory.manifest_hash.hex()
                assert placed[content_hash(content)] < placed[child]
    assert await films.stream_tree(bytes.fromhex(tree.root)) == []
    (deep,) = {n for n, c in tree.manifests.items() if b"deep" in c}
    assert len(await films.stream_tree(bytes.fromhex(deep))) == len(contents) - 1
