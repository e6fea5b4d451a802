"""Rights that the server lacks in a bucket are told as what they are, and nobody waits for them to come."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from grpc import StatusCode

from services.admin.stores import check_stores
from services.chunk.stores.s3_store import S3Store
from shared.db.pool import Database
from shared.errors import DomainError
from shared.runtime.config import ConfigError, Settings
from shared.runtime.store_url import S3Location, parse_store_url
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, some
from tests.support.s3_proxy import S3Proxy
from tests.support.s3_server import S3Server

KEY = "0/" + "cd" * 16
REFUSED = (StatusCode.UNAVAILABLE, "STORE_REFUSES")
_numbers = itertools.count(1)


@pytest.fixture
def prefix() -> str:
    return f"rights/{next(_numbers)}"


def open_s3(url: str, tmp_path: Path) -> S3Store:
    where = parse_store_url(url)
    assert isinstance(where, S3Location)
    return S3Store(where, "here", tmp_path / "spool", 10)


async def write(store: S3Store) -> None:
    writer = store.open_writer(KEY)
    try:
        await writer.write_parts([b"data"])
        await writer.seal()
    finally:
        await writer.discard()


async def count_objects(store: S3Store) -> int:
    return sum([len(keys) async for keys in store.list_objects(0)])


def sizes(views: list[memoryview]) -> list[int]:
    return [len(view) for view in views]


ASK: dict[str, tuple[str, Callable[[S3Store], Awaitable[object]]]] = {
    "put": ("^PUT ", write),
    "get": (f"^GET [^?]*{KEY}", lambda store: store.read_ranges(KEY, [(0, 4)], sizes)),
    "head": ("^HEAD ", lambda store: store.measure_object(KEY)),
    "list": ("^GET .*list-type", count_objects),
    "delete": ("^(DELETE|POST) ", lambda store: store.delete_object(KEY)),
    "owner": ("^PUT ", lambda store: store.write_owner(0, "text", is_first=False)),
}


@pytest.mark.parametrize("what", ASK)
@pytest.mark.parametrize("code", ["AccessDenied", "SignatureDoesNotMatch"])
async def test_what_a_store_refuses(
    s3_server: S3Server, proxy: S3Proxy, prefix: str, tmp_path: Path, what: str, code: str
) -> None:
    store = open_s3(s3_server.url(prefix, endpoint=proxy.endpoint), tmp_path)
    store.expected_id = await store.create("5f2f4f5e-0000-4000-8000-000000000001")
    matching, ask = ASK[what]
    if what != "put":
        await write(store)
    proxy.answer(matching, "403 Forbidden", code, times=100)
    with pytest.raises(DomainError) as failure:
        await ask(store)
    told = "403" if what == "head" else code
    assert failure.value.message == f"the store of here refuses requests of the server: {told}"
    assert failure.value.metadata == {"dependency": "object store", "code": told}
    # Nothing is asked for twice.
    assert 100 - proxy.times_left == 1


class TestService:
    """A server that may read, and do nothing else."""

    @pytest.fixture
    def settings(
        self, settings: Settings, s3_server: S3Server, proxy: S3Proxy, prefix: str
    ) -> Settings:
        url = s3_server.url(prefix, endpoint=proxy.endpoint)
        return settings.model_copy(update={"store": url})

    async def test_callers_and_operators_are_told(
        self, api: Api, settings: Settings, s3_server: S3Server, prefix: str
    ) -> None:
        shelf, data = await Shelf.open(api), some()
        await shelf.put(data)
        narrow = s3_server.url(prefix, credentials=str(s3_server.reader_credentials))
        database = await Database.connect(api.dsn, service="test", size=2)
        try:
            with pytest.raises(ConfigError) as failure:
                await check_stores(database, settings.model_copy(update={"store": narrow}))
        finally:
            await database.close()
        assert "refuses requests of the server: AccessDenied" in str(failure.value)

    async def test_statuses(self, api: Api, proxy: S3Proxy) -> None:
        shelf, data, other = await Shelf.open(api), some(), some()
        await shelf.put(data)
        for matching, call in (
            ("^PUT ", lambda: shelf.put(other)), ("^GET ", lambda: shelf.download(data)),
        ):  # fmt: skip
            proxy.answer(matching, "403 Forbidden", "AccessDenied", times=100)
            with refused(*REFUSED) as refusal:
                await call()
            assert refusal.metadata == {"dependency": "object store", "code": "AccessDenied"}
            assert "refuses requests of the server: AccessDenied" in refusal.message
        assert await api.value("SELECT count(*) FROM chunks WHERE lost_at IS NOT NULL") == 0
        proxy.answer("^GET ", "403 Forbidden", "AccessDenied", times=0)
        await shelf.get(data)
