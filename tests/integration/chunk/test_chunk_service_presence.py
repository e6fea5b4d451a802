"""GetCapabilities and FindMissingChunks."""

from __future__ import annotations

from datetime import timedelta

from dits.chunk.v1 import chunk_service_pb2 as pb
from grpc import StatusCode

from services.chunk.catalog.presence import Q
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.chunks import Shelf, assert_stored, digest, some


async def test_capabilities(api: Api) -> None:
    told = await api.chunks.GetCapabilities(pb.GetCapabilitiesRequest())
    assert told.max_chunk_bytes == 16 << 20
    assert told.max_stream_message_bytes > told.max_chunk_bytes
    assert (told.max_hashes, told.max_paths) == (10_000, 1000)
    assert list(told.compressions) == [pb.COMPRESSION_NONE, pb.COMPRESSION_ZSTD]
    assert told.claim_lease_seconds == 86_400
    assert told.server_version
    starts = [profile.min_file_bytes for profile in told.chunking]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    for profile in told.chunking:
        assert 0 < profile.min_bytes < profile.average_bytes < profile.max_bytes
        assert profile.max_bytes <= told.max_chunk_bytes


async def test_bits_are_counted_from_the_lowest(api: Api) -> None:
    shelf = await Shelf.open(api)
    data = [some() for _ in range(20)]
    await shelf.put(*data)
    asked = [*data[:9], some(), *data[9:]]
    request = pb.FindMissingChunksRequest(
        repository=shelf.repo.id, hashes=b"".join(map(digest, asked))
    )
    response = await api.chunks.FindMissingChunks(request, metadata=shelf.who.auth)
    assert response.missing == b"\x00\x02\x00"
    assert response.missing_count == 1


async def test_sizes_of_requests(api: Api) -> None:
    shelf = await Shelf.open(api)
    assert await shelf.missing() == []
    known = some()
    await shelf.put(known)
    absent = [n.to_bytes(2, "big") for n in range(9999)]
    assert await shelf.missing(*absent, known) == [True] * 9999 + [False]
    assert await shelf.missing(known, absent[0], known) == [False, True, False]
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE") as refusal:
        await shelf.missing(*absent, known, known)
    assert refusal.metadata == {"field": "hashes", "limit": "10000", "count": "10001"}
    request = pb.FindMissingChunksRequest(repository=shelf.repo.id, hashes=bytes(31))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.chunks.FindMissingChunks(request, metadata=shelf.who.auth)


async def age(api: Api, claims: timedelta) -> None:
    await api.fetch("UPDATE chunk_refs SET claimed_at = now() - $1::interval", claims)


async def youngest_claim(api: Api) -> timedelta:
    age: timedelta = await api.value("SELECT now() - min(claimed_at) FROM chunk_refs")
    return age


async def test_what_is_found_is_kept_for_another_lease(api: Api) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    # In the first half of a lease nothing is written.
    await age(api, timedelta(hours=11))
    assert await shelf.missing(data) == [False]
    assert await youngest_claim(api) > timedelta(hours=10)
    await age(api, timedelta(hours=13))
    assert await shelf.missing(data) == [False]
    assert await youngest_claim(api) < timedelta(hours=1)


async def test_what_is_uploaded_again_is_kept_for_another_lease(
    api: Api, settings: Settings
) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    await age(api, timedelta(hours=13))
    assert (await shelf.put(data)).stored_chunk_count == 0
    assert await youngest_claim(api) < timedelta(hours=1)
    await assert_stored(api, settings)


async def test_a_referenced_chunk_has_no_lease(api: Api) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    await api.fetch("UPDATE chunk_refs SET ref_count = 1, claimed_at = NULL")
    assert await shelf.missing(data) == [False]
    assert await api.value("SELECT claimed_at FROM chunk_refs") is None


async def test_a_lost_chunk_is_missing_and_taken_again(api: Api) -> None:
    shelf = await Shelf.open(api)
    data = some()
    await shelf.put(data)
    await api.fetch("UPDATE chunks SET lost_at = now()")
    assert await shelf.missing(data) == [True]
    # Its bytes are written, and not skipped as those of a chunk that is there.
    await shelf.put(data)
    assert await api.value("SELECT count(*) FROM object_deletions") == 1


async def test_many_lost_chunks_of_others_are_in_nobodys_way(api: Api, dsn: str) -> None:
    shelf = await Shelf.open(api)
    kept, lost = some(), some()
    await shelf.put(kept, lost)
    await api.fetch("UPDATE chunks SET lost_at = now() WHERE hash = $1", digest(lost).hex())
    await api.fetch(
        "INSERT INTO chunks (hash, size, storage_bucket, storage_key, ref_count, lost_at)"
        " SELECT lpad(n::text, 64, '0'), 1, storage_bucket, storage_key, 1, now()"
        " FROM generate_series(1, 1001) n, (SELECT * FROM chunks LIMIT 1) c"
    )
    assert await shelf.missing(kept, lost) == [False, True]
    # 150,000 lost chunks, which were all compared with each that was asked for, took more than a minute.
    # By its hash (idx_chunks_lost_hash), only that one is looked up.
    explain = f"EXPLAIN {Q.present_chunks}"
    plan = await api.fetch(explain, shelf.repo.id, digest(kept) + digest(lost), True)
    assert [row[0] for row in plan if "idx_chunks_lost " in row[0]] == []
