"""What a push needs before its transaction: the chunk lists of large files, and compressed manifests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from services.repo.history.manifests import compress_manifest
from services.repo.push.chunk_lists import ChunkLists, read_lists
from services.repo.push.recipes import RecipeReader
from services.repo.push.stream import Push
from shared.db.pool import Database
from shared.rpc.call import Call


@dataclass(frozen=True, slots=True)
class PreparedPush:
    """A push that is ready to be applied.

    Attributes:
        push: what the client sent.
        stored: the manifests of the push, by hash, in the form in which they are stored.
        lists: the chunk lists of its files.
    """

    push: Push
    stored: Mapping[str, bytes]
    lists: ChunkLists


async def prepare_push(
    database: Database, recipes: RecipeReader, push: Push, call: Call
) -> PreparedPush:
    """Does the slow work that needs no transaction. Raises what `read_lists` raises."""
    lists = await read_lists(database, recipes, push.manifests.values(), call)
    stored = await asyncio.to_thread(_compress_all, push.contents)
    return PreparedPush(push, stored, lists)


def _compress_all(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    return {digest: compress_manifest(content) for digest, content in contents.items()}
