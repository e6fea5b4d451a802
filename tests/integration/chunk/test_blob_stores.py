"""What every object store does: the one in a directory, and the one in a bucket of a real S3 server."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from services.chunk.stores.blob_store import BlobMissing, BlobStore
from services.chunk.stores.local_store import LocalStore
from services.chunk.stores.s3_store import S3Store
from services.chunk.stores.s3_writer import PART_BYTES
from shared.errors import DomainError
from shared.runtime.store_url import S3Location, parse_store_url
from tests.support.chunks import some

NAME = "ab" * 16
KEY = f"0/{NAME}"
ID = "5f2f4f5e-0000-4000-8000-000000000001"
_numbers = itertools.count(1)


def parts(views: list[memoryview]) -> list[bytes]:
    return [bytes(view) for view in views]


@pytest.fixture(params=["local", "s3"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """A place for a store, without one."""
    if request.param == "local":
        return LocalStore(tmp_path / "chunks" / "here", "here", "here")
    url = request.getfixturevalue("s3_server").url(f"contract/{next(_numbers)}")
    where = parse_store_url(url)
    assert isinstance(where, S3Location)
    return S3Store(where, "here", tmp_path / "spool", seconds=10)


@pytest.fixture
async def store(empty: BlobStore) -> BlobStore:
    """A new store."""
    empty.expected_id = await empty.create(ID)
    return empty


async def listed(store: BlobStore, cell: int = 0) -> list[str]:
    """The keys of a cell."""
    return sorted([key async for keys in store.list_objects(cell) for key in keys])


async def write(store: BlobStore, key: str, *data: bytes) -> None:
    """Makes an object."""
    writer = store.open_writer(key)
    await writer.write_parts(data)
    await writer.seal()


async def test_an_object_appears_when_it_is_sealed(store: BlobStore) -> None:
    writer = store.open_writer(KEY)
    await writer.write_parts([b"one", b"two"])
    await writer.write_parts([b"three"])
    assert await store.measure_object(KEY) is None
    with pytest.raises(BlobMissing):
        await store.read_ranges(KEY, [(0, 3)], parts)
    await writer.seal()
    assert await listed(store) == [KEY]
    assert await store.measure_object(KEY) == 11
    ranges = [(0, 3), (3, 3), (6, 5), (1, 1), (6, 99), (99, 5), (0, 6), (6, 6), (12, 3)]
    found = await store.read_ranges(KEY, ranges, parts)
    assert found == [b"one", b"two", b"three", b"n", b"three", b"", b"onetwo", b"three", b""]
    await writer.discard()
    assert await store.measure_object(KEY) == 11


async def test_discarded_and_deleted_objects_leave_nothing(store: BlobStore) -> None:
    writer = store.open_writer(KEY)
    await writer.discard()
    await writer.write_parts([b"data"])
    await writer.discard()
    assert await listed(store) == []
    # What a killed process leaves is removed by its key.
    writer = store.open_writer(KEY)
    await writer.write_parts([b"data"])
    await store.delete_object(KEY)
    assert await listed(store) == []
    await writer.discard()
    other = "0/" + "cd" * 16
    await write(store, other, b"data")
    await store.delete_object(other)
    await store.delete_object(other)
    assert await store.measure_object(other) is None
    assert await listed(store) == []


async def test_large_objects_and_many_parts(store: BlobStore) -> None:
    pieces = [some(1 << 20) for _ in range(2 * PART_BYTES >> 20)] + [some(77)]
    await write(store, KEY, *pieces)
    whole = b"".join(pieces)
    assert await store.measure_object(KEY) == len(whole)
    ranges = [(0, len(whole)), (PART_BYTES - 5, 10)]
    expected = [whole, whole[PART_BYTES - 5 : PART_BYTES + 5]]
    assert await store.read_ranges(KEY, ranges, parts) == expected
    small = [bytes([n % 256]) * (n % 5 + 1) for n in range(5000)]
    await write(store, "0/small", *small)
    whole = b"".join(small)
    assert await store.read_ranges("0/small", [(0, len(whole))], parts) == [whole]


async def test_no_object_is_written_over(store: BlobStore) -> None:
    first, second = store.open_writer(KEY), store.open_writer(KEY)
    await first.write_parts([b"first"])

    async def write_again() -> None:
        await second.write_parts([b"other"])
        await first.seal()
        await second.seal()

    with pytest.raises(DomainError) as failure:
        await write_again()
    assert failure.value.metadata == {"dependency": "object store"}
    await first.seal()
    await second.discard()
    assert await store.read_ranges(KEY, [(0, 5)], parts) == [b"first"]


async def test_cells_lie_apart(store: BlobStore) -> None:
    for key in (f"0/{NAME}", f"1/{NAME}", f"10/{NAME}"):
        await write(store, key, key.encode())
    await store.delete_object(f"1/{NAME}")
    assert [await listed(store, cell) for cell in (0, 1, 10, 2)] == [
        [f"0/{NAME}"],
        [],
        [f"10/{NAME}"],
        [],
    ]
    assert await store.read_ranges(f"10/{NAME}", [(0, 3)], parts) == [b"10/"]


async def test_a_list_has_pages(store: BlobStore) -> None:
    keys = [f"0/{n:04x}" for n in range(1300)]

    async def make(some_keys: list[str]) -> None:
        for key in some_keys:
            await write(store, key, b"")

    await asyncio.gather(*(make(keys[n::8]) for n in range(8)))
    assert await listed(store) == keys
    pages = [page async for page in store.list_objects(0)]
    assert len([page for page in pages if page]) > 1


async def test_a_store_has_one_id(empty: BlobStore) -> None:
    other = "5f2f4f5e-0000-4000-8000-000000000002"
    assert await empty.read_id() is None
    created = await asyncio.gather(empty.create(ID), empty.create(other))
    assert created[0] == created[1] == await empty.read_id()
    assert await empty.create("5f2f4f5e-0000-4000-8000-000000000003") == created[0]
    assert await listed(empty) == []


async def test_each_cell_of_a_store_has_an_owner(store: BlobStore) -> None:
    assert await store.read_owner(0) is None
    await asyncio.gather(*(store.write_owner(0, text, is_first=True) for text in ("one", "two")))
    first = await store.read_owner(0)
    assert first in ("one", "two")
    await store.write_owner(1, "other", is_first=False)
    await store.write_owner(1, "another", is_first=False)
    assert [await store.read_owner(cell) for cell in (0, 1, 2)] == [first, "another", None]
    assert [await listed(store, cell) for cell in (0, 1)] == [[], []]


@pytest.mark.parametrize("case", ["another", "none"])
async def test_in_another_store_or_none_nothing_is_missing(empty: BlobStore, case: str) -> None:
    if case == "another":
        await empty.create(ID)
    empty.expected_id = "5f2f4f5e-0000-4000-8000-000000000002"
    writer = empty.open_writer("0/ff")

    async def put() -> None:
        await writer.write_parts([b"data"])
        await writer.seal()

    for work in (
        empty.read_ranges(KEY, [(0, 4)], parts),
        empty.measure_object(KEY),
        anext(empty.list_objects(0)),
        empty.delete_object(KEY),
        empty.read_owner(0),
        empty.write_owner(0, "ours", is_first=False),
        put(),
    ):
        with pytest.raises(DomainError) as failure:
            await work
        assert failure.value.metadata == {"dependency": "object store"}
    await writer.discard()


@pytest.mark.parametrize(
    "key",
    [
        "", "0", "0/", "/ab", "0/a", "0//ab", "0/ab/cd", "0/..", "../ab", "0/../1/ab", "/etc/passwd",
        "unsealed/ab", "0/AB", "0/a.b", "0/ab\n", "0/ab\0", "\u0660/ab", "-1/ab", "0/" + "a" * 129,
        "dits-store",
    ],
)  # fmt: skip
async def test_a_key_of_another_form_is_refused(store: BlobStore, key: str) -> None:
    with pytest.raises(ValueError, match="is not the key of an object"):
        store.open_writer(key)
    with pytest.raises(ValueError, match="is not the key of an object"):
        await store.read_ranges(key, [(0, 1)], parts)
    with pytest.raises(ValueError, match="is not the key of an object"):
        await store.measure_object(key)
    with pytest.raises(ValueError, match="is not the key of an object"):
        await store.delete_object(key)
    assert await listed(store) == []
