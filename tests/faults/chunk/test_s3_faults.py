"""An S3 server that fails: what it did all the same is found out, and what it cannot do is said."""

from __future__ import annotations

import errno
import itertools
import re
from pathlib import Path

import pytest
from grpc import StatusCode

from services.chunk.stores.opening import open_known_store
from services.chunk.stores.ownership import renew_stamp, require_owner
from services.chunk.stores.s3_store import S3Store
from services.chunk.stores.s3_writer import PART_BYTES
from shared.db.pool import Databases
from shared.errors import DomainError
from shared.runtime.config import Settings
from shared.runtime.store_url import S3Location, parse_store_url
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, some
from tests.support.s3_proxy import S3Proxy
from tests.support.s3_server import S3Server

KEY = "0/" + "ab" * 16
# Of PUT without a query, the whole object; with one, a part.
WHOLE, COMPLETION = "^PUT [^?]* ", "^POST .*uploadId="
_numbers = itertools.count(1)


def parts(views: list[memoryview]) -> list[bytes]:
    return [bytes(view) for view in views]


@pytest.fixture
def prefix() -> str:
    return f"faults/{next(_numbers)}"


async def open_s3(url: str, tmp_path: Path, seconds: float = 10) -> S3Store:
    where = parse_store_url(url)
    assert isinstance(where, S3Location)
    store = S3Store(where, "here", tmp_path / "spool", seconds)
    store.expected_id = await store.create("5f2f4f5e-0000-4000-8000-000000000001")
    return store


@pytest.fixture
async def store(s3_server: S3Server, proxy: S3Proxy, prefix: str, tmp_path: Path) -> S3Store:
    """A store behind the proxy."""
    return await open_s3(s3_server.url(prefix, endpoint=proxy.endpoint), tmp_path)


async def write(store: S3Store, *data: bytes) -> None:
    writer = store.open_writer(KEY)
    try:
        await writer.write_parts(data)
        await writer.seal()
    finally:
        await writer.discard()


@pytest.mark.parametrize(("request_", "size"), [(WHOLE, 9), (COMPLETION, PART_BYTES + 9)])
async def test_a_put_that_succeeded_without_an_answer(
    store: S3Store, proxy: S3Proxy, request_: str, size: int
) -> None:
    data = some(size)
    proxy.lose_answers(request_)
    await write(store, data)
    assert await store.read_ranges(KEY, [(0, size)], parts) == [data]
    assert proxy.times_left == 0


async def test_a_put_that_succeeded_after_its_time_out(
    s3_server: S3Server, proxy: S3Proxy, prefix: str, tmp_path: Path
) -> None:
    url = s3_server.url(prefix, endpoint=proxy.endpoint)
    await open_s3(url, tmp_path)
    store = await open_s3(url, tmp_path, seconds=1)
    proxy.hang(WHOLE)
    await write(store, b"data")
    assert await store.measure_object(KEY) == 4
    assert proxy.times_left == 0


async def test_a_server_that_hangs_is_away(
    s3_server: S3Server, proxy: S3Proxy, prefix: str, tmp_path: Path
) -> None:
    url = s3_server.url(prefix, endpoint=proxy.endpoint)
    await open_s3(url, tmp_path)
    hasty = await open_s3(url, tmp_path, seconds=0.2)
    proxy.hang("^HEAD ", times=100)
    with pytest.raises(DomainError) as failure:
        await hasty.measure_object(KEY)
    assert failure.value.metadata == {"dependency": "object store"}


async def test_a_part_that_fails_is_sent_again(store: S3Store, proxy: S3Proxy) -> None:
    data = some(PART_BYTES + 9)
    proxy.answer("^PUT .*partNumber=", "503 Slow Down", "SlowDown")
    await write(store, data)
    assert await store.read_ranges(KEY, [(0, len(data))], parts) == [data]


async def test_retries_have_a_budget(store: S3Store, proxy: S3Proxy) -> None:
    before = len(proxy.requests)
    proxy.answer("^HEAD ", "503 Slow Down", "SlowDown", times=2)
    assert await store.measure_object(KEY) is None
    # Twice refused, then answered; and the store was asked who it is.
    assert len(proxy.requests) - before == 4
    proxy.answer("^HEAD ", "503 Slow Down", "SlowDown", times=100)
    with pytest.raises(DomainError):
        await store.measure_object(KEY)
    assert len(proxy.requests) - before == 8


