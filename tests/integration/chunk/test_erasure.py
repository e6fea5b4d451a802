"""Of what was obliterated no byte stays in the store."""

from __future__ import annotations

import pytest
from dits.common.v1.job_pb2 import CollectGarbagePayload, CompactPacksPayload
from google.protobuf.message import Message

from shared.db.pool import Databases
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, assert_stored, files, some
from tests.support.collection import do_maintenance, end_claims, reap
from tests.support.obliterations import obliterate
from tests.support.repositories import Holding
from tests.support.trees import build, save, upload


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Chunks are kept for long, packs compacted when they are almost empty, few chunks may go at once.

    None of this keeps what is to go: a third of all chunks.
    """
    return settings.model_copy(
        update={
            "reader_grace_seconds": 0,
            "open_pack_seconds": 0,
            "collection_limit_percent": 25,
            "compaction_dead_percent": 99,
        }
    )


async def clean(api: Api, databases: Databases, settings: Settings) -> None:
    """Collects, compacts, and deletes objects."""
    payloads: list[Message] = [CollectGarbagePayload(), CompactPacksPayload()]
    for payload in payloads:
        record = await do_maintenance(api, databases, payload)
        assert record["outcome"] == "completed"
    await reap(databases, settings)
    await assert_stored(api, settings)


def count_objects(settings: Settings, data: bytes) -> int:
    """How many objects hold some bytes."""
    return sum(data in path.read_bytes() for path in files(settings).values())


async def test_the_bytes_go_from_every_pack(
    api: Api, settings: Settings, databases: Databases
) -> None:
    films, elsewhere = await Holding.open(api), await Holding.open(api)
    secret, kept, other = some(900), some(1000), some(1000)
    await save(api, films.owner, films.repository, {"secret": secret, "kept": kept})
    # The bytes lie in this pack, too, though no row has ever said so.
    await save(api, elsewhere.owner, elsewhere.repository, {"mine": secret, "other": other})
    assert count_objects(settings, secret) == 2

    await obliterate(films, "secret", secret)
    await clean(api, databases, settings)
    # They are another's.
    assert count_objects(settings, secret) == 2
    await obliterate(elsewhere, "mine", secret)
    await clean(api, databases, settings)
    assert [count_objects(settings, each) for each in (secret, kept, other)] == [0, 1, 1]
    shelf = Shelf(api, films.owner, films.repository)
    await shelf.get(kept)
    assert await api.value("SELECT count(*) FROM chunk_erasures WHERE deleted_at IS NOT NULL") == 0

    # Whoever still has the file uploads it; the push is refused, and the bytes go again.
    again = some(1000)
    await upload(api, films.owner, films.repository, build({"s": secret, "again": again}).chunks)
    await save(api, films.owner, films.repository, {"again": again}, branch="side")
    assert count_objects(settings, secret) == 1
    await end_claims(api)
    await clean(api, databases, settings)
    assert count_objects(settings, secret) == 1
    await api.fetch("UPDATE chunks SET delete_after = now() WHERE delete_after IS NOT NULL")
    await clean(api, databases, settings)
    assert [count_objects(settings, each) for each in (secret, again)] == [0, 1]
