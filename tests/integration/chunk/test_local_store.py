"""The local object store."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from services.chunk.stores.local_store import BlobMissing, LocalStore
from shared.errors import DomainError

KEY = "ab" * 16


def parts(views: list[memoryview]) -> list[bytes]:
    return [bytes(view) for view in views]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "chunks" / "here", "here", "here")


def everything(store: LocalStore, tmp_path: Path) -> list[str]:
    root = tmp_path / "chunks" / "here"
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


async def test_an_object_appears_when_it_is_sealed(store: LocalStore, tmp_path: Path) -> None:
    writer = store.writer(KEY)
    await writer.write([b"one", b"two"])
    await writer.write([b"three"])
    assert await store.size(KEY) is None
    with pytest.raises(BlobMissing):
        await store.read(KEY, [(0, 3)], parts)
    assert everything(store, tmp_path) == [f"unsealed/{KEY}"]
    await writer.seal()
    assert everything(store, tmp_path) == [f"ab/{KEY}"]
    assert await store.size(KEY) == 11
    ranges = [(0, 3), (3, 3), (6, 5), (1, 1), (6, 99), (99, 5)]
    found = await store.read(KEY, ranges, parts)
    assert found == [b"one", b"two", b"three", b"n", b"three", b""]
    await writer.discard()
    assert await store.size(KEY) == 11


async def test_discarded_and_deleted_objects_leave_nothing(
    store: LocalStore, tmp_path: Path
) -> None:
    writer = store.writer(KEY)
    await writer.discard()
    await writer.write([b"data"])
    await writer.discard()
    assert everything(store, tmp_path) == []
    # What a killed process leaves is removed by its key.
    writer = store.writer(KEY)
    await writer.write([b"data"])
    await store.delete(KEY)
    assert everything(store, tmp_path) == []
    other = store.writer("cd" * 16)
    await other.write([b"data"])
    await other.seal()
    await store.delete("cd" * 16)
    await store.delete("cd" * 16)
    assert everything(store, tmp_path) == []


async def test_more_parts_than_one_system_call_takes(store: LocalStore) -> None:
    writer = store.writer(KEY)
    pieces = [bytes([n % 256]) * (n % 5 + 1) for n in range(5000)]
    await writer.write(pieces)
    await writer.seal()
    whole = b"".join(pieces)
    assert await store.read(KEY, [(0, len(whole))], parts) == [whole]


async def test_a_key_is_used_once(store: LocalStore) -> None:
    await store.writer(KEY).write([b"data"])
    with pytest.raises(DomainError):
        await store.writer(KEY).write([b"data"])


async def test_a_cancelled_write_has_ended_when_its_caller_goes_on(
    store: LocalStore, tmp_path: Path
) -> None:
    writer = store.writer(KEY)
    await writer.write([b"head"])
    # A pipe that is full holds the writing thread until somebody reads.
    reading, writing = os.pipe()
    file = writer._file  # type: ignore[attr-defined]
    os.dup2(writing, file)
    os.close(writing)
    task = asyncio.create_task(writer.write([bytes(1 << 20)]))
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
        await store.writer(KEY).write([b"data"])
    assert failure.value.metadata == {"dependency": "object store"}
