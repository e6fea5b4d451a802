"""A content is obliterated, or given back, at the moment of a push or an upload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from dits.repo.v1.asset_pb2 import UpdateAssetMetadataRequest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.counters import assert_counters
from tests.support.obliterations import (
    WHY,
    lift,
    list_obliterated,
    name,
    obliterate,
)
from tests.support.repositories import Holding
from tests.support.rivals import together
from tests.support.trees import build, save, upload
from tests.support.waiting import until_blocked

SECRET = b"secret"
FILES: dict[str, bytes | str] = {"a": SECRET, "b": b"other"}
MORE = FILES | {"copy": SECRET}


@asynccontextmanager
async def blocked_at(
    api: Api, first: str, second: Awaitable[Any], *arguments: object
) -> AsyncIterator[asyncio.Future[Any]]:
    """Lets `second` begin and wait for a transaction that has run `first`, which then commits."""
    connection, observer = await asyncpg.connect(api.dsn), await asyncpg.connect(api.dsn)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(first, *arguments)
        waiting = asyncio.ensure_future(second)
        await until_blocked(observer)
        yield waiting
        await transaction.commit()
        await asyncio.wait([waiting])
    finally:
        await connection.close()
        await observer.close()


async def test_it_waits_for_pushes_and_uploads(api: Api) -> None:
    films = await Holding.open(api)
    await save(api, films.owner, films.repository, FILES)
    # What a push, and an upload, do first.
    share = "SELECT FROM repositories WHERE id = $1::uuid AND deleted_at IS NULL FOR KEY SHARE"
    async with blocked_at(api, share, obliterate(films, "a", SECRET), films.id) as waiting:
        assert await list_obliterated(films) == []
    assert (await waiting).obliteration.reason == WHY
    await assert_counters(api.dsn)


@pytest.mark.parametrize("change", ["push", "metadata"])
async def test_who_waited_for_it_is_refused(api: Api, change: str) -> None:
    films = await Holding.open(api)
    head = await save(api, films.owner, films.repository, FILES)
    request = UpdateAssetMetadataRequest(
        repository=films.id,
        hash=name(SECRET),
        mime_type="text/plain",
        update_mask=FieldMask(paths=["mime_type"]),
    )
    calls: dict[str, Any] = {
        "push": lambda: save(api, films.owner, films.repository, MORE, parent=head),
        "metadata": lambda: api.trees.UpdateAssetMetadata(request, metadata=films.owner.auth),
    }
    await upload(api, films.owner, films.repository, build(MORE).chunks)
    alone = """WITH held AS MATERIALIZED (SELECT id FROM repositories WHERE id = $1::uuid FOR UPDATE)
               INSERT INTO obliterations (repo_id, hash, reason, obliterated_by)
               SELECT id, $2, $3, $4 FROM held"""

    async def called() -> None:
        await calls[change]()

    arguments = (films.id, name(SECRET), WHY, films.owner.id)
    with refused(StatusCode.FAILED_PRECONDITION, "CONTENT_OBLITERATED"):
        async with blocked_at(api, alone, called(), *arguments) as waiting:
            pass
        await waiting
    # The row alone stands for no whole obliteration.
    await api.fetch("DELETE FROM obliterations WHERE repo_id = $1::uuid", films.id)


async def test_pushes_obliterations_and_uploads_at_once(api: Api) -> None:
    films, elsewhere = await Holding.open(api), await Holding.open(api)
    head = await save(api, films.owner, films.repository, FILES)
    chunks = build(MORE).chunks
    for round_number in range(6):
        more = MORE | {f"new {round_number}": SECRET}
        done, reasons = await together(
            obliterate(films, "a", SECRET, revision=head),
            save(api, films.owner, films.repository, more, branch=f"r{round_number}"),
            save(api, elsewhere.owner, elsewhere.repository, more, branch=f"r{round_number}"),
            upload(api, films.owner, films.repository, chunks),
        )
        assert set(reasons) <= {"CONTENT_OBLITERATED", "CHUNKS_MISSING"}
        assert done + len(reasons) == 4
        await assert_counters(api.dsn)
        await upload(api, films.owner, films.repository, chunks)
        done, reasons = await together(
            lift(films, "a", SECRET, revision=head),
            save(api, films.owner, films.repository, {"late": SECRET}, branch=f"l{round_number}"),
        )
        assert set(reasons) <= {"CONTENT_OBLITERATED"}
        await assert_counters(api.dsn)
        assert await list_obliterated(films) == []


async def test_two_obliterations_at_once_are_one(api: Api) -> None:
    films = await Holding.open(api)
    await save(api, films.owner, films.repository, FILES)
    calls = [obliterate(films, "a", SECRET, reason=f"reason {n}") for n in range(4)]
    assert await together(*calls) == (4, [])
    assert len(await list_obliterated(films)) == 1
    assert (await films.events()).count("repo.content_obliterated") == 1
    await assert_counters(api.dsn)
