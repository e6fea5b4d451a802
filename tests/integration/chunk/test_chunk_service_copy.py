"""CopyChunks: from a repository that one may read into one that one may write."""

from __future__ import annotations

from uuid import UUID

from dits.chunk.v1 import chunk_service_pb2 as pb
from dits.repo.v1 import repository_service_pb2 as repo_pb
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from shared.runtime.config import Settings
from tests.support.api import Account, Api, refused
from tests.support.chunks import Shelf, assert_stored, chunk, digest, files, some
from tests.support.collection import reference


async def copy(
    shelf: Shelf, source: Shelf, *data: bytes, who: Account | None = None
) -> pb.CopyChunksResponse:
    """Copies chunks."""
    request = pb.CopyChunksRequest(
        repository=shelf.repo.id,
        source_repository=source.repo.id,
        hashes=b"".join(map(digest, data)),
    )
    response: pb.CopyChunksResponse = await shelf.api.chunks.CopyChunks(
        request, metadata=(who or shelf.who).auth
    )
    assert response.missing_count == sum(map(int.bit_count, response.missing))
    return response


async def open_two(api: Api) -> tuple[Shelf, Shelf]:
    """A repository, and one of another owner that its owner may read."""
    shelf, source = await Shelf.open(api), await Shelf.open(api)
    await api.grant(source.repo, shelf.who, "read")
    return shelf, source


async def test_bytes_are_not_sent_again(api: Api, settings: Settings) -> None:
    shelf, source = await open_two(api)
    text, sealed, had = b"text " * 900, some(), some()
    await source.upload([chunk(text, zstd=True), chunk(sealed, encryption_key_id="k"), chunk(had)])
    await shelf.put(had)
    stored = len(files(settings))
    found = await copy(shelf, source, text, some(), sealed, had, text)
    assert (found.missing, found.missing_count) == (b"\x02", 1)
    assert (found.copied_count, found.copied_bytes) == (2, len(text) + 1000)
    assert len(files(settings)) == stored
    await shelf.get(text, sealed, had)
    keys = [item.encryption_key_id for item in await shelf.download(text, sealed)]
    assert keys == ["", "k"]
    again = await copy(shelf, source, text, sealed)
    assert (again.missing_count, again.copied_count, again.copied_bytes) == (0, 0, 0)
    assert await reference(shelf, text, sealed) == []
    await assert_stored(api, settings)


async def test_the_copy_outlives_its_source(api: Api, settings: Settings) -> None:
    shelf, source = await open_two(api)
    data = some()
    await source.put(data)
    # Nothing refers to it but a claim whose lease is over; the copy is a claim of its own.
    await api.fetch("UPDATE chunk_refs SET claimed_at = now() - interval '2 days'")
    await copy(shelf, source, data)
    ages = "SELECT now() - claimed_at < interval '1 hour' FROM chunk_refs WHERE repo_id = $1::uuid"
    assert await api.value(ages, shelf.repo.id) is True
    assert await api.value(ages, source.repo.id) is False
    # A claim that is there already is renewed.
    await api.fetch("UPDATE chunk_refs SET claimed_at = now() - interval '20 hours'")
    assert (await copy(shelf, source, data)).copied_count == 0
    assert await api.value(ages, shelf.repo.id) is True
    await assert_stored(api, settings)


async def test_what_the_source_lacks_is_missing_whoever_has_it(api: Api) -> None:
    shelf, source = await open_two(api)
    elsewhere = await Shelf.open(api)
    theirs, lost, own = some(), some(), some()
    await elsewhere.put(theirs)
    await source.put(lost, own)
    await api.fetch("UPDATE chunks SET lost_at = now() WHERE hash = $1", digest(lost).hex())
    answers = [await copy(shelf, source, each) for each in (theirs, some(), lost)]
    assert answers == [pb.CopyChunksResponse(missing=b"\x01", missing_count=1)] * 3
    assert await shelf.missing(theirs, lost) == [True, True]
    # What the repository has itself is not missing, whether or not the source has it.
    mine = some()
    await shelf.put(mine)
    assert (await copy(shelf, source, mine)).missing_count == 0


async def test_who_may_copy(api: Api) -> None:
    shelf, source = await Shelf.open(api), await Shelf.open(api)
    data = some()
    await source.put(data)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await copy(shelf, source, data)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await copy(shelf, source, data, who=source.who)
    await api.grant(shelf.repo, source.who, "read")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await copy(shelf, source, data, who=source.who)
    await api.grant(shelf.repo, source.who, "write")
    token = await api.api_token(source.who, "repo:read")
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
        await copy(shelf, source, data, who=token)
    # A token that reaches the target alone does not see the source.
    narrow = await api.api_token(source.who, "repo:write", repositories=[UUID(shelf.repo.id)])
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await copy(shelf, source, data, who=narrow)
    assert await shelf.missing(data) == [True]
    assert (await copy(shelf, source, data, who=source.who)).copied_count == 1


async def test_no_more_than_there_is_room_for(api: Api, settings: Settings) -> None:
    shelf, source = await open_two(api)
    data = [some(600), some(600)]
    await source.put(*data)
    request = repo_pb.UpdateRepositorySettingsRequest(
        repository=shelf.repo.id,
        settings=repo_pb.RepositorySettings(max_storage_bytes=1000),
        update_mask=FieldMask(paths=["max_storage_bytes"]),
    )
    await api.repositories.UpdateRepositorySettings(request, metadata=shelf.who.auth)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED") as refusal:
        await copy(shelf, source, *data)
    assert refusal.metadata == {"scope": "repository", "limit": "1000", "held": "0"}
    assert await shelf.missing(*data) == [True, True]
    assert (await copy(shelf, source, data[0])).copied_count == 1
    await assert_stored(api, settings)


async def test_malformed_requests(api: Api) -> None:
    shelf, source = await open_two(api)
    request = pb.CopyChunksRequest(repository=shelf.repo.id, hashes=bytes(32))
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.chunks.CopyChunks(request, metadata=shelf.who.auth)
    for hashes, code, reason in (
        (bytes(31), StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (bytes(32 * 10_001), StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"),
    ):
        request = pb.CopyChunksRequest(
            repository=shelf.repo.id, source_repository=source.repo.id, hashes=hashes
        )
        with refused(code, reason):
            await api.chunks.CopyChunks(request, metadata=shelf.who.auth)
