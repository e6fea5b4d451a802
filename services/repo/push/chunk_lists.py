"""The chunk lists of a push: inline, in recipes, or known because their contents are stored already."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from dits.repo.v1.manifest_pb2 import File, Manifest, Recipe

from services.repo.history.batches import split_batches
from services.repo.push.recipes import RecipeReader
from services.repo.push.stream import Push
from shared.db import sql
from shared.db.pool import Database
from shared.errors import batch_too_large, content_mismatch
from shared.formats.canonical import FormatError, split_hashes
from shared.formats.limits import MAX_PUSH_CHUNKS
from shared.formats.recipes import check_recipes, list_hash
from shared.rpc.byte_budget import Hold
from shared.rpc.call import Call
from shared.runtime.weighed_work import do_weighed

Q = sql.load(__file__)

# What a chunk takes in memory while it is counted.
CHUNK_COST = 80


class ChunkList(NamedTuple):
    """A chunk list or a part of one: packed hashes, and sizes in bytes."""

    hashes: bytes
    sizes: Sequence[int]


class ChunkLists:
    """The chunk lists of files; of contents that the repository has, only their lengths.

    The parts of a list are the recipes, which files share: a recipe is in memory once.

    """

    def __init__(self) -> None:
        self._recipes: dict[bytes, ChunkList] = {}
        self._counts: dict[tuple[bytes, int], int] = {}
        self._listed: set[tuple[bytes, int]] = set()
        self._total = 0

    @property
    def cost(self) -> int:
        """The bytes of memory that the lists take while they are counted, about."""
        return CHUNK_COST * self._total

    @property
    def are_inline(self) -> bool:
        """Whether no file of the push has a list that is not in its manifest."""
        return not self._counts

    def count_chunks(self, file: File) -> int:
        """Returns how many chunks a file has, counted as often as they occur."""
        if not file.recipe_hashes:
            return len(file.chunk_sizes)
        return self._counts[file.recipe_hashes, file.size]

    def get_parts(self, file: File) -> list[ChunkList] | None:
        """Returns the list of a file in parts, each part once; None if the content was stored before."""
        if not file.recipe_hashes:
            return [ChunkList(file.chunk_hashes, file.chunk_sizes)]
        if (file.recipe_hashes, file.size) not in self._listed:
            return None
        return [self._recipes[digest] for digest in dict.fromkeys(split_hashes(file.recipe_hashes))]

    def add_count(self, file: File, count: int) -> None:
        """Adds a file whose content the repository has with this very list."""
        self._counts[file.recipe_hashes, file.size] = count

    def add(self, name: str, file: File, recipes: Mapping[bytes, Recipe]) -> None:
        """Adds the list of a file. Raises CONTENT_MISMATCH if it breaks a rule, BATCH_TOO_LARGE."""
        key = file.recipe_hashes, file.size
        if key in self._listed:
            return
        names = split_hashes(file.recipe_hashes)
        try:
            count = check_recipes(file, [recipes[digest] for digest in names])
        except FormatError as error:
            raise content_mismatch(f"{name}: {error}") from None
        for digest in dict.fromkeys(names):
            if digest not in self._recipes:
                recipe = recipes[digest]
                self._recipes[digest] = ChunkList(
                    recipe.chunk_hashes, array("I", recipe.chunk_sizes)
                )
            self._total += len(self._recipes[digest].sizes)
        if self._total > MAX_PUSH_CHUNKS:
            raise batch_too_large("chunks of new files", MAX_PUSH_CHUNKS, self._total)
        self._listed.add(key)
        self._counts[key] = count


async def read_lists(
    database: Database, reader: RecipeReader, push: Push, call: Call, hold: Hold
) -> ChunkLists:
    """Returns the chunk lists of all files of a push; reads the recipes of new contents.

    Recipes of a content that the repository has are not read: equal lists have equal recipes.
    Raises CHUNKS_MISSING, CONTENT_MISMATCH and what reading raises.
    """
    lists = ChunkLists()
    files = await do_weighed(push.steps, _large_files, push.manifests.values())
    if not files:
        return lists
    known = await _known(database, call.repository.id, {file.hash.hex() for _, file in files})
    fresh = await asyncio.to_thread(_add_known, lists, files, known)
    wanted = await asyncio.to_thread(_list_recipes, fresh)
    recipes = await reader.read_recipes(wanted, call, hold)
    await asyncio.to_thread(_add_all, lists, fresh, recipes)
    return lists


def _large_files(trees: Iterable[Manifest]) -> list[tuple[str, File]]:
    """Returns the files that have recipes, each content and list once, with a name."""
    found: dict[tuple[bytes, int, bytes], tuple[str, File]] = {}
    for manifest in trees:
        for entry in manifest.entries:
            file = entry.file
            if file.recipe_hashes:
                found[file.hash, file.size, file.recipe_hashes] = entry.name, file
    return list(found.values())


def _add_known(
    lists: ChunkLists, files: Iterable[tuple[str, File]], known: Mapping[str, tuple[str, int]]
) -> list[tuple[str, File]]:
    """Adds the counts of the contents that the repository has; returns the other files."""
    fresh = []
    for name, file in files:
        recipe_hash, count = known.get(file.hash.hex(), ("", 0))
        if recipe_hash == list_hash(file):
            lists.add_count(file, count)
        else:
            fresh.append((name, file))
    return fresh


def _list_recipes(files: Iterable[tuple[str, File]]) -> set[bytes]:
    return {digest for _, file in files for digest in split_hashes(file.recipe_hashes)}


async def _known(
    database: Database, repository_id: UUID, contents: Iterable[str]
) -> dict[str, tuple[str, int]]:
    """Returns hash and length of the chunk lists of those contents that the repository has."""
    known = {}
    for batch in split_batches(sorted(contents)):
        for row in await database.fetch(Q.known_lists, repository_id, batch):
            known[row["hash"]] = row["recipe_hash"], row["chunk_count"]
    return known


def _add_all(
    lists: ChunkLists, files: Iterable[tuple[str, File]], recipes: Mapping[bytes, Recipe]
) -> None:
    for name, file in files:
        lists.add(name, file, recipes)
