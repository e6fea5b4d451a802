"""Chunks that clients have encrypted: the server keeps the name of the key, and the bytes as they are."""

from __future__ import annotations

import pytest
from dits.chunk.v1 import chunk_service_pb2 as pb

from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, assert_stored, chunk, digest, reasons, some

INVALID = "INVALID_FIELD"


async def read_keys(shelf: Shelf, *data: bytes) -> list[str]:
    """The keys of chunks as they are downloaded."""
    return [item.encryption_key_id for item in await shelf.download(*data)]


async def test_the_key_comes_back_with_the_bytes(api: Api, settings: Settings) -> None:
    shelf = await Shelf.open(api)
    sealed, bare = b"cipher " * 900, some()
    (answer,) = await shelf.upload([chunk(sealed, encryption_key_id="team/2026:1"), chunk(bare)])
    assert (answer.stored_chunk_count, len(answer.failures)) == (2, 0)
    found = await shelf.download(sealed, bare)
    assert [item.encryption_key_id for item in found] == ["team/2026:1", ""]
    # Never compressed, though it would shrink.
    assert (found[0].compression, found[0].data) == (pb.COMPRESSION_NONE, sealed)
    part = await shelf.download(sealed, bare, ranges=[(7, 6), (0, 1)])
    assert (part[0].data, part[0].encryption_key_id) == (b"cipher", "team/2026:1")
    row = await api.fetch("SELECT encrypted, encryption_key_id FROM chunks ORDER BY encrypted")
    assert list(map(tuple, row)) == [(False, None), (True, "team/2026:1")]
    await assert_stored(api, settings)


@pytest.mark.parametrize("keys", [("a", "b"), ("a", ""), ("", "a")])
@pytest.mark.parametrize("is_one_pack", [True, False])
async def test_one_key_in_a_repository(
    api: Api, settings: Settings, keys: tuple[str, str], is_one_pack: bool
) -> None:
    shelf = await Shelf.open(api)
    data, other = some(), some()
    first, second = (chunk(data, encryption_key_id=key) for key in keys)
    if is_one_pack:
        answers = await shelf.upload([first], [second, chunk(other)])
    else:
        answers = await shelf.upload([first]) + await shelf.upload([second, chunk(other)])
    assert sum(answer.stored_chunk_count for answer in answers) == 2
    # With the same key it is there already, and under another one it is refused.
    assert reasons(answers) == {digest(data): INVALID}
    assert reasons(await shelf.upload([first])) == {}
    assert await read_keys(shelf, data, other) == [keys[0], ""]
    await assert_stored(api, settings)


async def test_repositories_have_keys_of_their_own(api: Api, settings: Settings) -> None:
    data = some()
    shelves = [await Shelf.open(api) for _ in range(3)]
    for shelf, key in zip(shelves, ("a", "b", ""), strict=True):
        (answer,) = await shelf.upload([chunk(data, encryption_key_id=key)])
        assert (answer.stored_chunk_count, len(answer.failures)) == (1, 0)
    assert [await read_keys(shelf, data) for shelf in shelves] == [["a"], ["b"], [""]]
    await assert_stored(api, settings)


async def test_what_is_refused(api: Api) -> None:
    shelf = await Shelf.open(api)
    text, data = b"text " * 900, [some() for _ in range(4)]
    answers = await shelf.upload(
        [
            chunk(text, zstd=True, encryption_key_id="k"),
            chunk(data[0], encryption_key_id="a,b"),
            chunk(data[1], encryption_key_id="k" * 129),
            chunk(data[2], encryption_key_id="\n"),
            chunk(data[3], encryption_key_id="k" * 128),
        ]
    )
    assert reasons(answers) == dict.fromkeys(map(digest, [text, *data[:3]]), INVALID)
    assert await read_keys(shelf, data[3]) == ["k" * 128]
