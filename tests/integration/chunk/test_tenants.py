"""Two tenants: no answer tells one whether another has the same bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from dits.chunk.v1 import chunk_service_pb2 as pb
from dits.chunk.v1.maintenance_service_pb2 import GetStorageRequest
from dits.repo.v1 import repository_service_pb2 as repo_pb
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.chunks import Shelf, chunk, plain, reason
from tests.support.collection import reference

SIZES = (700, 3000)


def make_contents() -> list[bytes]:
    """Bytes that nobody has yet, and that compress alike."""
    return [os.urandom(8).hex().encode() * size for size in SIZES]


async def limit(shelf: Shelf, size: int) -> None:
    """Limits what a repository may hold."""
    request = repo_pb.UpdateRepositorySettingsRequest(
        repository=shelf.repo.id,
        settings=repo_pb.RepositorySettings(max_storage_bytes=size),
        update_mask=FieldMask(paths=["max_storage_bytes"]),
    )
    await shelf.api.repositories.UpdateRepositorySettings(request, metadata=shelf.who.auth)


async def read_figures(shelf: Shelf) -> list[Any]:
    """All that a tenant is told of what a repository stores."""
    storage = GetStorageRequest(repository=shelf.repo.id)
    totals = "SELECT chunk_count, storage_bytes FROM repository_chunk_totals($1::uuid)"
    measured = "SELECT stored_bytes, apportioned_bytes FROM measure_chunks(ARRAY[$1::uuid])"
    return [
        await shelf.api.maintenance.GetStorage(storage, metadata=shelf.who.auth),
        *[tuple(row) for row in await shelf.api.fetch(totals, shelf.repo.id)],
        *[tuple(row) for row in await shelf.api.fetch(measured, shelf.repo.id)],
    ]


async def ask_everything(shelf: Shelf, contents: Sequence[bytes], *, zstd: bool) -> list[Any]:
    """The answers to a tenant who asks for chunks, brings them, and asks again."""
    answers: list[Any] = [await shelf.missing(*contents)]
    answers.append([reason(item) for item in await shelf.download(*contents)])
    answers.append([reason(item) for item in await shelf.download(*contents, ranges=[(0, 1)] * 2)])
    await limit(shelf, 1000)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED") as refusal:
        await shelf.upload([chunk(each, zstd=zstd) for each in contents])
    answers.append(refusal.metadata)
    await limit(shelf, 0)
    for _ in range(2):
        answers += await shelf.upload([chunk(each, zstd=zstd) for each in contents])
        answers.append(await shelf.missing(*contents))
        answers.append(await read_figures(shelf))
    answers.append(await reference(shelf, *contents))
    answers.append(await read_figures(shelf))
    return answers


@pytest.mark.parametrize("zstd", [False, True])
async def test_nobody_learns_what_others_have(api: Api, zstd: bool) -> None:
    shared, fresh = make_contents(), make_contents()
    # They store it in the other form.
    victim = await Shelf.open(api)
    await victim.upload([chunk(each, zstd=not zstd) for each in shared])
    await reference(victim, *shared)
    before = await read_figures(victim)
    prober, control = await Shelf.open(api), await Shelf.open(api)
    assert await ask_everything(prober, shared, zstd=zstd) == await ask_everything(
        control, fresh, zstd=zstd
    )
    assert await read_figures(victim) == before
    assert [plain(item) for item in await prober.download(*shared)] == shared


async def test_an_owner_pays_once_for_what_the_own_repositories_share(api: Api) -> None:
    contents = make_contents()
    total = sum(map(len, contents))
    first, stranger = await Shelf.open(api), await Shelf.open(api)
    second = Shelf(api, first.who, await api.repository(first.who))
    for shelf in (first, second, stranger):
        answer = await shelf.put(*contents)
        assert (answer.stored_chunk_count, answer.stored_bytes) == (2, total)
        await reference(shelf, *contents)
    assert (await read_figures(first))[-1] == (total, total // 2)
    assert (await read_figures(second))[-1] == (total, total // 2)
    assert (await read_figures(stranger))[-1] == (total, total)
    await api.fetch(
        "UPDATE repositories SET deleted_at = now() WHERE id = $1::uuid", second.repo.id
    )
    assert (await read_figures(first))[-1] == (total, total)


async def test_what_was_lost_is_counted_when_it_is_whole_again(api: Api) -> None:
    shelf = await Shelf.open(api)
    contents = make_contents()
    await shelf.put(*contents)
    await api.fetch("UPDATE chunks SET lost_at = now()")
    answer: pb.UploadChunksResponse = await shelf.put(*contents)
    assert (answer.stored_chunk_count, answer.stored_bytes) == (2, sum(map(len, contents)))
