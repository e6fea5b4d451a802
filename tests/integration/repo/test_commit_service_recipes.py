"""Push and the lists of larger files: one encoding per list, read once per content."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import pytest
from blake3 import blake3
from dits.repo.v1.commit_service_pb2 import PushResponse
from dits.repo.v1.manifest_pb2 import Entry, File, Manifest, Recipe
from dits.repo.v1.repository_service_pb2 import Repository
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from services.repo.push import chunk_lists, recipes
from services.repo.push.recipes import RecipeReader
from shared.formats.canonical import content_hash
from shared.formats.commits import commit_hash
from shared.formats.manifests import MAX_MANIFEST_BYTES, encode_manifest
from shared.formats.recipes import MAX_INLINE_CHUNKS, encode_list, encode_recipe, list_hash
from shared.rpc.call import Call
from tests.support.api import Account, Api, refused
from tests.support.counters import assert_counters
from tests.support.obliterations import obliterate
from tests.support.repositories import Holding
from tests.support.trees import (
    CHUNK,
    Tree,
    build,
    commit,
    file_entry,
    push,
    push_commit,
    save,
    update,
    upload,
)

LONG = MAX_INLINE_CHUNKS + 1


def content(seed: int, chunks: int = LONG) -> bytes:
    """Some content of so many chunks, all different."""
    return b"".join(b"%08d%04d" % (seed, n) + bytes(CHUNK - 12) for n in range(chunks))


def tree_of(*entries: Entry) -> Tree:
    """A tree of one directory."""
    encoded = Manifest(entries=entries).SerializeToString(deterministic=True)
    return Tree(content_hash(encoded), {content_hash(encoded): encoded})


def hidden(name: str, recipe: bytes, size: int) -> Entry:
    """A file whose list is in this one recipe."""
    file = File(size=size, hash=bytes(32), recipe_hashes=blake3(recipe).digest())
    return Entry(name=name, file=file)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many recipes each call to the chunk service asks for."""
    asked: list[int] = []
    real = RecipeReader._download

    def counted(self: RecipeReader, hashes: Sequence[bytes], call: Call) -> object:
        asked.append(len(hashes))
        return real(self, hashes, call)

    monkeypatch.setattr(RecipeReader, "_download", counted)
    return asked


async def opened(api: Api) -> tuple[Account, Repository]:
    ada = await api.account()
    return ada, await api.repository(ada)


async def test_a_long_list_must_not_stand_inline(api: Api) -> None:
    ada, repository = await opened(api)
    chunks: dict[bytes, bytes] = {}
    file_entry("a", content(1), chunks)
    pieces = [content(1)[at : at + CHUNK] for at in range(0, LONG * CHUNK, CHUNK)]
    await upload(api, ada, repository, chunks)
    inline = File(
        size=LONG * CHUNK,
        hash=blake3(content(1)).digest(),
        chunk_hashes=b"".join(blake3(piece).digest() for piece in pieces),
        chunk_sizes=[CHUNK] * LONG,
    )
    tree = tree_of(Entry(name="a", file=inline))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await push_commit(api, ada, repository, commit(tree), tree)
    field = refusal.detail(BadRequest).field_violations[0].field
    assert field == "manifests.entries[0].file.chunk_sizes"


