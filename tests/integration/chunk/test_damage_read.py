"""Damage that a reader finds, without another copy, is noted at once: pushes send the chunk again."""

from __future__ import annotations

import pytest

from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, files, reason, some
from tests.support.regions import wait_while


@pytest.mark.parametrize("is_gone", [False, True])
async def test_what_a_reader_finds_damaged_is_sent_again(
    api: Api, settings: Settings, is_gone: bool
) -> None:
    shelf, data = await Shelf.open(api), some()
    await shelf.put(data)
    (path,) = files(settings).values()
    if is_gone:
        path.unlink()
    else:
        path.write_bytes(bytes(path.stat().st_size))
    (found,) = await shelf.download(data)
    assert reason(found) == "CHUNK_CORRUPT"
    await wait_while(api, "SELECT count(*) FROM chunks WHERE lost_at IS NULL")
    assert await shelf.missing(data) == [True]
    await shelf.put(data)
    await shelf.get(data)
