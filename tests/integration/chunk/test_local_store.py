"""The local object store."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from services.chunk.stores.local_store import LocalStore
from shared.errors import DomainError

NAME = "ab" * 16
KEY = f"0/{NAME}"
ID = "5f2f4f5e-0000-4000-8000-000000000001"


def parts(views: list[memoryview]) -> list[bytes]:
    return [bytes(view) for view in views]


@pytest.fixture
async def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "chunks" / "here", "here", "here")
    await store.create(ID)
    return store


def everything(store: LocalStore, tmp_path: Path) -> list[str]:
    root = tmp_path / "chunks" / "here"
    found = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
    assert "dits-store" in found
    return sorted(found - {"dits-store"})


async def test_where_objects_lie(store: LocalStore, tmp_path: Path) -> None:
    writer = store.open_writer(KEY)
    await writer.write_parts([b"data"])
    assert everything(store, tmp_path) == [f"unsealed/0-{NAME}"]
    await writer.seal()
    assert everything(store, tmp_path) == [f"0/ab/{NAME}"]


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


async def test_a_directory_that_is_away_has_lost_nothing(store: LocalStore, tmp_path: Path) -> None:
    writer = store.open_writer(KEY)
    await writer.write_parts([b"data"])
    await writer.seal()
    here, elsewhere = tmp_path / "chunks" / "here", tmp_path / "elsewhere"
    here.rename(elsewhere)
    # As it looks when nothing is mounted; and without the mount point.
    for is_there in (True, False):
        if is_there:
            here.mkdir()
        for work in (
            store.read_ranges(KEY, [(0, 4)], parts),
            store.measure_object(KEY),
            anext(store.list_objects(0)),
            store.delete_object(KEY),
        ):
            with pytest.raises(DomainError) as failure:
                await work
            assert failure.value.metadata == {"dependency": "object store"}
        if is_there:
            here.rmdir()
    elsewhere.rename(here)
    assert await store.read_ranges(KEY, [(0, 4)], parts) == [b"data"]


async def test_who_was_taken_for_dead_does_not_seal_what_is_anothers(
    store: LocalStore, tmp_path: Path
) -> None:
    killed, again = store.open_writer(KEY), store.open_writer(KEY)
    await killed.write_parts([b"whole"])
    await again.discard()
    await again.write_parts([b"pa"])
    with pytest.raises(DomainError):
        await killed.seal()
    await again.write_parts([b"rt"])
    await again.seal()
    assert everything(store, tmp_path) == [f"0/ab/{NAME}"]
    assert await store.read_ranges(KEY, [(0, 9)], parts) == [b"part"]
