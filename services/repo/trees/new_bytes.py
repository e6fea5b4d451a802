"""How many bytes of chunks a changed file really brings: those that its old content does not have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dits.repo.v1.manifest_pb2 import File, Recipe

from services.repo.history.batches import split_by_size
from services.repo.push.recipes import RecipeReader
from services.repo.trees.changes import TreeChange, get_file
from shared.formats.canonical import split_hashes
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.call import Call

# Recipes that are in memory for one step, at most 16,384 chunks each.
MAX_RECIPES = 32
MOST_CHANGES = 500


class NewBytes:
    """Counts for one caller, who may read the repository."""

    def __init__(self, recipes: RecipeReader, budget: ByteBudget, call: Call) -> None:
        self._recipes = recipes
        self._budget = budget
        self._call = call

    async def count(self, changes: Iterable[TreeChange]) -> None:
        """Sets the new bytes of changes, but of those whose lists are too long.

        Raises CHUNKS_MISSING, CHUNK_CORRUPT, CONTENT_MISMATCH, SERVER_BUSY.
        """
        sized = ((change, len(_list_recipes(change))) for change in changes)
        countable = ((change, size) for change, size in sized if size <= MAX_RECIPES)
        for batch in split_by_size(countable, MOST_CHANGES, MAX_RECIPES):
            wanted = {digest for change in batch for digest in _list_recipes(change)}
            with self._budget.hold(self._call.holder) as hold:
                recipes = await self._recipes.read_recipes(wanted, self._call, hold)
                await asyncio.to_thread(_count_all, batch, recipes)


def _list_recipes(change: TreeChange) -> set[bytes]:
    """Returns the recipes that have to be read: none if the content is the same."""
    old, new = get_file(change.old), get_file(change.new)
    if old.hash == new.hash:
        return set()
    return set(split_hashes(new.recipe_hashes)) | set(split_hashes(old.recipe_hashes))


def _count_all(changes: Sequence[TreeChange], recipes: Mapping[bytes, Recipe]) -> None:
    for change in changes:
        old, new = get_file(change.old), get_file(change.new)
        change.new_chunk_bytes = 0
        if old.hash != new.hash:
            known = {digest for digest, _ in _iterate_chunks(old, recipes)}
            fresh = dict(_iterate_chunks(new, recipes))
            change.new_chunk_bytes = sum(
                size for digest, size in fresh.items() if digest not in known
            )


def _iterate_chunks(file: File, recipes: Mapping[bytes, Recipe]) -> Iterator[tuple[bytes, int]]:
    """Yields the chunks of a file, those of a recipe that comes again once."""
    yield from zip(split_hashes(file.chunk_hashes), file.chunk_sizes, strict=True)
    for digest in dict.fromkeys(split_hashes(file.recipe_hashes)):
        recipe = recipes[digest]
        yield from zip(split_hashes(recipe.chunk_hashes), recipe.chunk_sizes, strict=True)
