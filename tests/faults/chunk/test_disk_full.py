"""A disk without room: the upload says so, and what was not acknowledged leaves no trace."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.rpc import error_details_pb2
from grpc import StatusCode

from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, assert_stored, chunk, files, some

MEBIBYTE = 1 << 20


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Chunks on a file system of 8 MiB, in packs of 3 MiB."""
    small = tmp_path / "data" / "chunks"
    small.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "dits-test", str(small)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only who may mount a file system can fill one")
    try:
        yield settings.model_copy(update={"pack_bytes": 3 * MEBIBYTE})
    finally:
        # Lazily: the service, a fixture that ends later, may hold a file.
        subprocess.run(["umount", "--lazy", str(small)], check=True)


async def test_a_full_disk(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    data = [some(MEBIBYTE) for _ in range(12)]
    acknowledged = 0
    with refused(StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL") as refusal:
        async for answer in shelf.stream(iter(shelf.requests([[chunk(each)] for each in data]))):
            acknowledged = answer.acknowledged_message_count
    assert refusal.detail(error_details_pb2.RetryInfo).retry_delay.seconds > 0
    assert acknowledged == 6
    assert len(files(settings)) == 2
    await assert_stored(api, settings)
    assert await shelf.missing(*data) == [False] * 6 + [True] * 6
    await shelf.get(*data[:6])


async def test_room_that_is_made_is_used(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    ballast = settings.data_dir / "chunks" / "ballast"
    ballast.write_bytes(bytes(7 * MEBIBYTE))
    data = some(2 * MEBIBYTE)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL"):
        await shelf.put(data)
    await assert_stored(api, settings)
    ballast.unlink()
    await shelf.put(data)
    await shelf.get(data)
    await assert_stored(api, settings)
