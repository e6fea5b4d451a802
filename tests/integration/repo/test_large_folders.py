"""Folders of large files: what they have is counted, and their bytes are nowhere in the way."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping

import pytest
import zstandard
from blake3 import blake3
from dits.chunk.v1 import chunk_service_pb2
from dits.repo.v1 import tree_service_pb2
from dits.repo.v1.manifest_pb2 import Entry, File, Manifest
from dits.repo.v1.repository_service_pb2 import Repository

from services.repo.history.batches import split_batches
from shared.formats.canonical import content_hash
from shared.formats.commits import commit_hash
from shared.formats.manifests import encode_manifest
from shared.formats.recipes import encode_list
from tests.support.api import Account, Api
from tests.support.trees import Tree, commit, push_commit

FILES = 2_000
FILE_BYTES = 400 << 20
# Chunks that the files are made of, in other orders.
POOL = 20


async def upload_packed(
    api: Api, who: Account, repository: Repository, chunks: Mapping[bytes, bytes]
) -> None:
    """Uploads chunks in zstd."""
    compressor = zstandard.ZstdCompressor()

    async def messages() -> AsyncIterator[chunk_service_pb2.UploadChunksRequest]:
        yield chunk_service_pb2.UploadChunksRequest(repository=repository.id)
        for some in split_batches(list(chunks.items()), 100):
            yield chunk_service_pb2.UploadChunksRequest(
                chunks=[
                    chunk_service_pb2.UploadedChunk(
                        hash=digest,
                        size=len(data),
                        compression=chunk_service_pb2.COMPRESSION_ZSTD,
                        data=compressor.compress(data),
                    )
                    for digest, data in some
                ]
            )

    answers = api.chunks.UploadChunks(messages(), metadata=who.auth)
    assert not [failure async for answer in answers for failure in answer.failures]


def make_films(chunk_bytes: int) -> tuple[list[Entry], dict[bytes, bytes]]:
    """Files of so many bytes, and the chunks and recipes that they have."""
    pool = [n.to_bytes(4, "big") + bytes(chunk_bytes - 4) for n in range(POOL)]
    digests = [blake3(chunk).digest() for chunk in pool]
    chunks = dict(zip(digests, pool, strict=True))
    rng = random.Random(5)
    films = []
    for number in range(FILES):
        packed = b"".join(rng.choices(digests, k=FILE_BYTES // chunk_bytes))
        recipes = list(encode_list(packed, [chunk_bytes] * (FILE_BYTES // chunk_bytes)))
        names = [blake3(recipe).digest() for recipe in recipes]
        chunks.update(zip(names, recipes, strict=True))
        file = File(
            mode=0o644,
            size=FILE_BYTES,
            hash=blake3(b"film %d" % number).digest(),
            recipe_hashes=b"".join(names),
        )
        films.append(Entry(name=f"{number:04}.mov", file=file))
    return films, chunks


# Chunks are of 256 KiB on average; of the largest ones there are few.
@pytest.mark.parametrize("chunk_bytes", [16 << 20, pytest.param(256 << 10, marks=pytest.mark.soak)])
async def test_a_folder_of_2_000_files_of_400_mb(api: Api, chunk_bytes: int) -> None:
    ada = await api.account()
    repository = await api.repository(ada)
    films, chunks = make_films(chunk_bytes)
    await upload_packed(api, ada, repository, chunks)
    content = encode_manifest(Manifest(entries=films))
    tree = Tree(content_hash(content), {content_hash(content): content})
    made = commit(tree)
    answer = await push_commit(api, ada, repository, made, tree)
    assert answer.new_asset_count == FILES
    listing = tree_service_pb2.ListDirectoryRequest(repository=repository.id, page_size=1_000)
    listed: list[tuple[str, int, int]] = []
    while True:
        page = await api.trees.ListDirectory(listing, metadata=ada.auth)
        listed += [(entry.name, entry.size, entry.chunk_count) for entry in page.entries]
        listing.page_token = page.next_page_token
        if not listing.page_token:
            break
    assert listed == [(film.name, FILE_BYTES, FILE_BYTES // chunk_bytes) for film in films]
    # What a clone asks for before any bytes: the manifests, and the recipes of all files.
    streaming = tree_service_pb2.StreamTreeRequest(
        repository=repository.id, revision=commit_hash(made)
    )
    messages = api.trees.StreamTree(streaming, metadata=ada.auth)
    assert [c async for message in messages for c in message.manifests] == [content]
    names = [film.file.recipe_hashes for film in films]
    downloading = chunk_service_pb2.DownloadChunksRequest(
        repository=repository.id, hashes=b"".join(names)
    )
    parts = api.chunks.DownloadChunks(downloading, metadata=ada.auth)
    indexes = [chunk.index async for part in parts for chunk in part.chunks]
    assert sorted(indexes) == list(range(FILES))
