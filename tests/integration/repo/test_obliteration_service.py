"""Contents that are removed from every version: gone for all readers, kept out, and given back."""

from __future__ import annotations

from typing import Any

import pytest
from dits.repo.v1.repository_service_pb2 import GetRepositoryStatsRequest
from grpc import StatusCode

from services.repo.trees import obliterations
from tests.support.api import Account, Api, refused
from tests.support.counters import assert_counters
from tests.support.obliterations import (
    LARGE,
    SECRET,
    WHY,
    get_asset,
    has_chunk,
    lift,
    list_obliterated,
    name,
    obliterate,
    open_films,
    stream_reasons,
    wait_for_erasure,
)
from tests.support.repositories import Holding
from tests.support.trees import CHUNK, build, save, upload


async def logical_bytes(films: Holding) -> int:
    request = GetRepositoryStatsRequest(repository=films.id)
    response = await films.api.repositories.GetRepositoryStats(request, metadata=films.owner.auth)
    count: int = response.logical_bytes
    return count


async def test_what_is_obliterated_is_gone_and_all_else_stays(api: Api) -> None:
    films, first, second = await open_films(api)
    elsewhere = await Holding.open(api)
    await save(api, elsewhere.owner, elsewhere.repository, {"mine.mov": SECRET})
    before = await logical_bytes(films)

    preview = await obliterate(films, "d/secret.mov", SECRET, validate_only=True)
    assert (preview.obliteration.size, preview.obliteration.reason) == (2 * CHUNK, WHY)
    assert not preview.obliteration.HasField("create_time")
    assert await list_obliterated(films) == []
    done = await obliterate(films, "d/secret.mov", SECRET)
    shown = done.obliteration
    assert (shown.hash, shown.reason, shown.size) == (name(SECRET), WHY, 2 * CHUNK)
    assert (shown.obliterated_by, shown.manifest_count) == (films.owner.username, 3)
    assert shown.HasField("create_time")
    assert not shown.is_pending

    assert await list_obliterated(films) == [shown]
    assert await stream_reasons(films, first) == {name(SECRET): WHY}
    # The other chunk is in another file of the repository.
    assert [await has_chunk(films, part * CHUNK) for part in (b"s", b"h", b"o")] == [0, 1, 1]
    assert await has_chunk(elsewhere, b"s" * CHUNK)
    with refused(StatusCode.FAILED_PRECONDITION, "CONTENT_OBLITERATED") as told:
        await get_asset(films, SECRET)
    assert told.metadata == {"hash": name(SECRET), "reason": WHY}
    assert WHY in told.message
    assert (await get_asset(elsewhere, SECRET)).obliteration_reason == ""
    assert await logical_bytes(films) == before - 2 * CHUNK
    events = ["repo.created", "push", "push", "repo.content_obliterated"]
    assert await films.events() == events
    assert (await films.audited())[-1] == "content.obliterated"
    await assert_counters(api.dsn)

    again = await obliterate(films, "copy.mov", SECRET, reason="another")
    assert again.obliteration == shown
    assert await films.events() == events
    await api.fetch("SELECT update_repo_stats($1::uuid)", films.id)
    assert await logical_bytes(films) == before - 2 * CHUNK
    await obliterate(films, "d/secret.mov", SECRET, revision=second)


