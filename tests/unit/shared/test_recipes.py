"""Chunk lists of files: inline or in recipes, never both ways."""

import pytest
from blake3 import blake3
from dits.repo.v1.manifest_pb2 import File, Recipe
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.canonical import FormatError, split_hashes
from shared.formats.recipes import (
    MAX_CHUNK_BYTES,
    RECIPE_CHUNKS,
    decode_recipe,
    encode_recipe,
    file_chunks,
    recipe_hash,
)

ONE = blake3(b"x").digest()
TWO = blake3(b"y").digest()
digests = st.binary(min_size=32, max_size=32)


@given(st.lists(st.tuples(digests, st.integers(1, MAX_CHUNK_BYTES)), max_size=20))
def test_recipe_hash_is_the_hash_of_pairs(chunks: list[tuple[bytes, int]]) -> None:
    expected = blake3(b"".join(digest + size.to_bytes(4, "big") for digest, size in chunks))
    packed = b"".join(digest for digest, _ in chunks)
    assert recipe_hash(packed, [size for _, size in chunks]) == expected.hexdigest()
    assert split_hashes(packed) == [digest for digest, _ in chunks]


def test_file_chunks_joins_recipes() -> None:
    full = Recipe(chunk_hashes=ONE * RECIPE_CHUNKS)
    full.chunk_sizes.extend([2] * RECIPE_CHUNKS)
    rest = Recipe(chunk_hashes=TWO, chunk_sizes=[5])
    file = File(size=2 * RECIPE_CHUNKS + 5, hash=ONE, recipe_hashes=ONE + TWO)
    hashes, sizes = file_chunks(file, [full, rest])
    assert hashes == full.chunk_hashes + TWO
    assert sizes == [2] * RECIPE_CHUNKS + [5]
    for wrong in ([full], [rest, full], [full, rest, rest]):
        with pytest.raises(FormatError):
            file_chunks(file, wrong)
    file.size += 1
    with pytest.raises(FormatError):
        file_chunks(file, [full, rest])


def test_a_short_list_may_not_hide_in_a_recipe() -> None:
    short = Recipe(chunk_hashes=ONE * 1024, chunk_sizes=[2] * 1024)
    with pytest.raises(FormatError):
        file_chunks(File(size=2048, hash=ONE, recipe_hashes=TWO), [short])


@pytest.mark.parametrize(
    "recipe", [Recipe(), Recipe(chunk_hashes=ONE, chunk_sizes=[0]), Recipe(chunk_hashes=ONE)]
)
def test_bad_recipes_are_refused(recipe: Recipe) -> None:
    with pytest.raises(FormatError):
        decode_recipe(encode_recipe(recipe))
