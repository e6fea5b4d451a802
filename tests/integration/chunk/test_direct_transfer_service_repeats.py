"""DirectTransferService: calls that are repeated, at once, later, or in another region."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from dits.chunk.v1 import direct_transfer_service_pb2 as pb
from grpc import StatusCode

from shared.runtime.config import Settings
from tests.integration.chunk.test_direct_transfer_service import confirm, create, do, packed
from tests.support.api import Api, refused, running_suite
from tests.support.chunks import Shelf, some
from tests.support.counters import assert_counters
from tests.support.s3_server import S3Server


@pytest.fixture
def settings(settings: Settings, s3_server: S3Server) -> Settings:
    store = s3_server.url(f"repeats/{uuid4().hex}")
    far = s3_server.url(f"repeats/{uuid4().hex}")
    return settings.model_copy(update={"store": store, "stores": {"far": (far,)}})


async def put(shelf: Shelf, *data: bytes) -> pb.CreatePackUploadResponse:
    """Puts a pack that nobody has confirmed."""
    pack = b"".join(data)
    upload = await create(shelf, len(pack))
    assert (await do(upload.request, pack))[0] == 200
    return upload


async def test_an_upload_is_made_once_for_each_request_id(api: Api) -> None:
    shelf = await Shelf.open(api)
    await api.fetch("UPDATE repository_settings SET max_storage_bytes = 1000")
    name = str(uuid4())
    made = await asyncio.gather(
        *(create(shelf, 100, planned_bytes=600, request_id=name) for _ in range(3))
    )
    assert made[0] == made[1] == made[2]
    with refused(StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await create(shelf, 101, planned_bytes=600, request_id=name)
    assert await api.value("SELECT count(*) FROM pack_uploads") == 1
    assert await api.value("SELECT sum(byte_count) FROM storage_reservations") == 600
    assert (await do(made[2].request, some(100)))[0] == 200


async def test_calls_at_once_confirm_an_upload_once(api: Api) -> None:
    shelf, data = await Shelf.open(api), [some(), some()]
    upload = await put(shelf, *data)
    answers = await asyncio.gather(*(confirm(shelf, upload, *map(packed, data)) for _ in range(4)))
    assert {(each.stored_chunk_count, each.stored_bytes) for each in answers} == {(2, 2000)}
    await shelf.get(*data)
    # Of the packs that lost, nothing is left but objects that wait for their deletion.
    assert await api.value("SELECT count(*) FROM packs") == 1
    await assert_counters(api.dsn)


async def test_a_repetition_tells_again_what_is_kept_under_another_key(api: Api) -> None:
    shelf, data = await Shelf.open(api), some()
    await shelf.put(data)
    upload = await put(shelf, data)
    chunk = packed(data)
    chunk.encryption_key_id = "another"
    answer = await confirm(shelf, upload, chunk)
    assert [failure.hash for failure in answer.failures] == [chunk.hash]
    assert await confirm(shelf, upload, chunk) == answer


async def test_an_upload_is_confirmed_in_another_region(
    api: Api, settings: Settings, dsn: str
) -> None:
    shelf, data = await Shelf.open(api), some()
    upload = await put(shelf, data)
    [far] = settings.stores["far"]
    changes = {"region": "far", "store": far, "stores": {"local": (settings.store,)}}
    async with running_suite(dsn, settings.model_copy(update=changes)) as other:
        there = Shelf(other, shelf.who, shelf.repo)
        answer = await confirm(there, upload, packed(data))
        assert answer.stored_chunk_count == 1
        await there.get(data)
    assert await confirm(shelf, upload, packed(data)) == answer
    assert await api.value("SELECT array_agg(bucket) FROM packs") == ["far"]
    await shelf.get(data)
    await assert_counters(api.dsn)