async def test_large_files_and_their_chunk_lists_go_and_come_back(api: Api) -> None:
    films, *_ = await open_films(api)
    done = await obliterate(films, "large", LARGE)
    assert done.obliteration.is_pending
    await wait_for_erasure(films)
    await assert_counters(api.dsn)
    # The chunk list is gone, and not needed.
    done.obliteration.is_pending = False
    assert (await obliterate(films, "large", LARGE)).obliteration == done.obliteration
    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING"):
        await lift(films, "large", LARGE)
    chunks = build({"large": LARGE}).chunks
    listed = {digest: data for digest, data in chunks.items() if len(data) != CHUNK}
    await upload(api, films.owner, films.repository, listed)
    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING") as told:
        await lift(films, "large", LARGE)
    assert told.metadata["count"] == "12"
    before = await logical_bytes(films)
    await upload(api, films.owner, films.repository, chunks)
    await lift(films, "large", LARGE)
    await lift(films, "large", LARGE)
    assert await list_obliterated(films) == []
    assert (await get_asset(films, LARGE)).obliteration_reason == ""
    assert await logical_bytes(films) == before + len(LARGE)
    assert await films.events() == [
        "repo.created", "push", "push", "repo.content_obliterated", "repo.obliteration_lifted"
    ]  # fmt: skip
    assert (await films.audited())[-1] == "obliteration.lifted"
    await assert_counters(api.dsn)


async def test_lists_have_pages(api: Api) -> None:
    films, *_ = await open_films(api)
    await obliterate(films, "d/secret.mov", SECRET)
    await obliterate(films, "large", LARGE)
    await wait_for_erasure(films)
    listed = await list_obliterated(films, 1)
    assert [each.hash for each in listed] == sorted([name(SECRET), name(LARGE)])
    assert listed == await list_obliterated(films)
    assert await stream_reasons(films) == {each.hash: WHY for each in listed}


async def test_who_may(api: Api) -> None:
    films, *_ = await open_films(api)
    writer, reader, stranger = [await api.account() for _ in range(3)]
    await api.grant(films.repository, writer, "write")
    await api.grant(films.repository, reader, "read")
    tired = await api.session(films.owner, sudo=False)
    weak = await api.api_token(films.owner, "repo:write")
    machine = await api.api_token(films.owner, "repo:admin")
    denied = StatusCode.PERMISSION_DENIED
    refusals: list[tuple[Account, StatusCode, str]] = [
        (writer, denied, "PERMISSION_MISSING"),
        (reader, denied, "PERMISSION_MISSING"),
        (stranger, StatusCode.NOT_FOUND, "NOT_FOUND"),
        (tired, denied, "SUDO_REQUIRED"),
        (weak, denied, "SCOPE_MISSING"),
        (machine, denied, "SUDO_REQUIRED"),
    ]
    for who, code, reason in refusals:
        with refused(code, reason):
            await obliterate(films, "large", LARGE, who)
        with refused(code, reason):
            await lift(films, "large", LARGE, who)
    await films.update(archived=True)
    await obliterate(films, "large", LARGE)


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"reason": ""}, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        ({"reason": " \n"}, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        ({"reason": "x" * 1001}, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        ({"hash": "x"}, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        ({"path": "../x"}, StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        ({"path": "nowhere"}, StatusCode.NOT_FOUND, "NOT_FOUND"),
        ({"path": "d"}, StatusCode.NOT_FOUND, "NOT_FOUND"),
        ({"path": "d/other.mov"}, StatusCode.NOT_FOUND, "NOT_FOUND"),
        ({"revision": "none"}, StatusCode.NOT_FOUND, "NOT_FOUND"),
    ],
)
async def test_wrong_requests(
    api: Api, fields: dict[str, Any], code: StatusCode, reason: str
) -> None:
    films, *_ = await open_films(api)
    with refused(code, reason):
        await obliterate(films, "large", LARGE, **fields)
    if "reason" not in fields:
        with refused(code, reason):
            await lift(films, "large", LARGE, **fields)
    assert await list_obliterated(films) == []


async def test_a_file_without_bytes(api: Api) -> None:
    films = await Holding.open(api)
    await save(api, films.owner, films.repository, {"empty": b""})
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await obliterate(films, "empty", b"")


async def test_there_is_a_limit(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obliterations, "MOST_OBLITERATIONS", 1)
    films, *_ = await open_films(api)
    await obliterate(films, "large", LARGE)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"):
        await obliterate(films, "d/secret.mov", SECRET)
