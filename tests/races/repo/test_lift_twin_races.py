"""A lift of a content goes on beside the obliteration of another one with the same chunk list.

One of the two has a hash that is not its own: within a repository that is believed.
"""

from __future__ import annotations

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import Manifest
from grpc import StatusCode

from services.repo.trees import lifts
from shared.formats.canonical import content_hash
from shared.formats.commits import commit_hash
from shared.formats.manifests import encode_manifest
from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.erasures import CHUNKS, PARTS, Erasure
from tests.support.obliterations import LARGE, get_asset, obliterate
from tests.support.trees import Tree, commit, file_entry, push, update, upload

OTHER = b"another content"


async def test_it_goes_on(api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifts, "BATCH", 5)
    async with Erasure.open(api, settings) as erasure:
        await erasure.finish()
        await break_off(erasure)
        await erasure.upload()
        await push_other(erasure)
        assert await api.value("SELECT taken_to FROM released_lists") == sorted(PARTS)[4]
        await obliterate(erasure.films, "other", OTHER, revision="other")
        # What was obliterated goes, and what the lift has taken stays.
        assert await erasure.finish() == len(CHUNKS)
        query = "SELECT count(*) FROM chunk_refs WHERE ref_count = 1 AND chunk_hash = ANY ($1)"
        assert await api.value(query, sorted(PARTS)) == 5
        await erasure.upload()
        await erasure.lift()
        assert (await get_asset(erasure.films, LARGE)).obliteration_reason == ""
        assert (await erasure.count_lists(), await erasure.count_chunks()) == (0, 12)
        await erasure.assert_right()


async def push_other(erasure: Erasure) -> None:
    """Pushes another content with the chunks of the file that is obliterated."""
    films = erasure.films
    entry = file_entry("other", LARGE, {})
    entry.file.hash = blake3(OTHER).digest()
    content = encode_manifest(Manifest(entries=[entry]))
    tree = Tree(content_hash(content), {content_hash(content): content})
    made = commit(tree)
    moves = [update("other", "", commit_hash(made))]
    await push(films.api, films.owner, films.repository, [made], moves, [tree])


async def break_off(erasure: Erasure) -> None:
    """Leaves a lift behind that has taken one batch, as a kill would."""
    films, sixth = erasure.films, sorted(PARTS)[5]
    others = {digest: data for digest, data in CHUNKS.items() if digest.hex() != sixth}
    await upload(films.api, films.owner, films.repository, others)
    with refused(StatusCode.FAILED_PRECONDITION, "CHUNKS_MISSING"):
        await erasure.lift()
