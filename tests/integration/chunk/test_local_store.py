"""The local object store."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from services.chunk.stores.blob_store import BlobMissing
from services.chunk.stores.local_store import LocalStore
from shared.errors import DomainError

NAME = "ab" * 16
KEY = f"0/{NAME}"


def parts(views: list[memoryview]) -> list[bytes]:
    return [bytes(view) for view in views]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "chunks" / "here", "here", "here")


def everything(store: LocalStore, tmp_path: Path) -> list[str]:
    root = tmp_path / "chunks" / "here"
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


async def test_an_object_appears_when_it_is_sealed(store: LocalStore, tmp_path: Path) -> None:
    writer = store.open_writer(KEY)
    await writer.write_parts([b"one", b"two"])
    await writer.write_parts([b"three"])
    assert await store.measure_object(KEY) is None
    with pytest.raises(BlobMissing):
        await store.read_ranges(KEY, [(0, 3)], parts)
    assert everything(store, tmp_path) == [f"unsealed/0-{NAME}"]
    await writer.seal()
    assert everything(store, tmp_path) == [f"0/ab/{NAME}"]
    assert await store.measure_object(KEY) == 11
    ranges = [(0, 3), (3, 3), (6, 5), (1, 1), (6, 99), (99, 5)]
    found = await store.read_ranges(KEY, ranges, parts)
    assert found == [b"one", b"two", b"three", b"n", b"three", b""]
    await writer.discard()
    assert await store.measure_object(KEY) == 11


async def test_discarded_and_deleted_objects_leave_nothing(
    store: LocalStore, tmp_path: Path
) -> None:
    writer = store.open_writer(KEY)
    await writer.discard()
    await writer.write_parts([b"data"])
    await writer.discard()
    assert everything(store, tmp_path) == []
    # What a killed process leaves is removed by its key.
    writer = store.open_writer(KEY)
    await writer.write_parts([b"data"])
    await store.delete_object(KEY)
    assert everything(store, tmp_path) == []
    other = store.open_writer("0/" + "cd" * 16)
    await other.write_parts([b"data"])
    await other.seal()
    await store.delete_object("0/" + "cd" * 16)
    await store.delete_object("0/" + "cd" * 16)
    assert everything(store, tmp_path) == []


async def test_more_parts_than_one_system_call_takes(store: LocalStore) -> None:
    writer = store.open_writer(KEY)
    pieces = [bytes([n % 256]) * (n % 5 + 1) for n in range(5000)]
    await writer.write_parts(pieces)
    await writer.seal()
    whole = b"".join(pieces)
    assert await store.read_ranges(KEY, [(0, len(whole))], parts) == [whole]


async def test_a_key_is_used_once(store: LocalStore) -> None:
    await store.open_writer(KEY).write_parts([b"data"])
    with pytest.raises(DomainError):
        await store.open_writer(KEY).write_parts([b"data"])


async def test_a_cancelled_write_has_ended_when_its_caller_goes_on(
    store: LocalStore, tmp_path: Path
) -> None:
    writer = store.open_writer(KEY)
    await writer.write_parts([b"head"])
    # A pipe that is full holds the writing thread until the test reads.
    reading, writing = os.pipe()
    file = writer._file  # type: ignore[attr-defined]
    os.dup2(writing, file)
    os.close(writing)
    task = asyncio.create_task(writer.write_parts([bytes(1 << 20)]))
    drained = asyncio.create_task(asyncio.to_thread(os.read, reading, 1))
    await drained
    task.cancel()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=0.05)
    assert not done
    left = (1 << 20) - 1
    while left:
        left -= len(await asyncio.to_thread(os.read, reading, left))
    with pytest.raises(asyncio.CancelledError):
        await task
    os.close(reading)
    await writer.discard()


async def test_a_store_that_fails_is_unavailable(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "chunks" / "here" / "unsealed").rmdir()
    with pytest.raises(DomainError) as failure:
        await store.open_writer(KEY).write_parts([b"data"])
    assert failure.value.metadata == {"dependency": "object store"}


@pytest.mark.parametrize(
    "key",
    [
        "", "0", "0/", "/ab", "0/a", "0//ab", "0/ab/cd", "0/..", "../ab", "0/../1/ab", "/etc/passwd",
        "unsealed/ab", "0/AB", "0/a.b", "0/ab\n", "0/ab\0", "\u0660/ab", "-1/ab", "0/" + "a" * 129,
    ],
)  # fmt: skip
async def test_a_key_of_another_form_is_refused(
    store: LocalStore, tmp_path: Path, key: str
) -> None:
    with pytest.raises(ValueError, match="is not the key of an object"):
        store.open_writer(key)
    with pytest.raises(ValueError, match="is not the key of an object"):
        await store.read_ranges(key, [(0, 1)], parts)
    with pytest.raises(ValueError, match="is not the key of an object"):
        await store.measure_object(key)
    with pytest.raises(ValueError, match="is not the key of an object"):
        await store.delete_object(key)
    assert everything(store, tmp_path) == []


async def test_cells_lie_apart(store: LocalStore, tmp_path: Path) -> None:
    for key in (f"0/{NAME}", f"1/{NAME}", f"10/{NAME}"):
        writer = store.open_writer(key)
        await writer.write_parts([key.encode()])
        await writer.seal()
    await store.delete_object(f"1/{NAME}")
    assert everything(store, tmp_path) == [f"0/ab/{NAME}", f"10/ab/{NAME}"]
    assert await store.read_ranges(f"10/{NAME}", [(0, 3)], parts) == [b"10/"]
