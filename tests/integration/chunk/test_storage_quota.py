"""How much repositories and organisations may hold: reserved by uploads, settled by pushes, given back."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from dits.chunk.v1 import chunk_service_pb2 as pb
from dits.repo.v1 import repository_service_pb2 as repo_pb
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc.error_details_pb2 import QuotaFailure
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.chunks import chunk
from tests.support.counters import assert_counters
from tests.support.notifications import BEGUN, list_told, until
from tests.support.organizations import Studio
from tests.support.repositories import Holding
from tests.support.rivals import together
from tests.support.trees import build, commit, push_commit, upload

FULL = (StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")


async def limit(films: Holding, size: int) -> None:
    """Limits what the repository may hold."""
    request = repo_pb.UpdateRepositorySettingsRequest(
        repository=films.id,
        settings=repo_pb.RepositorySettings(max_storage_bytes=size),
        update_mask=FieldMask(paths=["max_storage_bytes"]),
    )
    await films.api.repositories.UpdateRepositorySettings(request, metadata=films.owner.auth)


async def bring(films: Holding, *contents: bytes, who: Account | None = None) -> None:
    """Uploads files of one chunk each."""
    tree = build({str(number): content for number, content in enumerate(contents)})
    await upload(films.api, who or films.owner, films.repository, tree.chunks)


async def held(films: Holding) -> int:
    """The bytes that the repository holds, as the database counts them."""
    query = "SELECT held_bytes FROM repository_storage WHERE repo_id = $1::uuid"
    return int(await films.api.value(query, films.id) or 0)


async def test_uploads_reserve_and_pushes_settle(api: Api) -> None:
    films = await Holding.open(api)
    await limit(films, 1000)
    a, b = os.urandom(600), os.urandom(400)
    await bring(films, a, b)
    assert await held(films) == 1000
    # What is held already is no more.
    await bring(films, a, b)
    with refused(*FULL) as refusal:
        await bring(films, b"x")
    assert refusal.metadata == {"scope": "repository", "limit": "1000", "held": "1000"}
    assert refusal.detail(QuotaFailure).violations[0].subject == "repository"
    tree = build({"0": a, "1": b})
    await push_commit(api, films.owner, films.repository, commit(tree), tree)
    assert await held(films) == 1000
    await limit(films, 0)
    await bring(films, b"x")
    await limit(films, 1001)
    await assert_counters(api.dsn)


async def test_a_refused_pack_leaves_nothing(api: Api) -> None:
    films = await Holding.open(api)
    await limit(films, 1000)
    with refused(*FULL) as refusal:
        await bring(films, os.urandom(700), os.urandom(700))
    assert refusal.metadata["held"] == "0"
    assert await held(films) == 0
    assert await api.value("SELECT count(*) FROM chunks") == 0
    await assert_counters(api.dsn)


async def test_claims_that_end_give_room_back(api: Api) -> None:
    films = await Holding.open(api)
    await limit(films, 1000)
    await bring(films, os.urandom(1000))
    # As the sweep does it.
    await api.fetch("DELETE FROM chunk_refs WHERE claimed_at IS NOT NULL")
    await api.fetch("UPDATE chunks SET ref_count = 0, delete_after = now()")
    assert await held(films) == 0
    await bring(films, os.urandom(1000))
    await assert_counters(api.dsn)


async def test_what_is_planned_is_judged_at_the_beginning(api: Api) -> None:
    films = await Holding.open(api)
    await limit(films, 1000)
    told = {
        1000: None, 1001: FULL, -1: (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
    }  # fmt: skip
    for planned, refusal in told.items():
        requests = iter([pb.UploadChunksRequest(repository=films.id, planned_bytes=planned)])
        stream = api.chunks.UploadChunks(requests, metadata=films.owner.auth)
        if refusal is None:
            assert [answer.acknowledged_message_count async for answer in stream] == [1]
        else:
            with refused(*refusal):
                await stream.read()
    late = iter(
        [pb.UploadChunksRequest(repository=films.id), pb.UploadChunksRequest(planned_bytes=1)]
    )
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as late_refusal:
        await anext(aiter(api.chunks.UploadChunks(late, metadata=films.owner.auth)))
    assert late_refusal.message.startswith("planned_bytes: ")


async def test_an_organisation_shares_its_plan(api: Api) -> None:
    await until(api, BEGUN)
    studio = await Studio.open(api, "admin", "member")
    owner = studio.people["owner"]
    await api.fetch("UPDATE organizations SET plan_storage_bytes = 1000")
    films = []
    for name in ("one", "two", "three"):
        request = CreateRepositoryRequest(owner=studio.organization.name, name=name)
        made = await api.repositories.CreateRepository(request, metadata=owner.auth)
        films.append(Holding(api, owner, made.repository))
    one, two, three = films
    await bring(one, os.urandom(790))
    await bring(two, os.urandom(20))
    with refused(*FULL) as refusal:
        await bring(two, os.urandom(191))
    assert refusal.metadata == {"scope": "organization", "limit": "1000", "held": "810"}
    # Of three at once that fit one by one, two do.
    won, reasons = await together(*(bring(one, os.urandom(80)) for one in films))
    assert (won, reasons) == (2, ["QUOTA_EXCEEDED"])
    events = await api.fetch("SELECT payload::text FROM events WHERE type LIKE 'repo.storage%'")
    assert len(events) == 2
    name = studio.organization.name
    assert await list_told(api, owner) == [
        ("repo.storage_nearly_full", f"The storage of {name} is 80 percent full"),
        ("repo.storage_nearly_full", f"The storage of {name} is 95 percent full"),
    ]
    assert len(await list_told(api, studio.people["admin"])) == 2
    assert await list_told(api, studio.people["member"]) == []
    # A deleted repository holds nothing.
    await one.delete()
    await bring(three, os.urandom(100))
    await assert_counters(api.dsn)


def plan(films: Holding, size: int) -> Any:
    """An upload under way that has announced so many bytes."""
    stream = films.api.chunks.UploadChunks(metadata=films.owner.auth)
    first = pb.UploadChunksRequest(repository=films.id, planned_bytes=size)
    return stream, asyncio.ensure_future(stream.write(first))


async def reserved(films: Holding) -> int:
    """The bytes that uploads to the repository have reserved."""
    query = "SELECT sum(byte_count) FROM storage_reservations WHERE repo_id = $1::uuid"
    return int(await films.api.value(query, films.id) or 0)


async def until_reserved(films: Holding, size: int) -> None:
    while await reserved(films) != size:
        pass


async def test_what_is_planned_is_kept_free_until_the_upload_ends(api: Api) -> None:
    films = await Holding.open(api)
    await limit(films, 1000)
    first, written = plan(films, 600)
    await written
    await until_reserved(films, 600)
    with refused(*FULL) as refusal:
        second, _ = plan(films, 401)
        await second.read()
    assert refusal.metadata == {"scope": "repository", "limit": "1000", "held": "600"}
    # Who has announced nothing gets no reserved room either.
    with refused(*FULL):
        await bring(films, os.urandom(401))
    await bring(films, os.urandom(400))
    content = os.urandom(500)
    await first.write(pb.UploadChunksRequest(chunks=[chunk(content)]))
    await first.done_writing()
    assert [answer.acknowledged_message_count async for answer in first] == [2]
    await until_reserved(films, 0)
    assert await held(films) == 900
    await bring(films, os.urandom(100))
    await assert_counters(api.dsn)


async def test_uploads_to_an_organisation_share_what_is_free(api: Api) -> None:
    studio = await Studio.open(api)
    owner = studio.people["owner"]
    await api.fetch("UPDATE organizations SET plan_storage_bytes = 1000")
    films = []
    for name in ("one", "two"):
        request = CreateRepositoryRequest(owner=studio.organization.name, name=name)
        made = await api.repositories.CreateRepository(request, metadata=owner.auth)
        films.append(Holding(api, owner, made.repository))
    streams = [plan(each, 300)[0] for each in films * 4]
    reads = [asyncio.ensure_future(stream.read()) for stream in streams]
    while (
        await api.value("SELECT count(*) FROM storage_reservations") < 3
        or sum(read.done() for read in reads) < 5
    ):
        pass
    assert await api.value("SELECT sum(byte_count) FROM storage_reservations") == 900
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    for each in films:
        await until_reserved(each, 0)


async def test_a_reservation_whose_server_is_gone_ends_by_itself(api: Api) -> None:
    films = await Holding.open(api)
    await limit(films, 1000)
    await api.fetch(
        """INSERT INTO storage_reservations (id, repo_id, byte_count, expires_at)
           VALUES (gen_random_uuid(), $1::uuid, 1000, now() + interval '1 hour')""",
        films.id,
    )
    with refused(*FULL):
        await bring(films, b"x")
    await api.fetch("UPDATE storage_reservations SET expires_at = now()")
    await bring(films, b"x")
    stream, written = plan(films, 900)
    await written
    await until_reserved(films, 900)
    stream.cancel()
    await until_reserved(films, 0)
