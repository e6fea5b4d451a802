"""Chunk lists of files: inline in the manifest if they are short, else in recipe chunks.

Pure. A list has exactly one encoding, so equal files have equal entries.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

from dits.repo.v1.manifest_pb2 import File, Recipe

from shared.formats.canonical import HASH_BYTES, FormatError, content_hash, parse_canonical

MAX_CHUNK_BYTES = 16 << 20
MAX_INLINE_CHUNKS = 8
RECIPE_CHUNKS = 16_384


def encode_recipe(recipe: Recipe) -> bytes:
    """Return the canonical bytes of a recipe, which are stored as a chunk."""
    return recipe.SerializeToString(deterministic=True)


def decode_recipe(content: bytes) -> Recipe:
    """Return the recipe that these canonical bytes hold."""
    recipe = Recipe()
    parse_canonical(recipe, content, "recipe")
    count = len(recipe.chunk_sizes)
    if not 1 <= count <= RECIPE_CHUNKS:
        raise FormatError("chunk_sizes", f"a recipe has 1 to {RECIPE_CHUNKS} chunks")
    check_chunks(recipe.chunk_hashes, recipe.chunk_sizes[:])
    return recipe


def encode_list(chunk_hashes: bytes, chunk_sizes: Sequence[int]) -> Iterator[bytes]:
    """Yield the recipes of a chunk list that is too long to stand inline; none for a shorter one."""
    if len(chunk_sizes) <= MAX_INLINE_CHUNKS:
        return
    for first in range(0, len(chunk_sizes), RECIPE_CHUNKS):
        last = first + RECIPE_CHUNKS
        part = chunk_hashes[first * HASH_BYTES : last * HASH_BYTES]
        yield encode_recipe(Recipe(chunk_hashes=part, chunk_sizes=chunk_sizes[first:last]))


def file_chunks(file: File, recipes: Sequence[Recipe] = ()) -> tuple[bytes, list[int]]:
    """Return the whole chunk list of a file: packed hashes and sizes.

    `recipes` are the decoded recipes of a file that has any, in the order of `recipe_hashes`.
    """
    if not file.recipe_hashes:
        return file.chunk_hashes, file.chunk_sizes[:]
    check_recipes(file, recipes)
    sizes = list(chain.from_iterable(part.chunk_sizes for part in recipes))
    return b"".join(part.chunk_hashes for part in recipes), sizes


def check_recipes(file: File, recipes: Sequence[Recipe]) -> int:
    """Return how many chunks a file has; raise FormatError unless these can be its recipes."""
    if len(recipes) * HASH_BYTES != len(file.recipe_hashes):
        raise FormatError("recipe_hashes", "not as many as recipes")
    counts = [len(part.chunk_sizes) for part in recipes]
    if any(count != RECIPE_CHUNKS for count in counts[:-1]):
        raise FormatError("chunk_sizes", f"all but the last recipe have {RECIPE_CHUNKS} chunks")
    if sum(counts) <= MAX_INLINE_CHUNKS:
        raise FormatError("recipe_hashes", f"up to {MAX_INLINE_CHUNKS} chunks stand inline")
    # A recipe may be there many times.
    sizes = {
        id(part): sum(part.chunk_sizes) for part in {id(part): part for part in recipes}.values()
    }
    if sum(sizes[id(part)] for part in recipes) != file.size:
        raise FormatError("size", "is not the sum of the chunks' sizes")
    return sum(counts)


def list_hash(file: File) -> str:
    """Return the hexadecimal hash of a file's size and chunk list, as the manifest has them.

    Of two lists of one content, equal hashes mean equal lists: a list has one encoding. If the content is
    one chunk, its hash says the list, and this is the size alone, which is a tenth as long.
    """
    if file.chunk_hashes == file.hash and len(file.chunk_sizes) == 1:
        return str(file.size)
    parts = File(
        size=file.size,
        chunk_hashes=file.chunk_hashes,
        chunk_sizes=file.chunk_sizes,
        recipe_hashes=file.recipe_hashes,
    )
    return content_hash(parts.SerializeToString(deterministic=True))


def check_chunks(hashes: bytes, sizes: list[int], prefix: str = "") -> None:
    """Raise FormatError unless there is a hash for each size and each size is allowed."""
    if len(hashes) != HASH_BYTES * len(sizes):
        description = f"is not {HASH_BYTES} bytes for each size"
        raise FormatError(prefix + "chunk_hashes", description)
    if sizes and not (min(sizes) >= 1 and max(sizes) <= MAX_CHUNK_BYTES):
        raise FormatError(prefix + "chunk_sizes", f"a chunk has 1 to {MAX_CHUNK_BYTES} bytes")