async def test_a_short_list_must_not_be_in_a_recipe(api: Api) -> None:
    ada, repository = await opened(api)
    short = Recipe(chunk_hashes=bytes(32) * MAX_INLINE_CHUNKS, chunk_sizes=[9] * MAX_INLINE_CHUNKS)
    recipe = encode_recipe(short)
    await upload(api, ada, repository, {blake3(recipe).digest(): recipe})
    tree = tree_of(hidden("a", recipe, 9 * MAX_INLINE_CHUNKS))
    with refused(StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH") as refusal:
        await push_commit(api, ada, repository, commit(tree), tree)
    assert f"up to {MAX_INLINE_CHUNKS} chunks stand inline" in refusal.message


@pytest.mark.parametrize("recipe", [b"no recipe", b"\x12\x01\x01" * 9])
async def test_a_recipe_must_be_one(api: Api, recipe: bytes) -> None:
    ada, repository = await opened(api)
    await upload(api, ada, repository, {blake3(recipe).digest(): recipe})
    tree = tree_of(hidden("a", recipe, 1000))
    with refused(StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH") as refusal:
        await push_commit(api, ada, repository, commit(tree), tree)
    assert refusal.metadata == {"actual": blake3(recipe).hexdigest()}


async def test_only_recipes_of_new_contents_are_read(api: Api, batches: list[int]) -> None:
    ada, repository = await opened(api)
    files: dict[str, bytes | str] = {f"f{n}": content(n) for n in range(5)}
    head = await save(api, ada, repository, files)
    assert batches == [5]
    head = await save(api, ada, repository, {**files, "f0": content(9)}, parent=head)
    assert batches == [5, 1]
    # Neither a new small file nor a copy of a large one is a reason.
    await save(api, ada, repository, {**files, "new": b"small", "f9": content(3)}, parent=head)
    assert batches == [5, 1]
    assert await api.value("SELECT max(chunk_count) FROM manifests") == 6 * LONG + 1
    await assert_counters(api.dsn)


async def test_many_recipes_are_read_in_few_calls(
    api: Api, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "BATCH", 4)
    ada, repository = await opened(api)
    await save(api, ada, repository, {f"f{n}": content(n) for n in range(10)})
    assert batches == [4, 4, 2]
    assert await api.value("SELECT count(*) FROM assets WHERE chunk_count = $1", LONG) == 10
    await assert_counters(api.dsn)


async def test_the_recipes_of_one_push_have_a_limit(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "MAX_RECIPE_BYTES", 1000)
    ada, repository = await opened(api)
    files: dict[str, bytes | str] = {f"f{n}": content(n) for n in range(4)}
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await save(api, ada, repository, files)
    assert refusal.metadata["field"] == "manifests.recipes"
    await save(api, ada, repository, {"f0": content(0)})


async def test_a_known_content_keeps_its_size_and_list(api: Api) -> None:
    ada, repository = await opened(api)
    head = await save(api, ada, repository, {"a": content(1), "b": content(2)})
    one, two = (file_entry(name, content(seed), {}) for name, seed in (("a", 1), ("b", 2)))
    longer = Entry.FromString(one.SerializeToString())
    longer.file.size += 1
    other = Entry.FromString(one.SerializeToString())
    other.file.recipe_hashes = two.file.recipe_hashes
    for entry in (longer, other):
        tree = tree_of(entry)
        with refused(StatusCode.INVALID_ARGUMENT, "CONTENT_MISMATCH"):
            await push_commit(api, ada, repository, commit(tree, head), tree, expected=head)


async def test_a_content_that_goes_meanwhile_is_contention(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, repository = await opened(api)
    file = file_entry("a", content(1), {}).file

    async def deleted_since(*_: object) -> dict[str, tuple[str, int]]:
        return {file.hash.hex(): (list_hash(file), LONG)}

    with monkeypatch.context() as past:
        past.setattr(chunk_lists, "_known", deleted_since)
        with refused(StatusCode.ABORTED, "CONTENTION"):
            await save(api, ada, repository, {"a": content(1)})
    await save(api, ada, repository, {"a": content(1)})
    await assert_counters(api.dsn)


async def test_a_folder_of_700_files_of_60_mb(api: Api, batches: list[int]) -> None:
    ada, repository = await opened(api)
    # 60 MB are some 960 chunks. The lists are real, the chunks small: 1,000 of them, in other orders.
    pool = [b"%04d" % n for n in range(1000)]
    digests = [blake3(chunk).digest() for chunk in pool]
    chunks = dict(zip(digests, pool, strict=True))

    def film(number: int) -> Entry:
        packed = b"".join((digests[number:] + digests[:number])[:960])
        (recipe,) = encode_list(packed, [4] * 960)
        chunks[blake3(recipe).digest()] = recipe
        return Entry(
            name=f"{number:04}.mov",
            file=File(
                mode=0o644,
                size=4 * 960,
                hash=blake3(b"film %d" % number).digest(),
                recipe_hashes=blake3(recipe).digest(),
            ),
        )

    entries = [film(number) for number in range(701)]
    assert MAX_MANIFEST_BYTES < 700 * 960 * 32
    assert len(encode_manifest(Manifest(entries=entries))) < 100_000
    await upload(api, ada, repository, chunks)
    first = commit(tree := tree_of(*entries[:700]))
    await push_commit(api, ada, repository, first, tree)
    assert await api.value("SELECT chunk_count FROM manifests") == 700 * 960
    assert await api.value("SELECT sum(ref_count) FROM chunk_refs") == 700 * 961
    changed = [*entries[1:700], entries[700]]
    second = commit(tree := tree_of(*changed), head := commit_hash(first))
    await push_commit(api, ada, repository, second, tree, expected=head)
    assert batches == [700, 1]


async def test_a_repeated_push_reads_no_recipes(api: Api) -> None:
    films = await Holding.open(api)
    tree, request_id = build({"a": content(1), "b": b"1"}), str(uuid4())
    await upload(api, films.owner, films.repository, tree.chunks)
    made = commit(tree)
    moves = [update("main", "", commit_hash(made))]

    async def attempt() -> PushResponse:
        return await push(
            api, films.owner, films.repository, [made], moves, [tree], request_id=request_id
        )

    first = await attempt()
    await obliterate(films, "a", content(1))
    assert await attempt() == first
    await assert_counters(api.dsn)
