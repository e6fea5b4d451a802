"""The statistics of a repository."""

from __future__ import annotations

import asyncio

import pytest
from dits.repo.v1 import repository_service_pb2 as pb
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.repositories import Holding
from tests.support.trees import save
from tests.support.waiting import PATIENCE_SECONDS


async def read_stats(films: Holding) -> pb.GetRepositoryStatsResponse:
    request = pb.GetRepositoryStatsRequest(repository=films.id)
    response: pb.GetRepositoryStatsResponse = await films.api.repositories.GetRepositoryStats(
        request, metadata=films.owner.auth
    )
    return response


async def test_who_asks_has_it_counted_again(api: Api) -> None:
    films = await Holding.open(api)
    assert (await read_stats(films)).dedup_ratio == 1
    files: dict[str, bytes | str] = {"a": b"x" * 1000, "b": b"x" * 1000, "c": b"y"}
    await save(api, films.owner, films.repository, files)
    first = await read_stats(films)
    assert (first.commit_count, first.branch_count, first.file_count) == (1, 1, 2)
    assert (first.logical_bytes, first.held_bytes) == (1001, 1001)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (stats := await read_stats(films)).count_time == first.count_time:
            pass
    assert (stats.contributor_count, stats.chunk_count, stats.storage_bytes) == (1, 2, 1001)
    assert stats.dedup_ratio == pytest.approx(1)
    assert stats.last_activity_time.seconds > 0
    await films.delete()
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await read_stats(films)