@pytest.mark.parametrize(
    ("status", "code"),
    [("507 Insufficient Storage", "XMinioStorageFull"), ("403 Forbidden", "QuotaExceeded")],
)
async def test_a_store_that_is_full(store: S3Store, proxy: S3Proxy, status: str, code: str) -> None:
    proxy.answer(WHOLE, status, code, times=100)
    with pytest.raises(OSError, match="No space") as failure:
        await write(store, b"data")
    assert failure.value.errno == errno.ENOSPC
    proxy.answer(WHOLE, status, code, times=0)
    await write(store, b"data")


async def test_a_server_without_conditions(store: S3Store, proxy: S3Proxy) -> None:
    proxy.answer("(?i)if-none-match", "501 Not Implemented", "NotImplemented", times=100)
    await write(store, b"data")
    assert await store.measure_object(KEY) == 4
    conditional = [head for head in proxy.requests if b"if-none-match" in head.lower()]
    await write(store, b"more")
    assert conditional == [head for head in proxy.requests if b"if-none-match" in head.lower()]


async def test_encryption_and_storage_class_are_passed_on(
    s3_server: S3Server, proxy: S3Proxy, prefix: str, tmp_path: Path
) -> None:
    url = s3_server.url(
        prefix,
        endpoint=proxy.endpoint,
        encryption="aws:kms",
        kms_key="the-key",
        storage_class="STANDARD_IA",
    )
    where = parse_store_url(url)
    assert isinstance(where, S3Location)
    store = S3Store(where, "here", tmp_path / "spool", seconds=5)
    proxy.answer("^PUT ", "403 Forbidden", "AccessDenied", times=1)
    with pytest.raises(DomainError):
        await write(store, b"data")
    proxy.answer("^POST ", "403 Forbidden", "AccessDenied", times=1)
    with pytest.raises(DomainError):
        await write(store, bytes(PART_BYTES + 1))
    puts = [head.lower() for head in proxy.requests if re.match(b"PUT [^?]* |POST ", head)]
    assert len(puts) == 2
    for head in puts:
        assert b"x-amz-server-side-encryption: aws:kms\r\n" in head
        assert b"x-amz-server-side-encryption-aws-kms-key-id: the-key\r\n" in head
        assert b"x-amz-storage-class: standard_ia\r\n" in head


async def test_who_may_delete_costs_two_requests(
    databases: Databases, settings: Settings, s3_server: S3Server, proxy: S3Proxy, prefix: str
) -> None:
    (database,) = databases.every()
    url = s3_server.url(prefix, endpoint=proxy.endpoint)
    store = await open_known_store(database, settings.model_copy(update={"store": url}))
    before = len(proxy.requests)
    await require_owner(database, store, settings.cell)
    await renew_stamp(database, store, settings.cell)
    assert len(proxy.requests) - before == 4


class TestService:
    """What callers of the chunk service see."""

    @pytest.fixture
    def settings(
        self, settings: Settings, s3_server: S3Server, proxy: S3Proxy, prefix: str
    ) -> Settings:
        url = s3_server.url(prefix, endpoint=proxy.endpoint)
        return settings.model_copy(update={"store": url})

    async def test_statuses(self, api: Api, proxy: S3Proxy) -> None:
        shelf = await Shelf.open(api)
        data, other = some(), some()
        proxy.lose_answers(WHOLE)
        await shelf.put(data)
        proxy.answer(WHOLE, "507 Insufficient Storage", "XMinioStorageFull", times=100)
        with refused(StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL"):
            await shelf.put(other)
        proxy.answer("^GET ", "404 Not Found", "NoSuchBucket", times=100)
        with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
            await shelf.download(data)
        proxy.lose_answers("^GET ", times=100)
        with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
            await shelf.download(data)
        proxy.lose_answers("^GET ", times=0)
        await shelf.get(data)
        assert await shelf.missing(data, other) == [False, True]
        assert await api.value("SELECT count(*) FROM packs WHERE state = 'open'") == 0
        assert await api.value("SELECT count(*) FROM chunks WHERE lost_at IS NOT NULL") == 0
        await proxy.stop()
        with refused(StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"):
            await shelf.download(data)
